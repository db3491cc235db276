import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import type {
  ChannelMessage,
  Connection,
  ConnectionState,
  Gatehouse,
  StreamEvent,
  Subscription,
} from '../src/index.js';

/** What has not come by then will not come. */
const PATIENCE_MS = 60_000;

/** Values as they come, and somebody who waits for them. */
export class Log<Item> {
  readonly items: Item[] = [];
  private readonly waiting = new Set<() => void>();

  push(item: Item): void {
    this.items.push(item);
    for (const look of [...this.waiting]) look();
  }

  /** Resolves once it holds; it is looked at when something has come. */
  until(holds: (items: Item[]) => unknown, patience = PATIENCE_MS): Promise<Item[]> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.waiting.delete(look);
        reject(new Error(`waited in vain for ${holds}; there is ${JSON.stringify(this.items).slice(0, 2_000)}`));
      }, patience);
      const look = () => {
        if (!holds(this.items)) return;
        this.waiting.delete(look);
        clearTimeout(timer);
        resolve(this.items);
      };
      this.waiting.add(look);
      look();
    });
  }

  atLeast(count: number, patience?: number): Promise<Item[]> {
    return this.until(({ length }) => length >= count, patience);
  }
}

export interface Reading {
  subscription: Subscription<any>;
  /** What was handled. */
  messages: Log<ChannelMessage<any>>;
  /** Names of what else was told. */
  told: Log<{ name: string; value: any }>;
}

/** Subscribes, and keeps all that comes. */
export function read(live: Connection, channel: string, options: Parameters<Connection['subscribe']>[2] = {}): Reading {
  const messages = new Log<ChannelMessage<any>>();
  const told = new Log<{ name: string; value: any }>();
  const subscription = live.subscribe<any>(channel, (message) => messages.push(message), options);
  for (const name of ['gap', 'joined', 'left', 'ended'] as const)
    subscription.on(name, (value: unknown) => told.push({ name, value }));
  return { subscription, messages, told };
}

/** Resolves when the connection is in the state, now or later. */
export function reaches(live: Connection, state: ConnectionState): Promise<void> {
  return new Promise((resolve, reject) => {
    const finish = () => {
      clearTimeout(timer);
      stop();
      resolve();
    };
    const timer = setTimeout(() => reject(new Error(`it is ${live.state}, not ${state}`)), PATIENCE_MS);
    const stop = live.on('state', (now) => now === state && finish());
    if (live.state === state) finish();
  });
}

/** A stream that is read to its end. */
export interface Watching {
  events: Log<StreamEvent<any>>;
  messages: Log<ChannelMessage<any>>;
  /** With the error that it ended by. */
  end: Promise<unknown>;
}

const stopping = new Set<AbortController>();

/** To be called after the tests: streams come back for ever. */
export function stopWatching(): void {
  for (const stop of stopping) stop.abort();
}

export function watch(
  api: Gatehouse,
  channel: string,
  options: Parameters<Gatehouse['broadcasting']['stream']>[1] = {},
) {
  const stop = new AbortController();
  stopping.add(stop);
  const signal = AbortSignal.any([stop.signal, ...(options.signal ? [options.signal] : [])]);
  const watching: Omit<Watching, 'end'> = { events: new Log(), messages: new Log() };
  const run = async () => {
    for await (const event of api.broadcasting.stream<any>(channel, { ...options, signal })) {
      if (event.type === 'message') watching.messages.push(event.message);
      watching.events.push(event);
    }
  };
  const end = run().then(
    () => null,
    (error: unknown) => error,
  );
  return { ...watching, end };
}

export const sequences = (messages: Log<ChannelMessage<any>>) => messages.items.map(({ sequence }) => sequence);
export const dataOf = (messages: Log<ChannelMessage<any>>) => messages.items.map(({ data }) => data);
/** `[first, …, last]` */
export const range = (first: number, last: number): number[] =>
  Array.from({ length: Math.max(0, last - first + 1) }, (_, i) => first + i);

/** A line between a client and a server that can go dead without being closed, as when a network is lost. */
export class DeadLine {
  private readonly pairs = new Set<[Socket, Socket]>();
  private isRefusing = false;
  /** What clients have sent, as text. */
  sent = '';

  private constructor(
    private readonly server: Server,
    private readonly port: number,
  ) {
    server.on('connection', (client) => this.accept(client));
  }

  static async to(url: string): Promise<DeadLine> {
    const line = new DeadLine(createServer(), Number(new URL(url).port));
    await new Promise<void>((resolve) => line.server.listen(0, '127.0.0.1', resolve));
    return line;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  /** Takes everything and passes nothing on, on the connections that there are; new ones are whole. */
  stall(): void {
    for (const [client, upstream] of this.pairs) {
      client.unpipe().resume();
      upstream.unpipe().resume();
    }
  }

  /** Ends all connections, and new ones at once, until `mend()`. */
  refuse(): void {
    this.isRefusing = true;
    this.cut();
  }

  mend(): void {
    this.isRefusing = false;
  }

  cut(): void {
    for (const pair of this.pairs) for (const socket of pair) socket.destroy();
  }

  async close(): Promise<void> {
    this.cut();
    await new Promise((resolve) => this.server.close(resolve));
  }

  private accept(client: Socket): void {
    if (this.isRefusing) return void client.destroy();
    const upstream = connect(this.port, '127.0.0.1');
    const pair: [Socket, Socket] = [client, upstream];
    this.pairs.add(pair);
    for (const socket of pair) {
      socket.on('error', () => undefined);
      socket.on('close', () => {
        this.pairs.delete(pair);
        for (const other of pair) other.destroy();
      });
    }
    client.on('data', (chunk: Buffer) => (this.sent += chunk.toString('latin1')));
    client.pipe(upstream);
    upstream.pipe(client);
  }
}
