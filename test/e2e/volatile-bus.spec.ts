import { randomUUID } from 'node:crypto';
import { EventEmitter, once } from 'node:events';
import { type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Logger, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { type OnGatewayInit, WebSocketGateway } from '@nestjs/websockets';
import { createClient } from 'redis';
import type { Namespace } from 'socket.io';
import { io } from 'socket.io-client';
import { DataSource } from 'typeorm';
import { type Emission, LocalAudience } from '../../src/broadcasting/delivery/local-audience.js';
import type { ChannelMessageResponse } from '../../src/broadcasting/dto/channel-message.response.js';
import { SocketServerAdapter } from '../../src/broadcasting/gateway/socket-server.adapter.js';
import { PostgresBus } from '../../src/broadcasting/volatile/postgres-bus.js';
import { RedisBus } from '../../src/broadcasting/volatile/redis-bus.js';
import { VolatileBus } from '../../src/broadcasting/volatile/volatile-bus.js';
import { loadConfig } from '../../src/config/load-config.js';
import { dataSourceOptions } from '../../src/database/connection.js';
import { DatabaseListener } from '../../src/database/database-listener.js';
import { createHttpAdapter } from '../../src/server/http-server.js';
import { hasRedisServer, RedisServer } from '../support/redis-server.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';
import { until } from '../support/uploads.js';

if (!hasRedisServer()) {
  // eslint-disable-next-line no-console
  console.warn('The bus by Redis is not tested: install redis-server');
}

/** Everybody on a node: keeps what comes. */
class Ear extends EventEmitter {
  readonly audience = new LocalAudience();
  readonly messages: ChannelMessageResponse[] = [];
  readonly emissions: [channel: string, event: string, emission: Emission][] = [];

  constructor() {
    super();
    this.audience.add({
      emit: (channel, event, payload, emission) => {
        this.messages.push(payload as ChannelMessageResponse);
        this.emissions.push([channel, event, emission]);
        this.emit('message');
      },
    });
  }

  async hears(isEnough: (messages: ChannelMessageResponse[]) => boolean): Promise<void> {
    while (!isEnough(this.messages)) await once(this, 'message');
  }
}

interface Node {
  bus: VolatileBus;
  ear: Ear;
  close(): Promise<unknown>;
}

const message = (data: unknown, event = 'moved'): ChannelMessageResponse => ({
  id: randomUUID(),
  channel: 'news',
  sequence: null,
  epoch: '7d1f8b0e-6a44-4d0e-9a6b-2f5c1d3e4a5b',
  event,
  data,
  sender_id: null,
  created_at: new Date().toISOString(),
});

const nested = (depth: number): unknown => JSON.parse('['.repeat(depth) + ']'.repeat(depth));
const ODD_DATA = [
  null,
  'a\u0000b \ud800 – 😀',
  JSON.parse('{"__proto__": {"a": 1}, "constructor": 2}'),
  nested(500),
  'x'.repeat(64 * 1024),
  1e300,
];

let logged: { warn: jest.SpyInstance; log: jest.SpyInstance; error: jest.SpyInstance };
beforeEach(() => {
  const silence = (level: 'warn' | 'log' | 'error') =>
    jest.spyOn(Logger.prototype, level).mockImplementation(() => undefined);
  logged = { warn: silence('warn'), log: silence('log'), error: silence('error') };
});
afterEach(async () => {
  await Promise.all(started.splice(0).map(({ close }) => close()));
  expect(logged.error).not.toHaveBeenCalled();
  jest.restoreAllMocks();
});

const warnings = (beginning: string) =>
  logged.warn.mock.calls.filter(([sentence]) => String(sentence).startsWith(beginning)).length;
const said = (sentence: string) => logged.log.mock.calls.filter(([given]) => given === sentence).length;

/** Those that a test has started. */
const started: Node[] = [];

/** What comes after it is not missing: a sender's messages are in order. */
async function sendLast(nodes: Node[]): Promise<void> {
  for (const [number, { bus }] of nodes.entries()) await bus.send(message(number, 'last'));
  const hasAll = (messages: ChannelMessageResponse[]) =>
    messages.filter(({ event }) => event === 'last').length === nodes.length;
  await Promise.all(nodes.map(({ ear }) => ear.hears(hasAll)));
}

const heardBy = ({ ear }: Node) => ear.messages.filter(({ event }) => event !== 'last');

function behavesAsABus(open: () => Promise<Node[]>): void {
  let nodes: Node[];
  beforeEach(async () => {
    nodes = await open();
  });

  it('brings a message to every node once, to its own at once', async () => {
    const sent = message({ x: 1 });
    const sending = nodes[0].bus.send(sent);
    expect(nodes[0].ear.messages).toEqual([sent]);
    await sending;
    await sendLast(nodes);
    for (const node of nodes) {
      expect(heardBy(node)).toEqual([sent]);
      for (const emission of node.ear.emissions) expect(emission).toEqual(['news', 'message', {}]);
    }
  });

  it('keeps the order of each sender', async () => {
    const COUNT = 300;
    for (let number = 0; number < COUNT; number++) {
      for (const [sender, { bus }] of nodes.entries()) void bus.send(message({ sender, number }));
      if (number % 7 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    await sendLast(nodes);
    const inOrder = Array.from({ length: COUNT }, (_, number) => number);
    for (const node of nodes) {
      const heard = heardBy(node).map(({ data }) => data as { sender: number; number: number });
      for (const sender of nodes.keys())
        expect(heard.filter((data) => data.sender === sender).map(({ number }) => number)).toEqual(inOrder);
    }
  });

  it('carries any data', async () => {
    for (const data of ODD_DATA) await nodes[0].bus.send(message(data));
    await sendLast(nodes);
    for (const node of nodes)
      expect(heardBy(node).map(({ data }) => JSON.stringify(data))).toEqual(
        ODD_DATA.map((data) => JSON.stringify(data)),
      );
  });
}

describe('volatile messages by PostgreSQL', () => {
  let database: TestDatabase;

  beforeAll(async () => {
    database = await createTestDatabase();
  });
  afterAll(() => database.drop());
  afterEach(() => database.pool.query('TRUNCATE volatile_messages'));

  async function aNode(): Promise<Node & { source: DataSource }> {
    const source = await new DataSource(dataSourceOptions(database.connection, 4)).initialize();
    const listener = new DatabaseListener(database.connection);
    const ear = new Ear();
    const bus = new PostgresBus(source, ear.audience, randomUUID(), listener);
    bus.onModuleInit();
    await listener.onApplicationBootstrap();
    const close = async () => {
      bus.beforeApplicationShutdown();
      await listener.onApplicationShutdown();
      await source.destroy();
    };
    const node = { bus, ear, source, close };
    started.push(node);
    return node;
  }

  describe('three nodes', () => behavesAsABus(() => Promise.all([aNode(), aNode(), aNode()])));

  describe('two nodes', () => {
    let nodes: Awaited<ReturnType<typeof aNode>>[];
    beforeEach(async () => {
      nodes = await Promise.all([aNode(), aNode()]);
    });

    it('announce batches, not messages', async () => {
      const client = await database.pool.connect();
      const announced: string[] = [];
      client.on('notification', ({ payload = '' }) => announced.push(payload));
      await client.query('LISTEN gatehouse_volatile');
      for (let number = 0; number < 1_000; number++) void nodes[0].bus.send(message(`secret ${'x'.repeat(1_000)}`));
      await sendLast([nodes[0], nodes[1]]);
      await client.query('UNLISTEN *');
      client.release();
      expect(announced.length).toBeLessThan(20);
      for (const payload of announced) expect(payload).toMatch(/^[\da-f-]{36} \d+ \d+$/);
    });

    it('lose what fails, say so once, and go on', async () => {
      await database.pool.query('ALTER TABLE volatile_messages RENAME TO away');
      const query = jest.spyOn(nodes[0].source, 'query');
      for (let count = 1; count <= 3; count++) {
        await nodes[0].bus.send(message(count));
        await until(() => query.mock.calls.length === count, 'the message to be sent');
        await Promise.allSettled(query.mock.results.map(({ value }) => value as Promise<unknown>));
      }
      await database.pool.query('ALTER TABLE away RENAME TO volatile_messages');
      await until(async () => {
        await nodes[0].bus.send(message('probe', 'probe'));
        return nodes[1].ear.messages.length > 0;
      }, 'a message to arrive again');
      await sendLast(nodes);
      expect(nodes[1].ear.messages.filter(({ event }) => event === 'moved')).toEqual([]);
      expect(warnings('Messages that are not durable')).toBe(1);
      expect(said('Messages that are not durable reach every node again')).toBe(1);
    });

    it('keep no more than so many for a database that is slow', async () => {
      const client = await database.pool.connect();
      await client.query('BEGIN; LOCK TABLE volatile_messages');
      for (let number = 0; number < 10_101; number++) await nodes[0].bus.send(message(number));
      expect(nodes[0].ear.messages.length).toBe(10_101);
      expect(warnings('The database is too slow')).toBe(1);
      await client.query('COMMIT');
      client.release();
      await nodes[1].ear.hears((messages) => messages.length === 10_001);
      await sendLast(nodes);
      expect(heardBy(nodes[1]).at(-1)?.data).toBe(10_000);
      expect(warnings('The database is too slow')).toBe(1);
    });

    it('keep no more than so many bytes', async () => {
      const client = await database.pool.connect();
      await client.query('BEGIN; LOCK TABLE volatile_messages');
      const data = 'x'.repeat(64 * 1024);
      for (let number = 0; number < 600; number++) await nodes[0].bus.send(message(data));
      expect(warnings('The database is too slow')).toBe(1);
      await client.query('COMMIT');
      client.release();
      await nodes[1].ear.hears((messages) => messages.length > 500);
    });

    it('send nothing any more once they stop', async () => {
      await Promise.all(started.splice(0).map(({ close }) => close()));
      await nodes[0].bus.send(message('late'));
      expect((await database.pool.query('SELECT FROM volatile_messages')).rows).toEqual([]);
      expect(logged.warn).not.toHaveBeenCalled();
    });
  });

  it('removes what is older than a minute', async () => {
    jest.useFakeTimers({
      advanceTimers: false,
      doNotFake: [
        'setTimeout',
        'setImmediate',
        'nextTick',
        'queueMicrotask',
        'Date',
        'performance',
        'hrtime',
        'clearTimeout',
        'clearImmediate',
      ],
    });
    await aNode();
    await database.pool.query(`
      INSERT INTO volatile_messages (node_id, body, created_at)
      VALUES (gen_random_uuid(), 'old', now() - interval '61 seconds'), (gen_random_uuid(), 'young', now() - interval '50 seconds')`);
    jest.advanceTimersByTime(30_000);
    jest.useRealTimers();
    const bodies = async () =>
      (await database.pool.query('SELECT body FROM volatile_messages')).rows.map(({ body }) => body as string);
    await until(async () => !(await bodies()).includes('old'), 'the old row to go');
    expect(await bodies()).toEqual(['young']);
  });
});

@WebSocketGateway({ namespace: '/broadcasting' })
class TestGateway implements OnGatewayInit {
  namespace!: Namespace;

  constructor(private readonly bus: VolatileBus) {}

  afterInit(namespace: Namespace): void {
    this.namespace = namespace;
    this.bus.attach(namespace);
  }
}
Reflect.defineMetadata('design:paramtypes', [VolatileBus], TestGateway);

(hasRedisServer() ? describe : describe.skip)('volatile messages by Redis', () => {
  type RedisNode = Node & { namespace: Namespace; port: number };
  let redis: RedisServer;

  beforeAll(async () => {
    redis = await RedisServer.create();
    await redis.start();
  });
  afterAll(() => redis.remove());

  async function aNode(): Promise<RedisNode> {
    const environment = { JWT_SECRET: 'a secret for tests that is long enough', REDIS_URL: redis.url };
    const config = loadConfig({ NODE_ENV: 'test', DATA_DIR: join(tmpdir(), 'gatehouse-unused'), ...environment });
    const ear = new Ear();
    const bus = new RedisBus(ear.audience);
    @Module({ providers: [TestGateway, { provide: VolatileBus, useValue: bus }] })
    class TestModule {}
    const app = await NestFactory.create<NestFastifyApplication>(TestModule, createHttpAdapter(config), {
      logger: false,
    });
    app.useWebSocketAdapter(await SocketServerAdapter.create(app, config));
    await app.listen(0, '127.0.0.1');
    const { port } = app.getHttpServer().address() as AddressInfo;
    const { namespace } = app.get(TestGateway);
    const node = { bus, ear, port, namespace, close: () => app.close() };
    started.push(node);
    return node;
  }

  /** When they hear each other. Asked twice: the first answer is there an instant before a new connection counts as ready. */
  async function together(nodes: RedisNode[]): Promise<RedisNode[]> {
    for (const { namespace } of [...nodes, ...nodes])
      await until(async () => (await namespace.adapter.serverCount()) === nodes.length, 'the nodes to find each other');
    return nodes;
  }

  const open = async () => together(await Promise.all([aNode(), aNode()]));
  const isAway = () => until(() => warnings('Redis is away') === 2, 'both nodes to notice');

  describe('two nodes', () => behavesAsABus(open));

  it('begins again when Redis does', async () => {
    const nodes = await open();
    await nodes[0].bus.send(message('before'));
    await nodes[1].ear.hears(({ length }) => length === 1);
    await redis.stop();
    await isAway();
    await nodes[0].bus.send(message('between'));
    await redis.start();
    await together(nodes);
    await nodes[0].bus.send(message('after'));
    await sendLast(nodes);
    expect(heardBy(nodes[0]).map(({ data }) => data)).toEqual(['before', 'between', 'after']);
    expect(heardBy(nodes[1]).map(({ data }) => data)).toEqual(['before', 'after']);
    expect(warnings('Redis is away')).toBe(2);
    expect(said('Redis is there')).toBe(2);
  });

  it('starts without Redis, and finds it later', async () => {
    await redis.stop();
    const nodes = await Promise.all([aNode(), aNode()]);
    await isAway();
    await nodes[0].bus.send(message('alone'));
    expect(nodes[0].ear.messages.length).toBe(1);
    await redis.start();
    await together(nodes);
    await nodes[0].bus.send(message('together'));
    await sendLast(nodes);
    expect(heardBy(nodes[1]).map(({ data }) => data)).toEqual(['together']);
    expect(warnings('Redis is away')).toBe(2);
  });

  it('stops without Redis', async () => {
    const nodes = await open();
    await redis.stop();
    await isAway();
    await Promise.all(nodes.map(({ close }) => close()));
    await redis.start();
  });

  it('keeps no more than so many for a Redis that is slow', async () => {
    const nodes = await open();
    const control = await createClient({ url: redis.url }).connect();
    await control.sendCommand(['CLIENT', 'PAUSE', '60000', 'WRITE']);
    // However long this takes: a Redis that has taken nothing for two seconds would be sent nothing more.
    const clock = jest.spyOn(performance, 'now').mockReturnValue(performance.now());
    for (let number = 0; number < 10_101; number++) await nodes[0].bus.send(message(number));
    clock.mockRestore();
    expect(warnings('Redis is too slow')).toBe(1);
    await control.sendCommand(['CLIENT', 'UNPAUSE']);
    control.destroy();
    await nodes[1].ear.hears(({ length }) => length === 10_000);
    await sendLast(nodes);
    expect(heardBy(nodes[1]).at(-1)?.data).toBe(9_999);
    await until(() => said('Redis keeps up again') === 1, 'Redis to keep up');
  });

  it('lets a node act on the sockets of another', async () => {
    const nodes = await open();
    const socket = io(`http://127.0.0.1:${nodes[1].port}/broadcasting`, { forceNew: true, reconnection: false });
    await new Promise<void>((resolve) => socket.once('connect', resolve));
    const over = new Promise((resolve) => socket.once('disconnect', resolve));
    nodes[0].namespace.in(socket.id ?? '').disconnectSockets(true);
    expect(await over).toBe('io server disconnect');
  });
});
