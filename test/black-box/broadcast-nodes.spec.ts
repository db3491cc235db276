import { once } from 'node:events';
import pg from 'pg';
import type { Socket } from 'socket.io-client';
import { ask, connectTo, type Message, SocketReader, StreamReader } from '../support/broadcast-clients.js';
import {
  Balancer,
  Cluster,
  type ClusterNode,
  type ClusterUser,
  type HistoryAnswer,
  request,
} from '../support/broadcast-cluster.js';
import { Ledger, RestPublisher, SocketPublisher, storedNumbers } from '../support/broadcast-publishers.js';
import { Dice, seedOfRun, until } from '../support/uploads.js';

const SEED = seedOfRun();
/** On a machine that is busy with other things. */
const WITHIN_MS = 60_000;
const LISTENERS_CUT = 10;
const SOCKETS = 50;
const STREAMS = 5;
/** Between the steps of a restart, at each publisher's pace. */
const ANSWERS = 20;

type Reader = SocketReader | StreamReader;

describe(`several nodes on one PostgreSQL, seed ${SEED}`, () => {
  const dice = new Dice(SEED);
  let cluster: Cluster;
  let [a, b]: ClusterNode[] = [];
  let reader: ClusterUser;
  let sql: pg.Client;
  const opened: { close(): unknown }[] = [];
  let channelCount = 0;

  const opening = <T extends { close(): unknown }>(what: T): T => {
    opened.push(what);
    return what;
  };
  const newChannel = (prefix = 'channel') => `${prefix}-${++channelCount}`;
  const publish = (node: ClusterNode, channel: string, more: object = {}): Promise<Message> => {
    const body = { channel, event: 'test', data: { from: node.name }, ...more };
    return cluster.call('/broadcasting/messages', cluster.admin.token, { node, method: 'POST', body }, 201);
  };
  const readerAt = (node: ClusterNode, channel: string, transports = ['websocket']) =>
    opening(new SocketReader(`${transports.join()} at ${node.name}`, node.url, readerOf([channel], transports)));
  const readerOf = (channels: string[], transports: string[]) => ({ token: reader.token, channels, transports });
  const streamAt = (node: ClusterNode, channel: string) =>
    opening(new StreamReader(`stream at ${node.name}`, [node.url], reader.token, channel));
  const has = (channel: string, count: number) => (some: Reader) => some.handled.count(channel) >= count;

  async function socketOf(user: ClusterUser, node: ClusterNode): Promise<Socket> {
    const socket = opening(connectTo(node.url, user.token, { transports: ['websocket'] }));
    await once(socket as never, 'connect');
    return socket;
  }

  beforeAll(async () => {
    cluster = await Cluster.start({ SOCKET_CONNECTIONS: '1000' });
    [a, b] = cluster.nodes;
    reader = await cluster.aUser('reader');
    sql = new pg.Client(cluster.database.connection);
    await sql.connect();
  });

  afterEach(async () => {
    await Promise.all(opened.splice(0).map((what) => what.close()));
    expect(cluster.nodes.flatMap(({ faults }) => faults)).toEqual([]);
  });

  afterAll(async () => {
    await sql?.end();
    await cluster?.end();
  });

  it('bring what is published at one to the readers of the other', async () => {
    const channel = newChannel();
    const readers = [a, b].flatMap((node) => [
      readerAt(node, channel),
      readerAt(node, channel, ['polling']),
      streamAt(node, channel),
    ]);
    const published = [await publish(a, channel), await publish(b, channel)];
    await until(() => readers.every(has(channel, 2)), 'both messages everywhere', WITHIN_MS);
    for (const { handled } of readers) expect([handled.distinct(channel), handled.faults]).toEqual([published, []]);
  });

  it('bring what is not durable to the readers of the other', async () => {
    const channel = newChannel();
    const socket = await socketOf(reader, b);
    expect(await ask(socket, 'subscribe', { channel })).toMatchObject({ ok: true });
    const arrived = once(socket as never, 'message');
    const published = await publish(a, channel, { durable: false });
    expect(await arrived).toEqual([published]);
    expect(published.sequence).toBeNull();
  });

  describe('when the database’s announcement is lost', () => {
    it('deliver what was committed by a node that died before it could tell', async () => {
      const channel = newChannel();
      await publish(a, channel);
      const readers = [readerAt(a, channel), readerAt(b, channel), streamAt(b, channel)];
      await until(() => readers.every(has(channel, 1)), 'the first message', WITHIN_MS);
      await sql.query(
        `SELECT * FROM publish_messages(ARRAY[$1], ARRAY[gen_random_uuid()], ARRAY['test'], ARRAY['{}'], ARRAY[$2::uuid], ARRAY[NULL])`,
        [channel, cluster.admin.id],
      );
      await until(() => readers.every(has(channel, 2)), 'the message that nobody has announced', WITHIN_MS);
      const { items } = await cluster.history(channel, reader.token);
      for (const { handled } of readers) expect([handled.distinct(channel), handled.faults]).toEqual([items, []]);
    });

    /** The nodes ask the connection on which they listen for a sign of life, and so that is what it did last. `false` when there is none now. */
    async function cutListeners(): Promise<boolean> {
      const { rowCount } = await sql.query(
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE application_name = 'gatehouse' AND (query LIKE 'LISTEN %' OR query = 'SELECT 1')`,
      );
      return (rowCount ?? 0) > 0;
    }

    it('deliver what was published while a connection that listens was cut', async () => {
      const channel = newChannel();
      const readers = [readerAt(a, channel), readerAt(b, channel)];
      for (let cut = 1; cut <= LISTENERS_CUT; cut++) {
        const before = [publish(a, channel), publish(b, channel)];
        await until(cutListeners, 'a connection that listens', WITHIN_MS);
        await Promise.all([...before, publish(a, channel), publish(b, channel)]);
        await until(() => readers.every(has(channel, cut * 4)), `what was published around cut ${cut}`, WITHIN_MS);
      }
      const { items } = await cluster.history(channel, reader.token);
      for (const { handled, disconnects } of readers)
        expect([handled.distinct(channel), handled.faults, disconnects]).toEqual([items, [], 0]);
    });
  });

  it('publish again when the connection on which they do so has hung', async () => {
    const channel = newChannel();
    await Promise.all([publish(a, channel), publish(b, channel)]);
    const { rows } = await sql.query<{ pid: number }>(
      `SELECT pid FROM pg_stat_activity WHERE application_name = 'gatehouse' AND query LIKE '%publish_messages(%'`,
    );
    expect(rows).toHaveLength(2);
    for (const { pid } of rows) process.kill(pid, 'SIGSTOP');
    try {
      const body = { channel, event: 'test' };
      const path = `${a.url}/api/v1/broadcasting/messages`;
      expect((await request(path, cluster.admin.token, { method: 'POST', body }))?.status).toBe(503);
      await publish(a, channel);
    } finally {
      for (const { pid } of rows) process.kill(pid, 'SIGCONT');
    }
  });

  it('end a session everywhere when it is logged out at one of them', async () => {
    const leaving = await cluster.aUser('leaving');
    const channel = newChannel();
    const sockets = [await socketOf(leaving, a), await socketOf(leaving, b)];
    const staying = await socketOf(reader, b);
    const stream = opening(new StreamReader('stream', [b.url], leaving.token, channel));
    await until(() => stream.connections === 1, 'the stream', WITHIN_MS);
    const ends = sockets.map(async (socket) => {
      const told = once(socket as never, 'session:ended');
      const [reason] = await once(socket as never, 'disconnect');
      return [await told, reason];
    });
    await cluster.call('/auth/logout', leaving.token, { node: a, method: 'POST' }, 204);
    for (const end of ends) expect(await end).toEqual([[{ reason: 'logged_out' }], 'io server disconnect']);
    // It tries to come back, and is told what everybody is told.
    await until(() => stream.handled.faults.length > 0, 'the end of the stream', WITHIN_MS);
    expect(stream.handled.faults[0]).toBe('stream: the stream is 401');
    expect(staying.connected).toBe(true);
  });

  it('know who is present and which nodes there are, also after one of them was killed', async () => {
    const channel = newChannel('presence');
    const guest = await cluster.aUser('guest');
    const watching = await socketOf(reader, a);
    const told: unknown[] = [];
    watching.onAny((event: string, { user }: { user: { username: string } }) => {
      if (event.startsWith('presence:')) told.push([event, user.username]);
    });
    await ask(watching, 'subscribe', { channel });
    const [tabAtA, tabAtB] = [await socketOf(guest, a), await socketOf(guest, b)];
    const { members } = await ask(tabAtB, 'subscribe', { channel });
    expect(members.map(({ username }: { username: string }) => username)).toEqual(['guest', 'reader']);
    await ask(tabAtA, 'subscribe', { channel });
    const channelAt = (node: ClusterNode) => cluster.call(`/broadcasting/channels/${channel}`, reader.token, { node });
    const stats = () => cluster.call('/broadcasting/stats', cluster.admin.token);
    await until(async () => (await channelAt(b)).subscribers === 3, 'three subscribers', WITHIN_MS);
    await until(async () => (await stats()).connections === 3, 'three connections', WITHIN_MS);
    expect((await stats()).nodes).toHaveLength(2);
    tabAtA.close();
    await until(async () => (await channelAt(a)).subscribers === 2, 'one tab less', WITHIN_MS);
    expect((await channelAt(a)).members).toHaveLength(2);
    await until(() => told.length > 0, 'the guest to be announced', WITHIN_MS);
    expect(told).toEqual([['presence:joined', 'guest']]);

    tabAtB.io.reconnection(false);
    await b.kill();
    await until(() => told.length > 1, 'the lease of the dead node to run out', WITHIN_MS);
    expect(told).toEqual([
      ['presence:joined', 'guest'],
      ['presence:left', 'guest'],
    ]);
    const { nodes, connections } = await stats();
    expect([nodes.length, connections]).toEqual([1, 1]);
    expect(await channelAt(a)).toMatchObject({ subscribers: 1, members: [{ username: 'reader' }] });
    await b.start();
    // A node that nobody uses is none.
    await socketOf(guest, b);
    await until(async () => (await stats()).nodes.length === 2, 'the node to be back', WITHIN_MS);
  });

  describe('being stopped while messages are published', () => {
    let ledger: Ledger;

    const acknowledgements = (count: number) =>
      new Promise<void>((resolve) =>
        ledger.onAnswer((_node, status) => {
          if (status === 201) count--;
          if (count <= 0) resolve();
          return count <= 0;
        }),
      );

    /** Publishes at both all along; gives what the channel has in the end. */
    async function publishingDuring(channel: string, work: () => Promise<void>): Promise<HistoryAnswer> {
      ledger = new Ledger(dice);
      const publishers = [
        new RestPublisher('REST at A', cluster.admin, [a, b], [channel], ledger, dice),
        new RestPublisher('REST at B', cluster.admin, [b, a], [channel], ledger, dice),
        new SocketPublisher('socket at B', cluster.admin, [b, a], [channel], ledger, dice),
      ];
      for (const publisher of publishers) publisher.start();
      try {
        await work();
      } finally {
        await Promise.all(publishers.map((publisher) => publisher.stop()));
      }
      const log = await cluster.history(channel, reader.token);
      const logs = new Map([[channel, log]]);
      expect([ledger.faults, ledger.lost(logs), ledger.missing(logs)]).toEqual([[], [], []]);
      expect(log.items.map(({ sequence }) => sequence)).toEqual(log.items.map((_, at) => at + 1));
      expect(new Set(storedNumbers(logs)).size).toBe(log.items.length);
      return log;
    }

    async function expectAll(readers: Reader[], channel: string, { items }: HistoryAnswer): Promise<void> {
      await until(() => readers.every(has(channel, items.length)), 'everything at all readers', WITHIN_MS);
      for (const { handled } of readers) {
        expect(handled.distinct(channel).map(({ id }) => id)).toEqual(items.map(({ id }) => id));
        expect([handled.faults, handled.duplicates]).toEqual([[], 0]);
      }
    }

    it('exits 0 with sockets and streams open, which go on at the other and miss nothing', async () => {
      const channel = newChannel();
      const { url } = opening(await Balancer.before([b, a]));
      const { token } = reader;
      const sockets = Array.from({ length: SOCKETS }, (_, i) =>
        opening(new SocketReader(`socket ${i}`, url, readerOf([channel], ['websocket']))),
      );
      const streams = Array.from({ length: STREAMS }, (_, i) =>
        opening(new StreamReader(`stream ${i}`, [url], token, channel)),
      );
      const readers = [...sockets, ...streams];
      const log = await publishingDuring(channel, async () => {
        await until(() => readers.every(has(channel, 1)), 'the first message', WITHIN_MS);
        expect(await b.stop()).toEqual({ code: 0, signal: null });
        await acknowledgements(ANSWERS);
      });
      await expectAll(readers, channel, log);
      expect(new Set(sockets.map(({ disconnects }) => disconnects))).toEqual(new Set([1]));
      expect(new Set(streams.map(({ connections }) => connections))).toEqual(new Set([2]));
      const { nodes } = await cluster.call('/broadcasting/stats', cluster.admin.token);
      // It has said goodbye: nobody waits for its lease.
      expect(nodes).toHaveLength(1);
      await b.start();
    });

    it('loses nothing when one after the other is restarted', async () => {
      const channel = newChannel();
      const readers: Reader[] = [];
      for (const [name, nodes] of Object.entries({ A: [a, b], B: [b, a] })) {
        const { url } = opening(await Balancer.before(nodes));
        readers.push(
          opening(new SocketReader(`socket to ${name}`, url, readerOf([channel], ['websocket']))),
          opening(new StreamReader(`stream from ${name}`, [url], reader.token, channel)),
        );
      }
      readers.push(readerAt(a, channel), readerAt(b, channel, ['polling']), streamAt(b, channel));
      const log = await publishingDuring(channel, async () => {
        await until(() => readers.every(has(channel, 1)), 'the first message', WITHIN_MS);
        for (const node of [a, b]) {
          expect(await node.stop()).toEqual({ code: 0, signal: null });
          await acknowledgements(ANSWERS);
          await node.start();
          await acknowledgements(ANSWERS);
        }
      });
      await expectAll(readers, channel, log);
    });
  });
});
