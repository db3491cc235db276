import { ApiPropertyOptional } from '@nestjs/swagger';
import { IsString } from 'class-validator';
import { NewPasswordField, Optional, SecretField } from '../../common/validation/fields.js';

export class ChangePasswordDto {
  @SecretField()
  current_password!: string;

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
