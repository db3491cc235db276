import { AuthenticationError, GatehouseError } from '../errors.js';
import type { CallOptions, Transport } from '../http/transport.js';
import type { ChannelMessage, PublishInput } from '../types.js';
import { pauseBefore } from './back-off.js';
import { ChannelReader } from './channel-reader.js';
import { Emitter, type Listener } from './emitter.js';
import { Link, type LinkEnd } from './link.js';
import { Publisher } from './publishing.js';
import { planAfter } from './recovery.js';
import { Renewal } from './renewal.js';
import { socketTo, type SocketTransport } from './socket.js';
import type { SubscribeOptions, Subscription } from './subscription.js';
import type { Closed, ConnectionEvents, ConnectionState, Lost } from './types.js';

/** How a connection is kept. */
export interface ConnectOptions {
  /**
   * `['websocket', 'polling']` by default: the second where the first does not get through. Before several nodes, `'polling'` needs
   * sticky sessions.
   */
  transports?: SocketTransport[];
  /** The longest pause between two attempts to connect, in milliseconds; 8,000 by default. */
  reconnectDelayMax?: number;
}

const TRANSPORTS: SocketTransport[] = ['websocket', 'polling'];
const LONGEST_DELAY_MS = 8_000;
/** A link that was up for so long was a good one: the next attempt is made soon. */
const GOOD_LINK_MS = 2_000;

/**
 * A live connection of the signed-in user, or of the API key. It comes back by itself after restarts of the server, lost networks and
 * expired tokens, and renews its token before that expires. It closes for good when the session ends, by `auth.logout()` or at the
 * server, when the account or key does, and by `close()`.
 */
export class Connection {
  private readonly events = new Emitter<ConnectionEvents>();
  private readonly readers = new Map<string, ChannelReader<never>>();
  /** Those that have ended, with messages that are still to be handled. */
  private readonly ending = new Set<ChannelReader<never>>();
  private readonly waiting = new Set<(link: Link) => void>();
  private readonly closing = new AbortController();
  private readonly publisher = new Publisher(
    { up: () => (this.link?.isUp ? this.link : null), nextUp: (signal) => this.nextUp(signal) },
    this.closing.signal,
  );
  private readonly stopListening: () => void;
  private readonly session: number;
  private current: ConnectionState = 'connecting';
  private final: Closed | null = null;
  private link: Link | null = null;
  private renewal: Renewal | null = null;
  private attempts = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;
  /** The token not to be used again; the next link takes another one in its place. */
  #staleToken: string | null = null;

  /** @internal */
  constructor(
    private readonly transport: Transport,
    private readonly options: ConnectOptions = {},
  ) {
    this.session = transport.session.epoch;
    this.stopListening = transport.session.onChange((event) => {
      if (event !== 'refreshed' && !transport.usesApiKey) this.end({ reason: 'logged_out', error: null });
    });
    void this.open();
  }

  /** `connecting` until it has been connected for the first time, `reconnecting` whenever it has been lost since. */
  get state(): ConnectionState {
    return this.current;
  }

  /** Why it is closed; null as long as it is not. */
  get closed(): Closed | null {
    return this.final;
  }

  /** @returns a function that ends the listening */
  on<Name extends keyof ConnectionEvents>(name: Name, listener: Listener<ConnectionEvents[Name]>): () => void {
    return this.events.on(name, listener);
  }

  /**
   * Reads a channel, whether the connection is there already or not. A key needs `broadcast:read`.
   *
   * @param handler the first listener of `message`; the next message comes when its promise is fulfilled. Without it, listen by
   * `.on('message', …)` at once: a message that nobody listens to counts as handled
   * @throws Error when the channel is subscribed already: add a listener to that subscription, or make another connection
   */
  subscribe<Data = unknown>(
    channel: string,
    handler?: (message: ChannelMessage<Data>) => unknown,
    options: SubscribeOptions = {},
  ): Subscription<Data> {
    if (this.final) throw closedError(this.final);
    if (this.readers.has(channel)) throw new Error(`The connection is subscribed to ${channel} already`);
    const reader = new ChannelReader<Data>(channel, options, () => this.remove(channel));
    if (handler !== undefined) reader.on('message', handler);
    this.readers.set(channel, reader as unknown as ChannelReader<never>);
    if (this.link?.isUp) reader.attach(this.link);
    return reader;
  }

  /**
   * Publishes a message by this connection. A durable one waits for a connection, and is sent again when the answer is lost, under a key
   * that keeps it from being published twice; beyond 16 at once they wait in line. A volatile one (`durable: false`) fails when there is
   * no connection. `timeout` (30 s) is for all attempts and the line. A key needs `broadcast:write`.
   *
   * @throws PermissionDeniedError when the channel's policy does not let the user publish
   * @throws RateLimitError when it could not be sent in time because the connection may not send so many events
   * @throws ConnectionError, TimeoutError
   */
  publish<Data = unknown>(input: PublishInput, options: CallOptions = {}): Promise<ChannelMessage<Data>> {
    return this.publisher.publish(input, options);
  }

  /** Ends the connection and its subscriptions. Handlers that are at work end their work. */
  close(): void {
    this.end({ reason: 'closed', error: null });
  }

  private async open(): Promise<void> {
    try {
      const token = await this.nextToken();
      if (this.final) return;
      this.transport.session.assertEpoch(this.session);
      if (token === null) return this.end({ reason: 'logged_out', error: notSignedIn() });
      const { transports = TRANSPORTS } = this.options;
      const socket = await socketTo(this.transport.baseURL, token, transports);
      if (this.final) return;
      this.link = new Link(socket, token, {
        onUp: () => this.up(),
        onEvent: (name, payload) => this.take(name, payload as { channel: string }),
        onDown: (end) => this.down(end),
      });
      this.link.open();
    } catch (error) {
      this.openFailed(error as Error);
    }
  }

  private nextToken(): Promise<string | null> {
    const { transport } = this;
    return this.#staleToken === null ? transport.token() : transport.renewToken(this.#staleToken);
  }

  /** There were no tokens to be had, or no library. */
  private openFailed(error: Error): void {
    if (this.final) return;
    if (error instanceof AuthenticationError) return this.end({ reason: 'logged_out', error });
    if (!(error instanceof GatehouseError)) return this.end({ reason: 'failed', error });
    this.recover({ reason: 'no token', error, lasted: 0 }, null);
  }

  private up(): void {
    const { link, transport } = this;
    if (!link) return;
    this.#staleToken = null;
    if (!transport.usesApiKey) this.renewal = new Renewal(transport, link);
    for (const reader of this.readers.values()) reader.attach(link);
    for (const resolve of [...this.waiting]) resolve(link);
    this.become('connected', null);
  }

  private take(name: string, payload: { channel: string }): void {
    this.readers.get(payload.channel)?.take(name, payload);
  }

  private down(end: LinkEnd): void {
    const token = this.link?.token ?? null;
    this.leaveLink();
    this.recover(end, token);
  }

  private recover(end: LinkEnd, token: string | null): void {
    const plan = planAfter(end, this.#staleToken !== null, this.transport.usesApiKey);
    if (plan.close !== null) return this.end({ reason: plan.close, error: end.error });
    if (plan.renew) this.#staleToken = token;
    if (end.lasted >= GOOD_LINK_MS) this.attempts = 0;
    const { reconnectDelayMax = LONGEST_DELAY_MS } = this.options;
    const pause = pauseBefore(this.attempts, reconnectDelayMax);
    const delay = plan.wait === null && this.attempts === 0 ? 0 : Math.max(plan.wait ?? 0, pause);
    this.attempts++;
    this.timer = setTimeout(() => void this.open(), delay);
    const isFirst = this.current === 'connecting';
    this.become(isFirst ? 'connecting' : 'reconnecting', { reason: end.reason, error: end.error });
  }

  private leaveLink(): void {
    this.link = null;
    this.renewal?.stop();
    this.renewal = null;
    for (const reader of this.readers.values()) reader.detach();
  }

  private end(closed: Closed): void {
    if (this.final) return;
    this.final = closed;
    clearTimeout(this.timer);
    this.stopListening();
    this.link?.close();
    this.leaveLink();
    for (const reader of [...this.readers.values(), ...this.ending])
      reader.end({ reason: 'connection_closed', error: closed.error });
    this.closing.abort(closedError(closed));
    this.become('closed', closed);
  }

  private remove(channel: string): void {
    const reader = this.readers.get(channel);
    if (!reader) return;
    this.readers.delete(channel);
    this.ending.add(reader);
    void reader.finished.then(() => this.ending.delete(reader));
  }

  private nextUp(signal: AbortSignal): Promise<Link> {
    if (this.link?.isUp) return Promise.resolve(this.link);
    return new Promise((resolve, reject) => {
      signal.throwIfAborted();
      const settle = (then: () => void) => () => {
        this.waiting.delete(take);
        signal.removeEventListener('abort', abort);
        then();
      };
      const abort = settle(() => reject(signal.reason));
      const take = (link: Link) => settle(() => resolve(link))();
      this.waiting.add(take);
      signal.addEventListener('abort', abort, { once: true });
    });
  }

  private become(state: ConnectionState, cause: Lost | Closed | null): void {
    this.current = state;
    this.events.emit('state', state, cause);
  }
}

function closedError({ reason, error }: Closed): Error {
  return error ?? new GatehouseError(`The connection is closed: ${reason}`, { status: 0, code: 'connection_closed' });
}

function notSignedIn(): AuthenticationError {
  return new AuthenticationError('Not signed in', { status: 401, code: 'not_authenticated' });
}
