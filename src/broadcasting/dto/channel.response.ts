import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { CHANNEL_KINDS, type ChannelKind } from '../channels/channel-name.js';
import { PUBLISH_POLICIES, type PublishPolicy } from '../channels/channel.entity.js';
import { MemberResponse } from './subscription.response.js';

export class ChannelResponse {
  @ApiProperty({ example: 'news' })
  name!: string;

  @ApiProperty({ enum: CHANNEL_KINDS })
  kind!: ChannelKind;

  @ApiProperty({ type: 'integer', example: 3, description: 'Connections that are subscribed, on all nodes' })
  subscribers!: number;

  @ApiProperty({ type: 'integer', example: 42, description: 'Of the last message; 0 before the first' })
  sequence!: number;

  @ApiProperty({ type: 'integer', example: 1, description: 'Of the earliest message that is kept' })
  first_sequence!: number;

  @ApiProperty({ format: 'uuid' })
  epoch!: string;

  @ApiProperty({ enum: PUBLISH_POLICIES, description: 'members: whoever may read it' })
  publish_policy!: PublishPolicy;

  @ApiProperty({ type: 'integer', example: 604_800, description: 'Messages are kept for so long' })
  retention_seconds!: number;

  @ApiProperty({ type: 'integer', example: 10_000, description: 'So many messages are kept' })
  retention_count!: number;

  @ApiPropertyOptional({
    type: [MemberResponse],
    description: 'Presence channels: who is there, at most 1,000 of them',
  })
  members?: MemberResponse[];
}
