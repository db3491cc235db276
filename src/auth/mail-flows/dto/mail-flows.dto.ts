import { ApiPropertyOptional } from '@nestjs/swagger';
import { IsString } from 'class-validator';
import { EmailField, NewPasswordField, Optional, SecretField } from '../../../common/validation/fields.js';

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

  @ApiPropertyOptional({
    type: String,
    format: 'password',
    description: 'Must equal new_password',
    example: 'NewSecurePass123!',
  })
  @Optional()
  @IsString()
  confirm_password?: string;
}

export class ResendVerificationDto {
  /** Signed in it may be left out: then it is the caller's own. */
  @EmailField('optional')
  email?: string;
}
