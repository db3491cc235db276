import { SecretField } from '../../common/validation/fields.js';

export class DeleteAccountDto {
  @SecretField({ description: 'The current password' })
  password!: string;
}
