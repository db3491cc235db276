import { path } from '../http/path.js';
import type { CallOptions, Transport } from '../http/transport.js';
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
    const isDurable = input.durable !== false;
    const json = isDurable ? { idempotency_key: randomKey(), ...input } : input;
    return this.transport.json({
      method: 'POST',
      path: '/api/v1/broadcasting/messages',
      json,
      isRepeatable: isDurable,
      ...options,
    });
  }

  /** What follows sequence `after` (default 0): at most `limit` messages (default 50, at most 500). */
  history(
    channel: string,
    query?: Omit<Query<'get_broadcasting_messages'>, 'channel'>,
    options?: CallOptions,
  ): Promise<History> {
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
}

/** The channels that the user may read. */
export class Channels {
  readonly members: ChannelMembers;

  constructor(private readonly transport: Transport) {
    this.members = new ChannelMembers(transport);
  }

  list(query?: Query<'get_broadcasting_channels'>, options?: CallOptions): Promise<Page<Channel>> {
    return this.transport.json({ method: 'GET', path: '/api/v1/broadcasting/channels', query, ...options });
  }

  iterate(options?: CallOptions): AsyncGenerator<Channel> {
    return iterate((page) => this.list(page, options));
  }

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
  constructor(private readonly transport: Transport) {}

  list(
    channel: string,
    query?: Query<'get_broadcasting_channels_name_members'>,
    options?: CallOptions,
  ): Promise<Page<Member>> {
    const route = path`/api/v1/broadcasting/channels/${channel}/members`;
    return this.transport.json({ method: 'GET', path: route, query, ...options });
  }

  iterate(channel: string, options?: CallOptions): AsyncGenerator<Member> {
    return iterate((page) => this.list(channel, page, options));
  }

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

/** crypto.randomUUID() is missing on pages that do not come by HTTPS. */
function randomKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
