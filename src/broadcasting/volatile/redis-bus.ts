import { Logger } from '@nestjs/common';
import type { Namespace } from 'socket.io';
import type { ChannelMessageResponse } from '../dto/channel-message.response.js';
import { VolatileBus } from './volatile-bus.js';

const EVENT = 'volatile';

/**
 * By Socket.IO's own bus between servers, when that is Redis. Messages go as text: the adapter's encoding throws at data that is nested
 * deeply, where nobody catches it, and drops data with a `__proto__`.
 */
export class RedisBus extends VolatileBus {
  protected readonly logger = new Logger(RedisBus.name);
  private namespace: Namespace | null = null;

  attach(namespace: Namespace): void {
    this.namespace = namespace;
    namespace.on(EVENT, (body: string) => this.receive(body));
  }

  send(message: ChannelMessageResponse): Promise<void> {
    this.emit(message);
    this.namespace?.serverSideEmit(EVENT, JSON.stringify(message));
    return Promise.resolve();
  }
}
