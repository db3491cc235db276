import { path } from '../http/path.js';
import type { CallOptions, Transport } from '../http/transport.js';
import { Connection, type ConnectOptions } from '../live/connection.js';
import { keyed } from '../live/keyed.js';
import { ChannelStream, type StreamOptions } from '../live/stream.js';
import type { StreamEvent } from '../live/types.js';
import { iterate } from '../pagination.js';
import type {
  Authorised,
  AuthoriseInput,
  BroadcastingStats,
  Channel,
  ChannelMessage,
  History,
  Member,
  Page,
  PublishInput,
  Query,
  StreamTicket,
  UpdateChannelInput,
} from '../types.js';

/** Channels and their messages. A key needs `broadcast:read`, for publishing `broadcast:write`. */
export class Broadcasting {
  readonly channels: Channels;

  /** @internal */
  constructor(private readonly transport: Transport) {
    this.channels = new Channels(transport);
  }

  /**
   * Publishes a message, which is on disk when this resolves. A durable one without `idempotency_key` gets a random one, so that
   * it can be sent again when an answer is lost, and yet is published once.
   *
   * @throws PermissionDeniedError when the channel's policy does not let the user publish
   */
  publish<Data = unknown>(input: PublishInput, options?: CallOptions): Promise<ChannelMessage<Data>> {
    return this.transport.json({
      method: 'POST',
      path: '/api/v1/broadcasting/messages',
      json: keyed(input),
      isRepeatable: input.durable !== false,
      ...options,
    });
  }

  /** What follows sequence `after` (default 0): at most `limit` messages (default 50, at most 500). */
  history<Data = unknown>(
    channel: string,
    query?: Omit<Query<'get_broadcasting_messages'>, 'channel'>,
    options?: CallOptions,
  ): Promise<History<Data>> {
    return this.transport.json({
      method: 'GET',
      path: '/api/v1/broadcasting/messages',
      query: { channel, ...query },
      ...options,
    });
  }

  /** Whether the user may read a channel. @throws PermissionDeniedError when not */
  authorize(input: AuthoriseInput, options?: CallOptions): Promise<Authorised> {
    return this.transport.json({
      method: 'POST',
      path: '/api/v1/broadcasting/auth',
      json: input,
      isRepeatable: true,
      ...options,
    });
  }

  /** For admins: connections by node and channel. */
  stats(options?: CallOptions): Promise<BroadcastingStats> {
    return this.transport.json({ method: 'GET', path: '/api/v1/broadcasting/stats', ...options });
  }

  /** A ticket that opens event streams for a minute, for EventSource, which cannot send a token. `stream()` needs none. */
  createStreamTicket(options?: CallOptions): Promise<StreamTicket> {
    return this.transport.json({
      method: 'POST',
      path: '/api/v1/broadcasting/stream/ticket',
      isRepeatable: true,
      ...options,
    });
  }

  /**
   * Connects by Socket.IO: many channels, and publishing, over one connection, which comes back by itself. It returns at once; the
   * state of the connection tells the rest. Sign in before.
   */
  connect(options?: ConnectOptions): Connection {
    return new Connection(this.transport, options);
  }

  /**
   * Reads one channel over an HTTP response that does not end, and goes on by itself after a lost connection, with what was published
   * meanwhile. It ends with `break`, by `signal`, or after an event `ended`, when the session or the membership has ended. Of volatile
   * messages those are missed that are published while a connection is made, as with each new access token.
   *
   * ```ts
   * for await (const event of api.broadcasting.stream('news'))
   *   if (event.type === 'message') console.log(event.message.data);
   * ```
   *
   * @throws PermissionDeniedError when the channel may not be read, also when that turns out later
   * @throws ConnectionError, TimeoutError when the server cannot be reached at first; afterwards it is tried again and again
   */
  stream<Data = unknown>(
    channel: string,
    options: StreamOptions = {},
  ): AsyncGenerator<StreamEvent<Data>, void, undefined> {
    return new ChannelStream<Data>(this.transport, channel, options).events();
  }
}

/** The channels that the user may read. */
export class Channels {
  readonly members: ChannelMembers;

  /** @internal */
  constructor(private readonly transport: Transport) {
    this.members = new ChannelMembers(transport);
  }

  /** One page of the channels that have been used. */
  list(query?: Query<'get_broadcasting_channels'>, options?: CallOptions): Promise<Page<Channel>> {
    return this.transport.json({ method: 'GET', path: '/api/v1/broadcasting/channels', query, ...options });
  }

  /** All channels that have been used. What is removed meanwhile shifts items between pages. */
  iterate(options?: CallOptions): AsyncGenerator<Channel> {
    return iterate((page) => this.list(page, options));
  }

  /** One channel; of a presence channel with its members. A name that nobody has used is an empty channel. */
  get(name: string, options?: CallOptions): Promise<Channel> {
    return this.transport.json({ method: 'GET', path: path`/api/v1/broadcasting/channels/${name}`, ...options });
  }

  /** For admins: who may publish, and how long messages are kept; `null` goes back to the server's own. */
  update(name: string, input: UpdateChannelInput, options?: CallOptions): Promise<Channel> {
    return this.transport.json({
      method: 'PUT',
      path: path`/api/v1/broadcasting/channels/${name}`,
      json: input,
      ...options,
    });
  }
}

/** For admins: who may read a `private-<name>` channel. */
export class ChannelMembers {
  /** @internal */
  constructor(private readonly transport: Transport) {}

  /** One page of members. */
  list(
    channel: string,
    query?: Query<'get_broadcasting_channels_name_members'>,
    options?: CallOptions,
  ): Promise<Page<Member>> {
    const route = path`/api/v1/broadcasting/channels/${channel}/members`;
    return this.transport.json({ method: 'GET', path: route, query, ...options });
  }

  /** All members. To remove them, collect the ids first: what is removed meanwhile shifts items between pages. */
  iterate(channel: string, options?: CallOptions): AsyncGenerator<Member> {
    return iterate((page) => this.list(channel, page, options));
  }

  /** Lets a user read the channel. */
  async add(channel: string, userId: string, options?: CallOptions): Promise<void> {
    const route = path`/api/v1/broadcasting/channels/${channel}/members/${userId}`;
    await this.transport.json({ method: 'PUT', path: route, ...options });
  }

  /** Removes a member; the user's open subscriptions end. */
  async remove(channel: string, userId: string, options?: CallOptions): Promise<void> {
    const route = path`/api/v1/broadcasting/channels/${channel}/members/${userId}`;
    await this.transport.json({ method: 'DELETE', path: route, ...options });
  }
}
