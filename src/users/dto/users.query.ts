import { PageQuery } from '../../common/http/page.js';
import { SearchField } from '../../common/validation/fields.js';

export class UsersQuery extends PageQuery {
  @SearchField('Any part of a username or name (of an email too, for admins); one or two characters match a beginning')
  search?: string;
}
