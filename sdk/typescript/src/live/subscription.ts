import type { Listener } from './emitter.js';
import type { Ended, Position, Present, StartOptions, SubscriptionEvents } from './types.js';

export interface SubscribeOptions extends StartOptions {
  /**
   * How many messages may wait for a slow handler, 1,000 by default. When there are more, the channel is left, and read on from there
   * once most of them are handled. Volatile messages are dropped meanwhile.
   */
  queueLimit?: number;
}

/**
 * The reading of one channel. It comes back by itself with everything that was published meanwhile.
 *
 * Events:
 * - `message`: its listeners are called one after the other, and awaited; the next message comes after that. When one of them fails,
 *   `error` is told, and the message comes again after a while, until it is handled or the subscription is given up. So a message is
 *   handled at least once, and in order.
 * - `gap`: some messages are not kept any more; what is kept follows. Its listeners are awaited in the same way.
 * - `joined`, `left`: who comes and goes in a presence channel, as it happens.
 * - `error`: a listener of `message` or `gap` has failed. Without a listener the error counts as an unhandled rejection.
 * - `ended`: once, and last.
 */
export interface Subscription<Data = unknown> {
  readonly channel: string;
  /** After the last message that was handled; null before the first acknowledgement, unless `after` was given. */
  readonly position: Position | null;
  /** Who is present, in a presence channel; at most 1,000 users. */
  readonly members: readonly Present[];
  /** Why it is over; null as long as it is not. */
  readonly ended: Ended | null;
  /** Resolves with the place from which it reads, once the server has acknowledged it. Rejects when it ends before that. */
  readonly ready: Promise<Position>;
  /** Resolves when it has ended and no handler is at work any more. */
  readonly finished: Promise<Ended>;
  /** @returns a function that ends the listening */
  on<Name extends keyof SubscriptionEvents<Data>>(
    name: Name,
    listener: Listener<SubscriptionEvents<Data>[Name]>,
  ): () => void;
  /** Ends it. A handler that is at work ends its work; what waits is not handled. */
  unsubscribe(): void;
}
