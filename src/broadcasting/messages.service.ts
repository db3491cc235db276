import { isDeepStrictEqual } from 'node:util';
import { Injectable } from '@nestjs/common';
import { v7 as uuidv7 } from 'uuid';
import type { Principal } from '../common/auth/principal.js';
import {
  ChannelForbiddenError,
  IdempotencyConflictError,
  InvalidChannelError,
  MessageTooLargeError,
  PublishForbiddenError,
  VolatileKeyError,
} from './broadcasting.errors.js';
import { ChannelAccess } from './channels/channel-access.service.js';
import { parseChannelName } from './channels/channel-name.js';
import { ChannelsRepository } from './channels/channels.repository.js';
import type { ChannelMessageResponse } from './dto/channel-message.response.js';
import { type HistoryPage, MessageLog } from './log/message-log.js';
import { Publisher } from './log/publisher.js';
import { VolatileBus } from './volatile/volatile-bus.js';

export const DATA_BYTES_MAX = 64 * 1024;
/** A page of large messages is shorter than it may be; clients go on from its last sequence anyhow. */
const PAGE_BYTES_MAX = 2 * 1024 * 1024;

export interface NewMessage {
  readonly channel: string;
  readonly event: string;
  readonly data?: unknown;
  readonly idempotencyKey?: string;
  readonly isDurable: boolean;
}

@Injectable()
export class MessagesService {
  /** Since this process has started; a message that was published before under its key is not counted again. */
  readonly published = { durable: 0, volatile: 0 };

  constructor(
    private readonly access: ChannelAccess,
    private readonly channels: ChannelsRepository,
    private readonly publisher: Publisher,
    private readonly log: MessageLog,
    private readonly bus: VolatileBus,
  ) {}

  /**
   * When this resolves, a durable message is on disk and has its place in the channel. `isNew` is false when the key was used before.
   * @throws InvalidChannelError, PublishForbiddenError, MessageTooLargeError, IdempotencyConflictError, ChannelNotFoundError
   */
  async publish(caller: Principal, message: NewMessage): Promise<{ message: ChannelMessageResponse; isNew: boolean }> {
    const channel = parseChannelName(message.channel);
    if (!channel) throw new InvalidChannelError();
    const data = JSON.stringify(message.data ?? null);
    if (Buffer.byteLength(data) > DATA_BYTES_MAX) throw new MessageTooLargeError(DATA_BYTES_MAX);
    if (!(await this.access.mayPublish(caller, channel))) throw new PublishForbiddenError();
    const sent = await (message.isDurable
      ? this.publishDurable(caller, message, data)
      : this.sendVolatile(caller, message));
    if (sent.isNew) this.published[message.isDurable ? 'durable' : 'volatile']++;
    return sent;
  }

  /** @throws InvalidChannelError, ChannelForbiddenError */
  async history(caller: Principal, name: string, after: number, limit: number): Promise<HistoryPage> {
    const channel = parseChannelName(name);
    if (!channel) throw new InvalidChannelError();
    if (!(await this.access.mayRead(caller, channel))) throw new ChannelForbiddenError();
    return this.log.read(name, after, { messages: limit, bytes: PAGE_BYTES_MAX });
  }

  private async publishDurable(
    caller: Principal,
    { channel, event, idempotencyKey, data: given }: NewMessage,
    data: string,
  ) {
    const published = await this.publisher.publish({
      id: uuidv7(),
      channel,
      event,
      data,
      senderId: caller.id,
      idempotencyKey: idempotencyKey ?? null,
    });
    const { message, isNew } = published;
    // The keys of an object have no order, so texts are not compared.
    if (
      !isNew &&
      !(message.event === event && isDeepStrictEqual(message.data, JSON.parse(JSON.stringify(given ?? null))))
    )
      throw new IdempotencyConflictError();
    return { message, isNew };
  }

  private async sendVolatile(caller: Principal, { channel, event, data, idempotencyKey }: NewMessage) {
    if (idempotencyKey !== undefined) throw new VolatileKeyError();
    const message: ChannelMessageResponse = {
      id: uuidv7(),
      channel,
      sequence: null,
      epoch: await this.channels.epochOf(channel),
      event,
      data: data ?? null,
      sender_id: caller.id,
      created_at: new Date().toISOString(),
    };
    await this.bus.send(message);
    return { message, isNew: true };
  }
}
