import { createServer } from 'node:http';
import { inspect } from 'node:util';
import type { AddressInfo } from 'node:net';
import { Server, type Socket } from 'socket.io';
import { Gatehouse, RateLimitError, TimeoutError } from '../src/index.js';
import { dataOf, Log, range, read } from './live-support.js';
import { failureOf, fault } from './support.js';

const KEY = 'ghk_a-secret-key';
const EPOCH = '4bb2b6c4-0000-4000-8000-000000000000';

/** What Gatehouse's own server does rarely, or never: repeats itself, refuses for now, says what nobody knows yet. */
class OddServer {
  /** The payloads of `subscribe`. */
  readonly subscribed = new Log<any>();
  /** How `publish` is answered: with a refusal, or not at all. */
  refuses: (attempt: number) => boolean = () => true;
  private published = 0;
  private readonly http = createServer();
  private readonly io = new Server(this.http);

  constructor(answer: (socket: Socket, attempt: number, acknowledge: (answer: object) => void) => unknown) {
    this.io.of('/broadcasting').on('connection', (socket) => {
      socket.on('subscribe', (payload: object, acknowledge: (answer: object) => void) => {
        this.subscribed.push(payload);
        answer(socket, this.subscribed.items.length, acknowledge);
      });
      socket.on('publish', (_payload: object, acknowledge: (answer: object) => void) => {
        if (this.refuses(++this.published)) acknowledge({ ok: false, error: fault(429, 'rate_limited') });
      });
    });
  }

  async connect() {
    await new Promise<void>((resolve) => this.http.listen(0, '127.0.0.1', resolve));
    const baseURL = `http://127.0.0.1:${(this.http.address() as AddressInfo).port}`;
    return new Gatehouse({ baseURL, apiKey: KEY }).broadcasting.connect({ reconnectDelayMax: 100 });
  }

  async close(): Promise<void> {
    await this.io.close();
  }
}

const begun = { ok: true, channel: 'news', epoch: EPOCH, sequence: 9, recovered: true };
const send = (socket: Socket, sequence: number | null, data: unknown = sequence) =>
  socket.emit('message', { id: 'x', channel: 'news', sequence, epoch: EPOCH, event: 'e', data });

describe('a server that is odd', () => {
  let server: OddServer;
  afterEach(() => server.close());

  it('repeats messages, which are handled once', async () => {
    server = new OddServer((socket, attempt, acknowledge) => {
      acknowledge(begun);
      if (attempt === 1) {
        for (const sequence of [5, 6, 6, 5, 7]) send(socket, sequence);
        socket.conn.close();
        return;
      }
      for (const sequence of [6, 7, 8]) send(socket, sequence);
      send(socket, null, 'volatile');
      send(socket, null, 'volatile');
    });
    const live = await server.connect();
    const { messages } = read(live, 'news', { after: 4, epoch: EPOCH });
    await messages.atLeast(6);
    expect(dataOf(messages)).toEqual([5, 6, 7, 8, 'volatile', 'volatile']);
    expect(server.subscribed.items).toEqual([
      { channel: 'news', after: 4, epoch: EPOCH },
      { channel: 'news', after: 7, epoch: EPOCH },
    ]);
    live.close();
  });

  it('takes a message that comes before the acknowledgement for one of another subscription', async () => {
    server = new OddServer((socket, _attempt, acknowledge) => {
      send(socket, 5, 'too early');
      acknowledge(begun);
      send(socket, 5);
    });
    const live = await server.connect();
    const { messages } = read(live, 'news', { after: 4 });
    await messages.atLeast(1);
    expect(dataOf(messages)).toEqual([5]);
    live.close();
  });

  it.each([503, 429])('refuses a subscription with %d, which is tried again', async (status) => {
    server = new OddServer((socket, attempt, acknowledge) => {
      if (attempt < 3) return acknowledge({ ok: false, error: fault(status, 'later') });
      acknowledge(begun);
      send(socket, 10);
    });
    const live = await server.connect();
    const states: string[] = [];
    live.on('state', (state) => states.push(state));
    const { messages } = read(live, 'news');
    await messages.atLeast(1);
    expect(states).toEqual(['connected']);
    live.close();
  });

  it('refuses to publish until the time is over: that is the error, or the cause of one', async () => {
    server = new OddServer((_socket, _attempt, acknowledge) => acknowledge(begun));
    const live = await server.connect();
    await read(live, 'news').subscription.ready;
    const publish = (timeout: number) => failureOf(live.publish({ channel: 'news', event: 'e' }, { timeout }));
    // The longest pauses: 250 ms, then 500 ms.
    const random = jest.spyOn(Math, 'random').mockReturnValue(0.99);
    // 16 at once, and one that waits in line.
    const failures = await Promise.all([...range(1, 16).map(() => publish(6_000)), publish(4_000)]);
    // Where an answer was still out when the time was over, the refusal is the cause.
    const refusals = failures.map((failure) => (failure instanceof TimeoutError ? failure.cause : failure));
    expect(refusals.map((refusal) => (refusal as RateLimitError).code)).toEqual(failures.map(() => 'rate_limited'));
    expect(refusals.every((refusal) => refusal instanceof RateLimitError)).toBe(true);
    expect(failures.at(-1)).toBeInstanceOf(RateLimitError);
    random.mockRestore();
    let first = true;
    server.refuses = () => first && !(first = false);
    const unanswered = await publish(5_000);
    expect(unanswered).toBeInstanceOf(TimeoutError);
    expect(unanswered.cause).toBeInstanceOf(RateLimitError);
    live.close();
  });

  it('is listened to by on() alone, and by nothing that is no function', async () => {
    server = new OddServer((socket, _attempt, acknowledge) => {
      acknowledge(begun);
      send(socket, 10);
    });
    const live = await server.connect();
    for (const handler of ['news', null, { after: 0 }])
      expect(() => live.subscribe('news', handler as never)).toThrow(TypeError);
    expect(() => live.on('state', undefined as never)).toThrow(TypeError);
    const messages = new Log<unknown>();
    live.subscribe<number>('news').on('message', ({ data }) => messages.push(data));
    expect(await messages.atLeast(1)).toEqual([10]);
    live.close();
  });

  it('is not told the token of by whoever prints a connection', async () => {
    server = new OddServer((_socket, _attempt, acknowledge) => acknowledge(begun));
    const live = await server.connect();
    const subscription = live.subscribe('news', () => undefined);
    const print = () => inspect([live, subscription], { depth: null });
    expect(print().includes(KEY)).toBe(false);
    await subscription.ready;
    expect([print().includes('news'), print().includes(KEY)]).toEqual([true, false]);
    live.close();
  });

  it('ends the session for a reason of another year, and is connected to again', async () => {
    server = new OddServer((socket, attempt, acknowledge) => {
      acknowledge(begun);
      if (attempt > 1) return send(socket, 10);
      socket.emit('session:ended', { reason: 'moved_house' });
      socket.disconnect(true);
    });
    const live = await server.connect();
    const causes: unknown[] = [];
    live.on('state', (_state, cause) => cause && causes.push(cause));
    const { messages } = read(live, 'news');
    await messages.atLeast(1);
    expect(causes).toEqual([{ reason: 'moved_house', error: null }]);
    live.close();
  });

  it('changes the epoch while nobody is connected: a gap, and everything that is kept', async () => {
    const other = '5cc2b6c4-0000-4000-8000-000000000000';
    server = new OddServer((socket, attempt, acknowledge) => {
      if (attempt === 1) {
        acknowledge(begun);
        send(socket, 5);
        return socket.conn.close();
      }
      acknowledge({ ...begun, epoch: other, recovered: false, first_sequence: 3 });
      // Its sequence is not above the last one; it belongs to another count.
      socket.emit('message', { id: 'y', channel: 'news', sequence: 3, epoch: other, event: 'e', data: 'anew' });
    });
    const live = await server.connect();
    const { messages, told, subscription } = read(live, 'news', { after: 4, epoch: EPOCH });
    await messages.atLeast(2);
    expect(dataOf(messages)).toEqual([5, 'anew']);
    const after = { sequence: 5, epoch: EPOCH };
    expect(told.items).toEqual([{ name: 'gap', value: { first_sequence: 3, epoch: other, after } }]);
    live.close();
    await subscription.finished;
    expect(subscription.position).toEqual({ sequence: 3, epoch: other });
  });
});
