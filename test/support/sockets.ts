import { io, type ManagerOptions, type Socket, type SocketOptions } from 'socket.io-client';
import { v7 as uuidv7 } from 'uuid';
import type { ChannelMessageResponse } from '../../src/broadcasting/dto/channel-message.response.js';
import { Publisher } from '../../src/broadcasting/log/publisher.js';
import type { ErrorBody } from '../../src/common/errors/error-body.js';
import type { TestApp } from './test-app.js';

/** A client that waits for so long waits for what will not come. */
const TIMEOUT_MS = 60_000;

interface Event {
  readonly name: string;
  readonly payload: any;
  isTaken: boolean;
}

interface Waiting {
  check(): boolean;
}

/** Socket.IO's own client, with all that has come to it. */
export class TestSocket {
  readonly events: Event[] = [];
  /** Messages of channels that the client is not subscribed to. */
  readonly strays: ChannelMessageResponse[] = [];
  /** Why the transport or the namespace was left, each time. */
  readonly disconnections: string[] = [];
  private readonly logs = new Map<string, ChannelMessageResponse[]>();
  private readonly waiting = new Set<Waiting>();

  constructor(readonly socket: Socket) {
    socket.onAny((name: string, payload: unknown) => this.take({ name, payload, isTaken: false }));
    socket.on('connect_error', () => this.look());
    socket.on('disconnect', (reason) => {
      this.disconnections.push(reason);
      this.look();
    });
  }

  /** The answer to an event. */
  ask(event: string, ...payload: unknown[]): Promise<any> {
    return this.socket.timeout(TIMEOUT_MS).emitWithAck(event, ...payload);
  }

  /** From its acknowledgement on, what comes of the channel is in `log()`, which begins anew. */
  subscribe(channel: string, from: { after?: number; epoch?: string } = {}): Promise<any> {
    return this.settled('subscribe', { channel, ...from }, (answer) => {
      if (answer.ok) this.logs.set(channel, []);
    });
  }

  unsubscribe(channel: string): Promise<any> {
    return this.settled('unsubscribe', { channel }, () => this.logs.delete(channel));
  }

  publish(channel: string, event: string, data?: unknown, more: object = {}): Promise<any> {
    return this.ask('publish', { channel, event, data, ...more });
  }

  /** What has come since the channel was subscribed to. */
  log(channel: string): ChannelMessageResponse[] {
    return this.logs.get(channel) ?? [];
  }

  sequences(channel: string): (number | null)[] {
    return this.log(channel).map(({ sequence }) => sequence);
  }

  /** Of all messages of the channel that have ever come, whatever connection and subscription they came by. */
  everSent(channel: string): (number | null)[] {
    return this.events
      .filter(({ name, payload }) => name === 'message' && payload.channel === channel)
      .map(({ payload }) => payload.sequence);
  }

  /** Welcomed so many times: the first, and after each time that it has come back. */
  async welcomed(times: number): Promise<void> {
    await this.until(() => this.events.filter(({ name }) => name === 'connected').length >= times, `welcome ${times}`);
  }

  /** The first such event that no call before this has answered, now or when it comes. */
  async next(name: string, matches: (payload: any) => boolean = () => true): Promise<any> {
    let found: Event | undefined;
    await this.until(
      () => (found = this.events.find((event) => !event.isTaken && event.name === name && matches(event.payload))),
      `the event ${name}`,
    );
    if (found) found.isTaken = true;
    return found?.payload;
  }

  /** Resolves once the condition holds; it is looked at when something has come. */
  until(holds: () => unknown, what = String(holds)): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.waiting.delete(waiting);
        const came = this.events
          .slice(-5)
          .map(({ name, payload }) => `${name} ${JSON.stringify(payload).slice(0, 200)}`);
        reject(new Error(`There was no ${what}, but: ${[...came, ...this.disconnections].join('; ')}`));
      }, TIMEOUT_MS);
      const waiting = {
        check: () => {
          if (!holds()) return false;
          clearTimeout(timer);
          resolve();
          return true;
        },
      };
      if (!waiting.check()) this.waiting.add(waiting);
    });
  }

  /** As many messages of the channel. */
  async messages(channel: string, count: number): Promise<ChannelMessageResponse[]> {
    await this.until(() => this.log(channel).length >= count, `${count} messages of ${channel}`);
    return this.log(channel);
  }

  /** Resolves with what the client's library calls the reason. */
  async disconnected(): Promise<string> {
    await this.until(() => this.disconnections.length > 0, 'a disconnection');
    return this.disconnections[0];
  }

  /** Ended by the server for good: why, and the library does not come back by itself. */
  async ended(): Promise<string> {
    const { reason } = await this.next('session:ended');
    expect(await this.disconnected()).toBe('io server disconnect');
    expect(this.socket.active).toBe(false);
    return reason as string;
  }

  close(): void {
    this.socket.disconnect();
  }

  private settled(event: string, payload: object, settle: (answer: any) => void): Promise<any> {
    return new Promise((resolve, reject) => {
      this.socket.timeout(TIMEOUT_MS).emit(event, payload, (error: Error | null, answer: any) => {
        if (error) return reject(error);
        // In the same turn: messages may be right behind.
        settle(answer);
        resolve(answer);
      });
    });
  }

  private take(event: Event): void {
    this.events.push(event);
    if (event.name === 'message') {
      const message = event.payload as ChannelMessageResponse;
      (this.logs.get(message.channel) ?? this.strays).push(message);
    }
    this.look();
  }

  private look(): void {
    for (const waiting of this.waiting) if (waiting.check()) this.waiting.delete(waiting);
  }
}

type Options = Partial<ManagerOptions & SocketOptions> & { namespace?: string };

const opened = new Set<Socket>();

/** Not waited for; without a user, without a token. */
export function open(
  app: Pick<TestApp, 'url'>,
  user: { accessToken: string } | null,
  { namespace = '/broadcasting', ...options }: Options = {},
): TestSocket {
  const socket = io(`${app.url}${namespace}`, {
    auth: user ? { token: user.accessToken } : {},
    forceNew: true,
    transports: ['websocket'],
    reconnection: false,
    reconnectionDelay: 10,
    reconnectionDelayMax: 50,
    ...options,
  });
  opened.add(socket);
  return new TestSocket(socket);
}

/** Connected, and welcomed. */
export async function connect(
  app: Pick<TestApp, 'url'>,
  user: { accessToken: string },
  options: Options = {},
): Promise<TestSocket> {
  const client = open(app, user, options);
  await new Promise<void>((resolve, reject) => {
    client.socket.once('connect_error', (error) =>
      reject(
        Object.assign(error, { message: `${error.message} ${JSON.stringify((error as { data?: unknown }).data)}` }),
      ),
    );
    client.welcomed(1).then(resolve, reject);
  });
  return client;
}

/** The error of a connection that has to be refused. */
export async function refusal(
  app: Pick<TestApp, 'url'>,
  user: { accessToken: string } | null,
  options: Options = {},
): Promise<ErrorBody> {
  const { socket } = open(app, user, options);
  const error = await new Promise<Error & { data?: ErrorBody }>((resolve, reject) => {
    socket.once('connect_error', resolve).once('connect', () => reject(new Error('it was let in')));
  });
  expect(error).toHaveProperty('data');
  expect(socket.connected).toBe(false);
  // What is refused for its credentials is not tried again by the library.
  expect(socket.active).toBe(false);
  return error.data as ErrorBody;
}

/** To be called after each test. */
export function closeSockets(): void {
  for (const socket of opened) socket.disconnect();
  opened.clear();
}

/** Many messages without as many requests, through the publisher of this node: `{ n, filler }`, from `first` on. */
export async function publishMany(
  app: TestApp,
  channel: string,
  count: number,
  { first = 1, bytes = 0 }: { first?: number; bytes?: number } = {},
): Promise<void> {
  const publisher = app.app.get(Publisher);
  const filler = 'x'.repeat(bytes);
  for (let at = 0; at < count; at += 1_000)
    await Promise.all(
      Array.from({ length: Math.min(1_000, count - at) }, (_, i) =>
        publisher.publish({
          id: uuidv7(),
          channel,
          event: 'many',
          data: JSON.stringify({ n: first + at + i, filler }),
          senderId: null,
          idempotencyKey: null,
        }),
      ),
    );
}

/** `[first, …, last]` */
export const range = (first: number, last: number): number[] =>
  Array.from({ length: Math.max(0, last - first + 1) }, (_, i) => first + i);
