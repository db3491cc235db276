import type { Principal } from '../../common/auth/principal.js';
import type { ChannelPart } from './local-audience.js';

/** Why a connection was ended, as `session:ended` tells it. */
export type EndReason =
  | 'logged_out'
  | 'account_disabled'
  | 'account_deleted'
  | 'role_changed'
  | 'api_key_revoked'
  | 'token_expired'
  | 'slow_reader'
  | 'rate_limited'
  | 'subscription_failed';

/** Much at once makes no slow reader: one is cut who is behind by `SOCKET_BUFFER` for so long, or by so many times as much. */
export const SLOW_PATIENCE_MS = 1_000;
export const SLOW_FACTOR = 4;

/** Something that takes what channels bring: a socket, an event stream. */
export interface Subscriber {
  readonly id: string;
  /** As the database had it when the connection was let in, or renewed. */
  readonly principal: Principal;
  /** False once the connection is over; nothing is sent any more. */
  readonly isOpen: boolean;
  /** To this one alone; in the order of the calls. */
  send(event: string, payload: object): void;
  /** From now on what is emitted on this node to that part of the channel comes to this one too (`LocalAudience`). */
  join(channel: string, part: ChannelPart): void;
  /** All parts. */
  leave(channel: string): void;
  /** Resolves when most of what was sent has left this process, and at once when the connection is over. */
  drained(): Promise<void>;
  /** Tells the reason and closes. Idempotent. */
  end(reason: EndReason): void;
}
