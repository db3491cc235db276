import { ApiPropertyOptional, type ApiPropertyOptions } from '@nestjs/swagger';
import { applyDecorators } from '@nestjs/common';
import { IsIn, IsInt, Max, Min } from 'class-validator';
import { Nullable, Optional } from '../../common/validation/fields.js';
import { PUBLISH_POLICIES, type PublishPolicy } from '../channels/channel.entity.js';

/** A setting of the channel's own; `null` goes back to the server's. */
const RetentionField = (max: number, options: ApiPropertyOptions) =>
  applyDecorators(
    ApiPropertyOptional({
      type: 'integer',
      minimum: 1,
      maximum: max,
      nullable: true,
      ...options,
    } as ApiPropertyOptions),
    Nullable(),
    IsInt(),
    Min(1),
    Max(max),
  );

export class UpdateChannelDto {
  @ApiPropertyOptional({ enum: PUBLISH_POLICIES })
  @Optional()
  @IsIn(PUBLISH_POLICIES)
  publish_policy?: PublishPolicy;

  @RetentionField(315_360_000, { example: 86_400, description: 'null: as BROADCAST_RETENTION_SECONDS says' })
  retention_seconds?: number | null;

  @RetentionField(10_000_000, { example: 1_000, description: 'null: as BROADCAST_RETENTION_COUNT says' })
  retention_count?: number | null;
}
