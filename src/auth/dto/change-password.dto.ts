import { ConfirmPasswordField, NewPasswordField, SecretField } from '../../common/validation/fields.js';

export class ChangePasswordDto {
  @SecretField()
  current_password!: string;

  @NewPasswordField('NewSecurePass123!')
  new_password!: string;

  @ConfirmPasswordField('new_password', 'NewSecurePass123!')
  confirm_password?: string;
}
