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

/** One of the two, not both: `proofOf` says so, as no decorator of a single field can. */
export class SecondProofDto {
  @ApiPropertyOptional({
    type: String,
    example: '123456',
    description: 'A code of the authenticator app; a recovery code is taken too',
  })
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

export class MfaProofDto extends SecondProofDto {
  @SecretField()
  password!: string;
}

export class VerifyMfaDto extends SecondProofDto {
  @SecretField({ format: undefined, example: 'eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9…', description: 'From the login' })
  mfa_token!: string;
}
