import { ApiPropertyOptional } from '@nestjs/swagger';
import { IsString } from 'class-validator';
import { Optional, SecretField } from '../../../common/validation/fields.js';

const CODE = { format: undefined, example: '123456' };

export class SetUpMfaDto {
  @SecretField()
  password!: string;
}

export class ConfirmMfaDto {
  @SecretField({ ...CODE, description: 'A code of the authenticator app' })
  code!: string;
}

export class MfaProofDto {
  @SecretField()
  password!: string;

  @SecretField({ ...CODE, description: 'A code of the authenticator app, or a recovery code' })
  code!: string;
}

export class VerifyMfaDto {
  @SecretField({ format: undefined, example: 'eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9…', description: 'From the login' })
  mfa_token!: string;

  @ApiPropertyOptional({ type: String, example: '123456', description: 'A code of the authenticator app' })
  @Optional()
  @IsString()
  code?: string;

  @ApiPropertyOptional({
    type: String,
    example: '7k2fm-0xw9c-tq4rd-n8vhz',
    description: 'Instead of `code`; each is good once',
  })
  @Optional()
  @IsString()
  recovery_code?: string;
}
