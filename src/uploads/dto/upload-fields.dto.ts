import { DescriptionField } from './fields.js';

/** What a form may hold beside the file. */
export class UploadFieldsDto {
  @DescriptionField()
  description?: string | null;
}
