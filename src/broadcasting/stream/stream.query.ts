import { ApiPropertyOptional } from '@nestjs/swagger';
import { IsString, IsUUID } from 'class-validator';
import { Optional, QueryIntegerField } from '../../common/validation/fields.js';
import { ChannelField, SEQUENCE_MAX } from '../dto/fields.js';

export class StreamQuery {
  @ChannelField()
  channel!: string;

  @QueryIntegerField(0, SEQUENCE_MAX, {
    description: 'Begins with what follows this sequence; a `Last-Event-ID` counts for more',
  })
  after?: number;

  @ApiPropertyOptional({ format: 'uuid', description: 'The epoch that `after` or `Last-Event-ID` belongs to' })
  @Optional()
  @IsUUID()
  epoch?: string;

  /** Read before this is: here it is only known to the validation. */
  @ApiPropertyOptional({
    type: String,
    description: 'From `POST /broadcasting/stream/ticket`, where no `Authorization` can be sent',
  })
  @Optional()
  @IsString()
  ticket?: string;
}
