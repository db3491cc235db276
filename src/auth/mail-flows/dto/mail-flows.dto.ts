import { ConfirmPasswordField, EmailField, NewPasswordField, SecretField } from '../../../common/validation/fields.js';

/** As it stands in the link of a mail. */
const TokenField = () =>
  SecretField({ example: 'q83vEjRWeJq83vASNFZ4mrze8BI0VniavN7wEjRWeJo', description: 'From the link in the mail' });

export class TokenDto {
  @TokenField()
  token!: string;
}

export class ForgotPasswordDto {
  @EmailField()
  email!: string;
}

export class ResetPasswordDto {
  @TokenField()
  token!: string;

  @NewPasswordField('NewSecurePass123!')
  new_password!: string;

  @ConfirmPasswordField('new_password', 'NewSecurePass123!')
  confirm_password?: string;
}

export class ResendVerificationDto {
  /** Signed in it may be left out: then it is the caller's own. */
  @EmailField('optional')
  email?: string;
}
