import { ApiPropertyOptional } from '@nestjs/swagger';
import { IsBoolean } from 'class-validator';
import {
  ConfirmPasswordField,
  EmailField,
  NameField,
  NewPasswordField,
  Optional,
  UsernameField,
} from '../../common/validation/fields.js';

export class RegisterDto {
  @EmailField()
  email!: string;

  @NewPasswordField()
  password!: string;

  @UsernameField('optional')
  username?: string;

  @NameField('John Doe')
  full_name?: string | null;

  @NameField('John')
  first_name?: string | null;

  @NameField('Doe')
  last_name?: string | null;

  @ConfirmPasswordField('password')
  confirm_password?: string;

  @ApiPropertyOptional({ type: Boolean, example: false, description: '`true` only by an admin' })
  @Optional()
  @IsBoolean()
  is_superuser?: boolean;
}
