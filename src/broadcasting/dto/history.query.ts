import { ApiProperty } from '@nestjs/swagger';
import { QueryIntegerField } from '../../common/validation/fields.js';
import { ChannelField, SEQUENCE_MAX } from './fields.js';
import { ChannelMessageResponse } from './channel-message.response.js';

const LIMIT_DEFAULT = 50;
const LIMIT_MAX = 500;

export class HistoryQuery {
  @ChannelField()
  channel!: string;

  @QueryIntegerField(0, SEQUENCE_MAX, { default: 0, description: 'What follows this sequence' })
  after: number = 0;

  @QueryIntegerField(1, LIMIT_MAX, { default: LIMIT_DEFAULT })
  limit: number = LIMIT_DEFAULT;
}

export class HistoryResponse {
  @ApiProperty({ type: [ChannelMessageResponse] })
  items!: ChannelMessageResponse[];

  @ApiProperty({ example: 'news' })
  channel!: string;

  @ApiProperty({ format: 'uuid' })
  epoch!: string;

  @ApiProperty({
    type: 'integer',
    example: 1,
    description: 'Of the earliest message that is kept; past the last when none is',
  })
  first_sequence!: number;

  @ApiProperty({ type: 'integer', example: 42 })
  last_sequence!: number;
}
