import { Dice, seedOfRun, until } from '../../../test/support/uploads.js';
import type { ChannelMessage, Connection, Gatehouse, StreamEvent } from '../src/index.js';
import { Log, range, read, type Reading, stopWatching, watch, type Watching } from './live-support.js';
import { TestServer } from './support.js';

const SEED = seedOfRun();
const KILLS = 6;
const CHANNEL = 'news';
const WITHIN_MS = 60_000;
/** Between a kill and the one before it: so many acknowledgements. */
const ANSWERS_MAX = 40;

const begun = (events: StreamEvent[]) => events.filter(({ type }) => type === 'subscribed').length;

type Sent = ChannelMessage<{ by: string; number: number }>;

describe(`kill -9 of the server while messages are published, seed ${SEED}`, () => {
  const dice = new Dice(SEED);
  const acknowledged = new Log<Sent>();
  const failures: unknown[] = [];
  const stop = new AbortController();
  let server: TestServer;
  let admin: Gatehouse;
  let reader: Gatehouse;
  let history: ChannelMessage[];
  const lives: Connection[] = [];
  let sockets: Record<string, Reading>;
  let streams: Record<string, Watching>;
  let unanswered = 0;

  const connect = (api: Gatehouse, transports?: ('websocket' | 'polling')[]) => {
    const live = api.broadcasting.connect({ transports, reconnectDelayMax: 1_000 });
    lives.push(live);
    return live;
  };

  /** One message after the other; the next one comes when the last is acknowledged, however long that takes. */
  const publishing = async (by: string, publish: (input: any) => Promise<ChannelMessage<any>>, isPatient: boolean) => {
    for (let number = 1; !stop.signal.aborted; number++) {
      const input = { channel: CHANNEL, event: 'said', data: { by, number }, idempotency_key: `${by} ${number}` };
      for (;;) {
        try {
          acknowledged.push(await publish(input));
          break;
        } catch (error) {
          unanswered++;
          if (isPatient) failures.push(error);
          await until(async () => (await admin.health.live().catch(() => null)) !== null, 'the server', WITHIN_MS);
        }
      }
    }
  };

  beforeAll(async () => {
    server = await TestServer.start({ JWT_ACCESS_TTL: '3600', SOCKET_EVENT_RATE: '100000/10' });
    admin = await server.admin({ maxRetries: 0 });
    reader = (await server.user()).api;
    sockets = {
      'as it comes': read(connect(reader), CHANNEL, { after: 0 }),
      'long polling': read(connect(reader, ['polling']), CHANNEL, { after: 0 }),
      slow: read(connect(reader), CHANNEL, { after: 0, queueLimit: 5 }),
    };
    sockets.slow.subscription.on('message', () => new Promise((resolve) => setImmediate(resolve)));
    streams = {
      one: watch(reader, CHANNEL, { after: 0, signal: stop.signal }),
      two: watch(admin, CHANNEL, { after: 0 }),
    };
    await Promise.all([
      ...Object.values(sockets).map(({ subscription }) => subscription.ready),
      ...Object.values(streams).map(({ events }) => events.atLeast(1)),
    ]);
    const live = connect(admin);
    const publishers = [
      publishing('socket', (input) => live.publish(input, { timeout: 0 }), true),
      publishing('REST', (input) => admin.broadcasting.publish(input, { timeout: 5_000 }), false),
    ];
    for (let kill = 1; kill <= KILLS; kill++) {
      const before = acknowledged.items.length;
      // Sometimes everybody is back when the next kill comes, sometimes they are in the middle of what they have missed.
      if (kill % 2 === 0) await streams.two.events.until((events) => begun(events) >= kill / 2 + 1, WITHIN_MS);
      await acknowledged.atLeast(before + dice.int(1, ANSWERS_MAX), WITHIN_MS);
      await server.kill();
      await server.restart();
    }
    await acknowledged.atLeast(acknowledged.items.length + 10, WITHIN_MS);
    stop.abort();
    await Promise.all(publishers);
    history = [];
    for (;;) {
      const { items } = await admin.broadcasting.history(CHANNEL, { after: history.length, limit: 500 });
      history.push(...items);
      if (items.length < 500) break;
    }
  });
  afterAll(async () => {
    for (const live of lives) live.close();
    stopWatching();
    await server?.stop();
  });

  it('has each acknowledged message in the channel once, where the acknowledgement said', () => {
    process.stdout.write(
      `kill -9, seed ${SEED}: ${KILLS} kills, ${acknowledged.items.length} acknowledged, ${unanswered} unanswered, ` +
        `${history.length} in the channel\n`,
    );
    expect(history.map(({ sequence }) => sequence)).toEqual(range(1, history.length));
    for (const message of acknowledged.items) expect(history[(message.sequence as number) - 1]).toEqual(message);
    const names = history.map(({ data }) => JSON.stringify(data));
    expect(new Set(names).size).toBe(names.length);
    expect(unanswered).toBeGreaterThan(0);
  });

  it('publishes by the connection without a failure, over all the kills', () => {
    expect(failures).toEqual([]);
    expect(acknowledged.items.some(({ data }) => data.by === 'socket')).toBe(true);
  });

  it.each(['as it comes', 'long polling', 'slow'])(
    'has every message handled once and in order: socket, %s',
    async (name) => {
      const { messages, told, subscription } = sockets[name];
      await messages.atLeast(history.length, WITHIN_MS);
      expect(messages.items).toEqual(history);
      expect(told.items).toEqual([]);
      await until(() => subscription.position?.sequence === history.length, 'the position');
    },
  );

  it('has every message handled once and in order: stream', async () => {
    const { messages, events } = streams.two;
    await messages.atLeast(history.length, WITHIN_MS);
    expect(messages.items).toEqual(history);
    expect(begun(events.items)).toBeGreaterThan(KILLS / 2);
    expect(events.items.some(({ type }) => type === 'gap')).toBe(false);
  });

  it('had nothing doubled or missing in the stream that was stopped', async () => {
    const { messages, end } = streams.one;
    expect(await end).toBe(stop.signal.reason);
    expect(messages.items).toEqual(history.slice(0, messages.items.length));
  });
});
