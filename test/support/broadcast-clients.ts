import http from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { io, type ManagerOptions, type Socket, type SocketOptions } from 'socket.io-client';

export const NAMESPACE = '/broadcasting';
/** Nothing is answered later than this, whatever happens. */
const ANSWER_TIMEOUT_MS = 25_000;
const RETRY_MS = 50;

export interface Message {
  id: string;
  channel: string;
  sequence: number;
  epoch: string;
  event: string;
  data: any;
  sender_id: string;
  created_at: string;
}

/** The library as it is, coming back sooner than it would by itself. */
export function connectTo(url: string, token: string, options: Partial<ManagerOptions & SocketOptions> = {}): Socket {
  return io(url + NAMESPACE, {
    auth: { token },
    forceNew: true,
    reconnectionDelay: 30,
    reconnectionDelayMax: 200,
    ...options,
  });
}

/** An event with its acknowledgement; `null` when the connection ended before it. */
export async function ask(socket: Socket, event: string, payload?: object): Promise<any> {
  const args = payload ? [payload] : [];
  try {
    return await socket.timeout(ANSWER_TIMEOUT_MS).emitWithAck(event, ...args);
  } catch (error) {
    if (socket.connected && /timed out/.test((error as Error).message))
      throw new Error(`${event} was not acknowledged`, { cause: error });
    return null;
  }
}

/** What a subscriber has handled, and whether it came as promised. */
export class Handled {
  readonly faults: string[] = [];
  /** Messages that were there before. */
  duplicates = 0;
  /** Messages that were not the next. */
  misplaced = 0;
  /** The next of each channel on this connection; none before it is subscribed. */
  private readonly expected = new Map<string, number>();
  /** By channel and sequence, in the order of their first arrival. */
  private readonly messages = new Map<string, Map<number, Message>>();

  constructor(
    private readonly title: string,
    readonly channels: readonly string[],
    /** Remembers where it was only after so many messages, and so gets some of them again. */
    private readonly remembersEvery = 1,
  ) {
    for (const channel of channels) this.messages.set(channel, new Map());
  }

  /** From where to resume. */
  position(channel: string): number {
    const last = this.count(channel);
    return last - (last % this.remembersEvery);
  }

  count(channel: string): number {
    return this.known(channel).size;
  }

  begin(channel: string, after: number): void {
    this.expected.set(channel, after + 1);
  }

  disconnected(): void {
    this.expected.clear();
  }

  /** On one connection each message comes once, and the one after the last. */
  take(message: Message): void {
    const { channel, sequence, id } = message;
    const expected = this.expected.get(channel);
    if (sequence !== expected) {
      this.misplaced++;
      this.fault(`${channel} brought ${sequence}, not ${expected ?? 'nothing, as yet'}`);
    }
    this.expected.set(channel, sequence + 1);
    const known = this.known(channel);
    const before = known.get(sequence);
    if (before) this.duplicates++;
    if (before && before.id !== id) this.fault(`${channel} ${sequence} was ${before.id} and is ${id}`);
    if (!before) known.set(sequence, message);
  }

  fault(what: string): void {
    this.faults.push(`${this.title}: ${what}`);
  }

  /** What a channel has brought, without repetitions, as it came. */
  distinct(channel: string): Message[] {
    return [...this.known(channel).values()];
  }

  private known(channel: string): Map<number, Message> {
    return this.messages.get(channel) ?? new Map<number, Message>();
  }
}

interface ReaderOptions {
  token: string;
  channels: readonly string[];
  transports?: string[];
  remembersEvery?: number;
  /** From which address it connects, for one thing. */
  agent?: http.Agent;
}

/** A stock client that resumes after the last message that it has handled, whenever its library has connected again. */
export class SocketReader {
  readonly handled: Handled;
  readonly socket: Socket;
  disconnects = 0;
  /** How often the server could not go on, and told so. */
  cuts = 0;
  private isConnected = false;
  private connection = 0;

  constructor(
    readonly title: string,
    url: string,
    { token, channels, transports, remembersEvery, agent }: ReaderOptions,
  ) {
    this.handled = new Handled(title, channels, remembersEvery);
    this.socket = connectTo(url, token, {
      ...(transports && { transports }),
      // The library takes one in Node.js, and declares what browsers have.
      ...(agent && { agent: agent as never }),
    });
    this.socket.on('connect', () => {
      const connection = ++this.connection;
      this.isConnected = true;
      for (const channel of channels) void this.subscribe(channel, connection);
    });
    this.socket.on('disconnect', () => {
      // The library says so of an attempt to connect as well.
      if (this.isConnected) this.disconnects++;
      this.isConnected = false;
      this.handled.disconnected();
    });
    this.socket.on('message', (message: Message) => this.handled.take(message));
    this.socket.on('session:ended', ({ reason }) => {
      if (reason === 'subscription_failed') this.cuts++;
      else this.handled.fault(`the session ended: ${reason}`);
    });
    this.socket.on('connect_error', (error) => {
      const { data } = error as Error & { data?: { code: number } };
      // Anything else than a connection that cannot be made.
      if (data) this.handled.fault(`was refused: ${JSON.stringify(data)}`);
    });
  }

  close(): void {
    this.socket.close();
  }

  private async subscribe(channel: string, connection: number): Promise<void> {
    while (this.socket.connected && this.connection === connection) {
      const after = this.handled.position(channel);
      const answer = await this.subscribeOnce(channel, after);
      if (answer === null || this.connection !== connection) return;
      if (answer.ok && answer.recovered) return;
      if (answer.ok || answer.error.code !== 503)
        return this.handled.fault(`subscribe to ${channel} after ${after}: ${JSON.stringify(answer)}`);
      await delay(RETRY_MS);
    }
  }

  /** The messages begin with the answer, so what is expected has to be known in the same turn. */
  private subscribeOnce(channel: string, after: number): Promise<any> {
    return new Promise((resolve) => {
      this.socket
        .timeout(ANSWER_TIMEOUT_MS)
        .emit('subscribe', { channel, after }, (error: Error | null, answer: any) => {
          if (error && this.socket.connected && /timed out/.test(error.message))
            this.handled.fault(`subscribe to ${channel} was not acknowledged`);
          if (!error && answer.ok) this.handled.begin(channel, after);
          resolve(error ? null : answer);
        });
    });
  }
}

/** A reader of Server-Sent Events of one channel, which comes back with `Last-Event-ID`. */
export class StreamReader {
  readonly handled: Handled;
  connections = 0;
  private request: http.ClientRequest | null = null;
  private isClosed = false;
  private lastEventId: string | null = null;

  constructor(
    readonly title: string,
    private readonly urls: readonly string[],
    private readonly token: string,
    private readonly channel: string,
  ) {
    this.handled = new Handled(title, [channel]);
    void this.work();
  }

  close(): void {
    this.isClosed = true;
    this.request?.destroy();
  }

  private async work(): Promise<void> {
    for (let attempt = 0; !this.isClosed; attempt++) {
      await this.read(this.urls[attempt % this.urls.length]);
      this.handled.disconnected();
      if (!this.isClosed) await delay(RETRY_MS);
    }
  }

  /** Resolves when the connection is over. */
  private read(base: string): Promise<void> {
    return new Promise((resolve) => {
      const url = `${base}/api/v1/broadcasting/stream?channel=${this.channel}&after=0`;
      const headers = {
        Authorization: `Bearer ${this.token}`,
        ...(this.lastEventId !== null && { 'Last-Event-ID': this.lastEventId }),
      };
      this.request = http.get(url, { headers, agent: false });
      this.request.on('error', () => resolve());
      this.request.on('response', (response) => {
        response.on('error', () => resolve()).on('close', () => resolve());
        if (response.statusCode !== 200) {
          if (response.statusCode !== 503) this.handled.fault(`the stream is ${response.statusCode}`);
          return void response.resume();
        }
        this.connections++;
        this.handled.begin(this.channel, this.handled.position(this.channel));
        let text = '';
        response.setEncoding('utf8').on('data', (chunk: string) => {
          const blocks = (text + chunk).split('\n\n');
          text = blocks.pop() ?? '';
          for (const block of blocks) this.takeBlock(block);
        });
      });
    });
  }

  private takeBlock(block: string): void {
    const fields = new Map(block.split('\n').map((line) => line.split(/: ?(.*)/s, 2) as [string, string]));
    const id = fields.get('id');
    if (id !== undefined) this.lastEventId = id;
    if (fields.get('event') !== 'message') return;
    const message = JSON.parse(fields.get('data') ?? '') as Message;
    if (String(message.sequence) !== id) this.handled.fault(`message ${message.sequence} has the id ${id}`);
    this.handled.take(message);
  }
}
