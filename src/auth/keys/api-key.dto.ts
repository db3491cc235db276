import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { ArrayMinSize, ArrayUnique, IsArray, IsIn, IsISO8601, IsString, Matches } from 'class-validator';
import { SCOPES, type Scope } from '../../common/auth/scope.js';
import { Normalised, Nullable, Optional, TextLength } from '../../common/validation/fields.js';
import { ONE_LINE } from '../../common/validation/one-line.js';
import { prefixOf } from './api-key-text.js';
import type { ApiKey } from './api-key.entity.js';

const EXAMPLE_TIME = '2026-01-01T00:00:00.000Z';
const EXAMPLE_PREFIX = 'gh_02VQ0kXbHk3oX2tqKcPZ9d';

/** Of ISO 8601 the one form that JavaScript reads: no week dates, no basic format. */
const TIME = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}:\d{2})$/;

export class CreateApiKeyDto {
  @ApiProperty({ minLength: 1, maxLength: 100, example: 'nightly backup' })
  @Normalised()
  @IsString()
  @TextLength(0, 100)
  @Matches(ONE_LINE, { message: 'name must be one line' })
  @Matches(/\S/u, { message: 'name must not be empty' })
  name!: string;

  @ApiPropertyOptional({
    enum: SCOPES,
    enumName: 'Scope',
    isArray: true,
    description: 'What the key is good for; all but `admin` when left out',
    example: ['uploads:read', 'uploads:write'],
  })
  @Optional()
  @IsArray()
  @ArrayMinSize(1, { message: 'scopes must not be empty' })
  @ArrayUnique({ message: 'scopes must name each scope once' })
  @IsIn(SCOPES, { each: true, message: `scopes must be of: ${SCOPES.join(', ')}` })
  scopes?: Scope[];

  @ApiPropertyOptional({
    type: String,
    nullable: true,
    format: 'date-time',
    description: 'When it ends by itself; never when left out or null',
    example: '2030-01-01T00:00:00.000Z',
  })
  @Nullable()
  @IsISO8601({ strict: true, strictSeparator: true })
  @Matches(TIME, { message: 'expires_at must be a time with its offset, like 2030-01-01T00:00:00Z' })
  expires_at?: string | null;
}

export class ApiKeyResponse {
  @ApiProperty({ format: 'uuid' })
  id!: string;

  @ApiProperty({ example: 'nightly backup' })
  name!: string;

  @ApiProperty({ example: EXAMPLE_PREFIX, description: 'How the key begins' })
  prefix!: string;

  @ApiProperty({ enum: SCOPES, enumName: 'Scope', isArray: true, example: ['uploads:read', 'uploads:write'] })
  scopes!: Scope[];

  @ApiProperty({ format: 'date-time', example: EXAMPLE_TIME })
  created_at!: string;

  @ApiProperty({ type: String, nullable: true, format: 'date-time', example: null })
  expires_at!: string | null;

  @ApiProperty({
    type: String,
    nullable: true,
    format: 'date-time',
    example: null,
    description: 'To within a minute',
  })
  last_used_at!: string | null;

  static from(key: ApiKey): ApiKeyResponse {
    return {
      id: key.id,
      name: key.name,
      prefix: prefixOf(key.id),
      scopes: key.scopes,
      created_at: key.createdAt.toISOString(),
      expires_at: key.expiresAt?.toISOString() ?? null,
      last_used_at: key.lastUsedAt?.toISOString() ?? null,
    };
  }
}

export class NewApiKeyResponse extends ApiKeyResponse {
  @ApiProperty({ example: `${EXAMPLE_PREFIX}_…`, description: 'Shown this once' })
  key!: string;
}
