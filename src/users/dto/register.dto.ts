import { ApiPropertyOptional } from '@nestjs/swagger';
import { IsBoolean, IsString } from 'class-validator';
import { EmailField, NameField, NewPasswordField, Optional, UsernameField } from '../../common/validation/fields.js';

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

  @ApiPropertyOptional({
    type: String,
    format: 'password',
    description: 'Must equal password',
    example: 'SecurePass123!',
  })
  @Optional()
  @IsString()
  confirm_password?: string;

  @ApiPropertyOptional({ type: Boolean, example: false, description: '`true` only by an admin' })
  @Optional()
  @IsBoolean()
  is_superuser?: boolean;
}
