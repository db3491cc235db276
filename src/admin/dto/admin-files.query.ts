import { FilesQuery } from '../../uploads/dto/files.query.js';
import { QueryIdField } from './fields.js';

export class AdminFilesQuery extends FilesQuery {
  @QueryIdField('Only the files of this user')
  user_id?: string;
}
