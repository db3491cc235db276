import { RequestValidationPipe } from '../../common/validation/request-validation.pipe.js';
import { UploadFieldsDto } from '../dto/upload-fields.dto.js';

const validation = new RequestValidationPipe();

/** What comes beside a file, by a form or by tus; bodies that are read as they come pass no pipe. @throws ValidationFailedError */
export async function validateFields(fields: object): Promise<UploadFieldsDto> {
  return (await validation.transform(fields, { type: 'body', metatype: UploadFieldsDto })) as UploadFieldsDto;
}
