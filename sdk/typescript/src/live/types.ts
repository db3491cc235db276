import type { GatehouseError } from '../errors.js';
import type { Channel, ChannelMessage } from '../types.js';

/** Somebody who is present in a presence channel. */
export type Present = NonNullable<Channel['members']>[number];

/** How far a channel has been read. Keep it, and give it as `after` and `epoch` to go on from there. */
export interface Position {
  /** Of the last message that was handled. */
  sequence: number;
  /** The count that the sequence belongs to; it changes when a server's sequences begin anew. */
  epoch?: string;
}

/** Where to begin. Without `after`: with what is published from now on. */
export interface StartOptions {
  /** Begin with what follows this sequence; 0: with everything that is kept. */
  after?: number;
  /** The epoch that `after` belongs to. */
  epoch?: string;
}

/** Some messages after the position are not kept any more, or belong to another count. */
export interface Gap {
  /** What is kept goes on from here. */
  first_sequence: number;
  epoch: string;
  /** How far the channel had been read. */
  after: Position;
}

/** The reasons by which the server ends a connection. Servers to come may have others. */
export type SessionEndReason =
  | 'logged_out'
  | 'account_disabled'
  | 'account_deleted'
  | 'role_changed'
  | 'api_key_revoked'
  | 'token_expired'
  | 'rate_limited'
  | 'slow_reader'
  | 'subscription_failed'
  | (string & {});

export type ConnectionState = 'connecting' | 'connected' | 'reconnecting' | 'closed';

/** Why a connection is closed and does not come back. */
export interface Closed {
  /**
   * `closed` by `close()`; `logged_out`: sign in and connect again; `refused`: `error` says why; `failed`: the library of sockets could
   * not be loaded, or the tokens not be read.
   */
  reason: 'closed' | 'logged_out' | 'account_disabled' | 'account_deleted' | 'api_key_revoked' | 'refused' | 'failed';
  error: Error | null;
}

/** Why a connection was lost, which is being made again. */
export interface Lost {
  /** What the server said, or what happened to the transport; for people and logs. */
  reason: SessionEndReason;
  error: GatehouseError | null;
}

export type ConnectionEvents = {
  /** The new state; with `reconnecting` and `closed`: why. */
  state: [state: ConnectionState, cause: Lost | Closed | null];
};

/** Why a subscription has ended. */
export interface Ended {
  /** `unsubscribed` by the caller; `membership_removed`; `refused`: `error` says why; `connection_closed`: see `connection.closed`. */
  reason: 'unsubscribed' | 'membership_removed' | 'refused' | 'connection_closed' | (string & {});
  error: Error | null;
}

export type SubscriptionEvents<Data> = {
  message: [message: ChannelMessage<Data>];
  gap: [gap: Gap];
  joined: [user: Present];
  left: [user: Present];
  error: [error: unknown, item: ChannelMessage<Data> | Gap];
  ended: [ended: Ended];
};

/** What `broadcasting.stream()` brings. The names are those of a subscription's events. */
export type StreamEvent<Data = unknown> =
  | { type: 'subscribed'; position: Position; members: Present[] | null }
  | { type: 'message'; message: ChannelMessage<Data> }
  | { type: 'gap'; gap: Gap }
  | { type: 'joined'; user: Present }
  | { type: 'left'; user: Present }
  | { type: 'ended'; reason: SessionEndReason };
