import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { IsInt, Max, Min } from 'class-validator';
import { Optional } from '../../common/validation/fields.js';

const SECONDS_MIN = 60;
const SECONDS_MAX = 604_800;
const SECONDS_DEFAULT = 3600;

export class SignedUrlDto {
  @ApiPropertyOptional({
    type: 'integer',
    minimum: SECONDS_MIN,
    maximum: SECONDS_MAX,
    default: SECONDS_DEFAULT,
    description: 'Seconds',
  })
  @Optional()
  @IsInt()
  @Min(SECONDS_MIN)
  @Max(SECONDS_MAX)
  expires_in: number = SECONDS_DEFAULT;
}

export class SignedUrlResponse {
  @ApiProperty({
    format: 'uri',
    example:
      'https://files.example.com/api/v1/uploads/0197f0a0-7b1c-7e7e-8a00-3d2f1c0b9a88/signed?expires=1767229200&signature=TIAkUmI9u2UYGVdACYALXwb8GWFuHeJRybzpGpMc2eU',
  })
  url!: string;

  @ApiProperty({ format: 'date-time', example: '2026-01-01T01:00:00.000Z' })
  expires_at!: string;
}
