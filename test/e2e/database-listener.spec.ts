import { EventEmitter, once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { Logger } from '@nestjs/common';
import { DatabaseListener } from '../../src/database/database-listener.js';
import type { DatabaseConnection } from '../../src/database/embedded/embedded-postgres.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';
import { until } from '../support/uploads.js';

/** A line to the database that can fall silent, as when a firewall forgets it, and that can be refused. */
class Line extends EventEmitter<{ attempt: [number] }> {
  isRefusing = false;
  private attempts = 0;
  private readonly pairs = new Set<[Socket, Socket]>();
  private readonly server = createServer({ allowHalfOpen: true }, (client) => this.forward(client));

  constructor(private readonly target: DatabaseConnection) {
    super();
  }

  async open(): Promise<DatabaseConnection> {
    await once(this.server.listen(0, '127.0.0.1'), 'listening');
    return { ...this.target, host: '127.0.0.1', port: (this.server.address() as AddressInfo).port };
  }

  /** Nothing goes through any more in either direction, and nobody is told. Later connections are whole. */
  hang(): void {
    for (const [client, upstream] of this.pairs) {
      client.unpipe(upstream).pause();
      upstream.unpipe(client).pause();
    }
  }

  break(): void {
    for (const socket of [...this.pairs].flat()) socket.destroy();
  }

  async close(): Promise<void> {
    this.break();
    await new Promise((resolve) => this.server.close(resolve));
  }

  private forward(client: Socket): void {
    client.on('error', () => undefined);
    this.emit('attempt', ++this.attempts);
    if (this.isRefusing) return void client.destroy();
    const { host, port } = this.target;
    const upstream = host.startsWith('/') ? connect(`${host}/.s.PGSQL.${port}`) : connect(port, host);
    upstream.on('error', () => undefined);
    this.pairs.add([client, upstream]);
    client.pipe(upstream).pipe(client);
  }
}

describe('DatabaseListener', () => {
  let database: TestDatabase;
  let listener: DatabaseListener;
  let line: Line | null;
  let heard: string[];
  let arrivals: EventEmitter;
  let logged: { warn: jest.SpyInstance; log: jest.SpyInstance; error: jest.SpyInstance };

  beforeAll(async () => {
    database = await createTestDatabase();
  });
  beforeEach(() => {
    const silence = (level: 'warn' | 'log' | 'error') =>
      jest.spyOn(Logger.prototype, level).mockImplementation(() => undefined);
    logged = { warn: silence('warn'), log: silence('log'), error: silence('error') };
    [heard, arrivals, line] = [[], new EventEmitter(), null];
  });
  afterEach(async () => {
    await listener.onApplicationShutdown();
    await line?.close();
    await until(async () => (await countConnections()) === 0, 'the end of the connection');
    jest.restoreAllMocks();
  });
  afterAll(() => database.drop());

  /** Notes what comes of the topics one and two. */
  function note(): void {
    for (const topic of ['one', 'two'])
      listener.on(topic, (payload) => {
        heard.push(`${topic}: ${payload}`);
        arrivals.emit(payload);
      });
    listener.onResync(() => {
      heard.push('resync');
      arrivals.emit('resync');
    });
  }

  function listen(connection: DatabaseConnection = database.connection): void {
    listener = new DatabaseListener(connection);
    note();
  }

  async function listenOverLine(): Promise<Line> {
    line = new Line(database.connection);
    listen(await line.open());
    return line;
  }

  const notify = (topic: string, payload: string) => database.pool.query('SELECT pg_notify($1, $2)', [topic, payload]);

  /** Notifications come in order: what was to be heard before this has been. */
  async function expectHeard(expected: string[]): Promise<void> {
    const last = once(arrivals, 'last');
    await notify('one', 'last');
    await last;
    expect(heard).toEqual([...expected, 'one: last']);
  }

  const OWN = `datname = current_database() AND application_name = 'gatehouse'`;
  const terminate = () => database.pool.query(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE ${OWN}`);
  const countConnections = async () =>
    (await database.pool.query(`SELECT FROM pg_stat_activity WHERE ${OWN}`)).rows.length;

  it('hears several topics in order, and no others', async () => {
    listen();
    await listener.onApplicationBootstrap();
    expect(listener.isConnected).toBe(true);
    for (const [topic, payload] of [
      ['one', 'a'],
      ['two', 'b'],
      ['three', 'c'],
      ['one', ''],
      ['two', 'é – 😀'],
    ])
      await notify(topic, payload);
    await expectHeard(['one: a', 'two: b', 'one: ', 'two: é – 😀']);
  });

  it('listens again after its connection was ended', async () => {
    listen();
    await listener.onApplicationBootstrap();
    for (const resyncs of [['resync'], ['resync', 'resync']]) {
      const resync = once(arrivals, 'resync');
      await terminate();
      await resync;
      expect(listener.isConnected).toBe(true);
      expect(heard).toEqual(resyncs);
    }
    await expectHeard(['resync', 'resync']);
  });

  it('tells once that it is cut off and once that it is back, however often it tries', async () => {
    const { warn, log } = logged;
    const cut = await listenOverLine();
    await listener.onApplicationBootstrap();
    cut.isRefusing = true;
    const tries = new Promise<void>((resolve) => cut.on('attempt', (attempt) => attempt === 4 && resolve()));
    cut.break();
    await tries;
    expect(listener.isConnected).toBe(false);
    expect(heard).toEqual([]);
    cut.isRefusing = false;
    await once(arrivals, 'resync');
    await expectHeard(['resync']);
    expect([warn.mock.calls.length, log.mock.calls.length]).toEqual([1, 1]);
  });

  it('replaces a connection that hangs', async () => {
    const silent = await listenOverLine();
    await listener.onApplicationBootstrap();
    const resync = once(arrivals, 'resync');
    silent.hang();
    await notify('one', 'unheard');
    await resync;
    await expectHeard(['resync']);
  });

  it('starts without a database, and what it missed until there is one is to be read', async () => {
    const cut = await listenOverLine();
    cut.isRefusing = true;
    await listener.onApplicationBootstrap();
    expect(listener.isConnected).toBe(false);
    cut.isRefusing = false;
    await once(arrivals, 'resync');
    await expectHeard(['resync']);
  });

  it('lets no listener that throws disturb the others', async () => {
    listener = new DatabaseListener(database.connection);
    const fail = () => {
      throw new Error('on purpose');
    };
    listener.on('one', fail);
    listener.onResync(fail);
    note();
    await listener.onApplicationBootstrap();
    const resync = once(arrivals, 'resync');
    await terminate();
    await resync;
    await expectHeard(['resync']);
    expect(logged.error.mock.calls.map(([message]) => message)).toEqual([
      'A resync failed',
      'A listener to one failed',
    ]);
  });

  it('makes no connection when nobody listens', async () => {
    listener = new DatabaseListener(database.connection);
    listener.onResync(() => undefined);
    await listener.onApplicationBootstrap();
    expect(await countConnections()).toBe(0);
    expect(listener.isConnected).toBe(false);
  });

  it('takes no topic when it is too late to listen to it', async () => {
    listen();
    await listener.onApplicationBootstrap();
    expect(() => listener.on('three', () => undefined)).toThrow(/three/);
  });

  it.each(['whole', 'silent'])('ends a %s connection with the application', async (kind) => {
    const cut = await listenOverLine();
    await listener.onApplicationBootstrap();
    if (kind === 'silent') cut.hang();
    await listener.onApplicationShutdown();
    expect(listener.isConnected).toBe(false);
    expect(logged.warn).not.toHaveBeenCalled();
  });

  it('is not in the way of an application that stops while it starts', async () => {
    const cut = await listenOverLine();
    const bootstrap = listener.onApplicationBootstrap();
    await once(cut, 'attempt');
    await listener.onApplicationShutdown();
    await bootstrap;
    expect(listener.isConnected).toBe(false);
    expect(logged.warn).not.toHaveBeenCalled();
  });
});
