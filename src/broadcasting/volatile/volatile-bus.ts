import type { Logger } from '@nestjs/common';
import type { Namespace } from 'socket.io';
import type { LocalAudience } from '../delivery/local-audience.js';
import type { ChannelMessageResponse } from '../dto/channel-message.response.js';

/** Carries messages that are not durable to everybody who reads their channel now, on every node: at once, or not at all. */
export abstract class VolatileBus {
  protected abstract readonly logger: Logger;

  constructor(private readonly audience: LocalAudience) {}

  /** Emits on this node before it returns. Never fails: other nodes get it if they can be reached. */
  abstract send(message: ChannelMessageResponse): Promise<void>;

  /** For the gateway, when its namespace is there. */
  abstract attach(namespace: Namespace): void;

  /** Of another node. Whoever brings it would not know what to do with an error. */
  protected receive(body: string): void {
    try {
      this.emit(JSON.parse(body) as ChannelMessageResponse);
    } catch (error) {
      this.logger.error('A message of another node could not be delivered', (error as Error).stack);
    }
  }

  protected emit(message: ChannelMessageResponse): void {
    this.audience.emit(message.channel, 'message', message);
  }
}
