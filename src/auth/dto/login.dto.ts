import { ApiPropertyOptional } from '@nestjs/swagger';
import { Allow, IsString } from 'class-validator';
import { Optional, SecretField, TextLength } from '../../common/validation/fields.js';

const NAME_MAX = 254;

/** JSON, or the form of OAuth 2's password grant (RFC 6749, section 4.3.2), whose own fields are taken and ignored. */
export class LoginDto {
  @ApiPropertyOptional({
    type: String,
    description: 'Email or username; this or `username` is required',
    example: 'user@example.com',
  })
  @Optional()
  @IsString()
  @TextLength(0, NAME_MAX)
  email?: string;

  @ApiPropertyOptional({
    type: String,
    description: 'Username or email; this or `email` is required',
    example: 'john_doe',
  })
  @Optional()
  @IsString()
  @TextLength(0, NAME_MAX)
  username?: string;

  @SecretField()
  password!: string;

  @Allow()
  grant_type?: unknown;

  @Allow()
  scope?: unknown;

  @Allow()
  client_id?: unknown;

  @Allow()
  client_secret?: unknown;
}
