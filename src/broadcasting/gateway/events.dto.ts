import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { IsInt, IsUUID, Max, Min } from 'class-validator';
import { Optional, SecretField } from '../../common/validation/fields.js';
import { ChannelField, SEQUENCE_MAX } from '../dto/fields.js';
import { ChannelMessageResponse } from '../dto/channel-message.response.js';
import { MemberResponse } from '../dto/subscription.response.js';
import type { EndReason } from '../delivery/subscriber.js';

export class SubscribeDto {
  @ChannelField()
  channel!: string;

  @ApiPropertyOptional({
    type: 'integer',
    minimum: 0,
    maximum: SEQUENCE_MAX,
    example: 41,
    description:
      'The sequence of the last message that you have handled: what follows it is sent. Without it, what is published from now on',
  })
  @Optional()
  @IsInt()
  @Min(0)
  @Max(SEQUENCE_MAX)
  after?: number;

  @ApiPropertyOptional({
    format: 'uuid',
    description: 'The epoch that `after` belongs to; another one than now answers `recovered: false`',
  })
  @Optional()
  @IsUUID()
  epoch?: string;
}

export class UnsubscribeDto {
  @ChannelField()
  channel!: string;
}

export class AuthenticateDto {
  @SecretField({ description: 'A fresh access token of the same user' })
  token!: string;
}

export class UnsubscribedAck {
  @ApiProperty({ enum: [true] })
  ok!: true;
  @ApiProperty({ example: 'news' })
  channel!: string;
}

export class PublishedAck extends ChannelMessageResponse {
  @ApiProperty({ enum: [true] })
  ok!: true;
}

export class AuthenticatedAck {
  @ApiProperty({ enum: [true] })
  ok!: true;
  @ApiProperty({
    type: String,
    nullable: true,
    format: 'date-time',
    description: 'The socket ends then unless it is renewed again; null for an API key without an end',
  })
  expires_at!: string | null;
}

export class PongAck {
  @ApiProperty({ enum: [true] })
  ok!: true;
  @ApiProperty({ format: 'date-time', description: "The server's clock" })
  time!: string;
}

export class ConnectedEvent {
  @ApiProperty({ example: 'Zk3vN0uOSbQ4AAAB' })
  socket_id!: string;
  @ApiProperty({ type: MemberResponse })
  user!: MemberResponse;
  @ApiProperty({
    type: String,
    nullable: true,
    format: 'date-time',
    description:
      'The socket ends then, with the token, unless `authenticate` renews it; null for an API key without an end',
  })
  expires_at!: string | null;
}

export class PresenceEvent {
  @ApiProperty({ example: 'presence-lobby' })
  channel!: string;
  @ApiProperty({ type: MemberResponse })
  user!: MemberResponse;
}

export class UnsubscribedEvent {
  @ApiProperty({ example: 'private-team' })
  channel!: string;
  @ApiProperty({ enum: ['membership_removed'] })
  reason!: 'membership_removed';
}

const END_REASON_NAMES: Record<EndReason, true> = {
  logged_out: true,
  account_disabled: true,
  account_deleted: true,
  role_changed: true,
  api_key_revoked: true,
  token_expired: true,
  rate_limited: true,
  slow_reader: true,
  subscription_failed: true,
};
export const END_REASONS = Object.keys(END_REASON_NAMES) as readonly EndReason[];

export class SessionEndedEvent {
  @ApiProperty({ enum: END_REASONS })
  reason!: EndReason;
}
