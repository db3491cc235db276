import type { Namespace } from 'socket.io';
import type { ChannelMessageResponse } from '../dto/channel-message.response.js';

/** Carries messages that are not durable to everybody who reads their channel now, on every node: at once, or not at all. */
export abstract class VolatileBus {
  /** Emits on this node before it returns. Never fails: other nodes get it if they can be reached. */
  abstract send(message: ChannelMessageResponse): Promise<void>;

  /** For the gateway, when its namespace is there. */
  abstract attach(namespace: Namespace): void;
}
