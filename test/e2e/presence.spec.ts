import { EventEmitter, once } from 'node:events';
import { Logger } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { v7 as uuidv7 } from 'uuid';
import { type Emission, LocalAudience } from '../../src/broadcasting/delivery/local-audience.js';
import { AudienceService } from '../../src/broadcasting/presence/audience.service.js';
import { AudiencesRepository } from '../../src/broadcasting/presence/audiences.repository.js';
import { NodeService } from '../../src/broadcasting/presence/node.service.js';
import { NodesRepository } from '../../src/broadcasting/presence/nodes.repository.js';
import { PresenceAnnouncements } from '../../src/broadcasting/presence/presence-announcements.js';
import { PresenceRepository } from '../../src/broadcasting/presence/presence.repository.js';
import { PresenceService } from '../../src/broadcasting/presence/presence.service.js';
import { dataSourceOptions } from '../../src/database/connection.js';
import { DatabaseListener } from '../../src/database/database-listener.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';
import { until } from '../support/uploads.js';

const ROOM = 'presence-room';

/** Holds up what waits for it, until it is opened. */
function aGate() {
  let open: () => void = () => undefined;
  const opened = new Promise<void>((resolve) => (open = resolve));
  return { opened, open };
}

/** Hears what the database announces, until it is made deaf; a resync is called by the test. */
class TestListener extends DatabaseListener {
  isDeaf = false;
  readonly marks = new EventEmitter();
  resync: () => void = () => undefined;

  override on(topic: string, listener: (payload: string) => void): void {
    super.on(topic, (payload) => this.isDeaf || listener(payload));
  }

  override onResync(listener: () => void): void {
    this.resync = listener;
  }

  async listen(): Promise<void> {
    super.on('marks', (payload) => this.marks.emit(payload));
    await this.onApplicationBootstrap();
    // A first connection that was too slow is made again in the background.
    await until(() => this.isConnected, 'a listener');
    // No pings: a database that stalls is waited for, so that nothing it announces is missed.
    clearTimeout(this['timer'] ?? undefined);
  }
}

/** One process among several: the services, on connections of their own. Its beats are the test's. */
class TestNode {
  readonly told: string[] = [];
  readonly emissions: { payload: object; emission: Emission }[] = [];

  private constructor(
    readonly dataSource: DataSource,
    readonly listener: TestListener,
    readonly repository = new PresenceRepository(dataSource),
    readonly nodesRepository = new NodesRepository(dataSource),
    readonly node = new NodeService(nodesRepository),
    readonly audience = new LocalAudience(),
    readonly announcements = new PresenceAnnouncements(repository, node, audience, listener),
    readonly presence = new PresenceService(repository, announcements, node),
    readonly audiences = new AudienceService(node, nodesRepository, new AudiencesRepository(dataSource)),
  ) {
    audience.add({
      emit: (channel, event, payload, emission) => {
        const { user } = payload as { user: { id: string; username: string } };
        this.told.push(`${event} ${channel} ${user.username}`);
        this.emissions.push({ payload, emission });
      },
    });
  }

  static async start(database: TestDatabase): Promise<TestNode> {
    const dataSource = await new DataSource(dataSourceOptions(database.connection, 4)).initialize();
    const node = new TestNode(dataSource, new TestListener(database.connection));
    await node.listener.listen();
    return node;
  }

  /** What it has asked for in the background is done. */
  async idle(): Promise<void> {
    await this.presence.flush();
    await this.announcements['reads'].run();
  }

  /** As `kill -9`: nothing is said, and nothing more is done. */
  async kill(): Promise<void> {
    await this.dataSource.destroy();
    await this.listener.onApplicationShutdown();
  }

  async stop(): Promise<void> {
    await this.node.beforeApplicationShutdown();
    if (this.dataSource.isInitialized) await this.kill();
  }
}

describe('presence', () => {
  let database: TestDatabase;
  let observer: TestListener;
  /** `joined CHANNEL USERNAME`, as the database announces it. */
  let announced: string[];
  let nodes: TestNode[];
  let marks = 0;
  /** What the nodes' clock has gone on by: it is the test's alone. */
  let ahead = 0;
  let warn: jest.SpyInstance;
  let log: jest.SpyInstance;

  beforeAll(async () => {
    jest.useFakeTimers({
      doNotFake: [
        'Date',
        'hrtime',
        'nextTick',
        'performance',
        'queueMicrotask',
        'setImmediate',
        'clearImmediate',
        'setTimeout',
        'clearTimeout',
      ],
    });
    database = await createTestDatabase();
    observer = new TestListener(database.connection);
    observer.on('gatehouse_presence', (payload) => {
      const { type, channel, user } = JSON.parse(payload);
      announced.push(`${type} ${channel} ${user.username}`);
    });
    await observer.listen();
  });
  beforeEach(() => {
    [announced, nodes, ahead] = [[], [], 0];
    const now = performance.now();
    jest.spyOn(performance, 'now').mockImplementation(() => now + ahead);
    warn = jest.spyOn(Logger.prototype, 'warn').mockImplementation(() => undefined);
    log = jest.spyOn(Logger.prototype, 'log').mockImplementation(() => undefined);
  });
  afterEach(async () => {
    await Promise.all(nodes.map((node) => node.stop()));
    await database.pool.query('TRUNCATE presence_members, channel_audiences, broadcast_nodes');
    await database.pool.query('DELETE FROM users');
    jest.restoreAllMocks();
  });
  afterAll(async () => {
    await observer.onApplicationShutdown();
    await database.drop();
    jest.useRealTimers();
  });

  async function start(count: number): Promise<TestNode[]> {
    nodes = await Promise.all(Array.from({ length: count }, () => TestNode.start(database)));
    return nodes;
  }

  async function aUser(
    username: string,
    names: { full?: string; first?: string; last?: string } = {},
  ): Promise<string> {
    const id = uuidv7();
    await database.pool.query(
      `INSERT INTO users (id, email, username, full_name, first_name, last_name, role, is_active, is_verified, password_hash, created_at, updated_at)
       VALUES ($1, $2, $3, $4, $5, $6, 'user', true, false, 'none', now(), now())`,
      [id, `${username}@example.com`, username, names.full ?? null, names.first ?? null, names.last ?? null],
    );
    return id;
  }

  const someUsers = (...usernames: string[]) => Promise.all(usernames.map((username) => aUser(username)));

  /** All is written, and all that has been announced before has been heard by everybody who can. */
  async function settle(): Promise<void> {
    const alive = nodes.filter(({ dataSource }) => dataSource.isInitialized);
    await Promise.all(alive.map((node) => node.idle()));
    const mark = `mark ${++marks}`;
    const heard = [observer, ...alive.map(({ listener }) => listener)].map(({ marks }) => once(marks, mark));
    await database.pool.query(`SELECT pg_notify('marks', $1)`, [mark]);
    await Promise.all(heard);
  }

  const expire = ({ node }: TestNode) =>
    database.pool.query(`UPDATE broadcast_nodes SET lease_until = now() - interval '1 second' WHERE id = $1`, [
      node.id,
    ]);

  /** The nodes beat for longer than a lease. */
  async function keepBeating(...beating: TestNode[]): Promise<void> {
    // The beat of a start is over: it would renew a lease that the test lets run out.
    await Promise.all(beating.map(({ node }) => node.ready()));
    for (let beat = 0; beat < 6; beat++) {
      ahead += 2_000;
      await Promise.all(beating.map(({ node }) => node.renew()));
      await settle();
    }
  }

  const storedNodes = async () =>
    (await database.pool.query('SELECT id FROM broadcast_nodes ORDER BY id')).rows.map(({ id }) => id as string);

  const storedPresences = async () =>
    (
      await database.pool.query(
        `SELECT p.channel || ' ' || u.username AS presence FROM presence_members p JOIN users u ON u.id = p.user_id
         ORDER BY p.channel, u.username`,
      )
    ).rows.map(({ presence }) => presence as string);

  /** Whoever changes a presence waits, until the answer is called. */
  async function lockPresences(): Promise<() => Promise<void>> {
    const client = await database.pool.connect();
    await client.query('BEGIN; SELECT FROM presence_members FOR UPDATE');
    return async () => {
      await client.query('COMMIT');
      client.release();
    };
  }

  async function statementsToWait(count: number): Promise<void> {
    const waiting = `datname = current_database() AND application_name = 'gatehouse' AND wait_event_type = 'Lock'`;
    for (let found = 0; found !== count;)
      found = (await database.pool.query(`SELECT FROM pg_stat_activity WHERE ${waiting}`)).rows.length;
  }

  /** As a crash of the database leaves tables that are not logged. */
  const crash = () => database.pool.query('TRUNCATE presence_members, channel_audiences, broadcast_nodes');

  describe('joining and leaving', () => {
    it('joins once, however many tabs and nodes, and leaves with the last', async () => {
      const [a, b] = await start(2);
      const reader = await aUser('reader');
      const user = await aUser('user', { first: 'Ursula', last: 'Ser' });
      await a.presence.enter(ROOM, reader);
      await b.presence.enter(ROOM, reader);
      await settle();
      for (const node of [a, a, b]) await node.presence.enter(ROOM, user);
      await settle();
      const joined = `presence:joined ${ROOM} user`;
      expect(announced).toEqual([`joined ${ROOM} reader`, `joined ${ROOM} user`]);
      expect([a.told.at(-1), b.told.at(-1)]).toEqual([joined, joined]);
      expect(b.emissions.at(-1)).toEqual({
        payload: { channel: ROOM, user: { id: user, username: 'user', full_name: 'Ursula Ser' } },
        emission: { part: 'presence', exceptUserId: user },
      });
      for (const node of [a, b, a]) {
        expect(announced).not.toContain(`left ${ROOM} user`);
        node.presence.leave(ROOM, user);
        await settle();
      }
      expect(announced.slice(2)).toEqual([`left ${ROOM} user`]);
      expect([a.told.at(-1), b.told.at(-1)]).toEqual([`presence:left ${ROOM} user`, `presence:left ${ROOM} user`]);
      expect(await storedPresences()).toEqual([`${ROOM} reader`]);
    });

    it('writes many at once in one statement', async () => {
      const [a] = await start(1);
      const enter = jest.spyOn(a.repository, 'enter');
      const leave = jest.spyOn(a.repository, 'leave');
      const users = await someUsers(...Array.from({ length: 20 }, (_, index) => `user_${index}`));
      await a.node.ready();
      await Promise.all(users.map((user) => a.presence.enter(ROOM, user)));
      for (const user of users) a.presence.leave(ROOM, user);
      await settle();
      expect([enter.mock.calls.length, leave.mock.calls.length]).toEqual([1, 1]);
      expect(announced).toHaveLength(40);
      expect(a.presence['presences'].size).toBe(0);
    });

    it('writes nothing for someone who is back before it is written', async () => {
      const [a] = await start(1);
      const [user] = await someUsers('user');
      await a.presence.enter(ROOM, user);
      const leave = jest.spyOn(a.repository, 'leave');
      a.presence.leave(ROOM, user);
      await a.presence.enter(ROOM, user);
      await settle();
      expect(leave).not.toHaveBeenCalled();
      expect(announced).toEqual([`joined ${ROOM} user`]);
    });

    it('lets nobody in who leaves first', async () => {
      const [a] = await start(1);
      const [user] = await someUsers('user');
      const entering = a.presence.enter(ROOM, user);
      a.presence.leave(ROOM, user);
      await entering;
      await settle();
      expect(await storedPresences()).toEqual([]);
      expect(a.presence['presences'].size).toBe(0);
    });

    it('shows members by username, and counts them', async () => {
      const [a, b] = await start(2);
      const [carol, anna, Bert] = await someUsers('carol', 'anna', 'Bert');
      const dora = await aUser('dora', { full: 'Dora D.', first: 'Not', last: 'This' });
      await Promise.all([carol, anna].map((user) => a.presence.enter(ROOM, user)));
      await Promise.all([Bert, dora].map((user) => b.presence.enter(ROOM, user)));
      await a.presence.enter('presence-other', carol);
      expect(await a.presence.members(ROOM)).toEqual([
        { id: anna, username: 'anna', full_name: null },
        { id: Bert, username: 'Bert', full_name: null },
        { id: carol, username: 'carol', full_name: null },
        { id: dora, username: 'dora', full_name: 'Dora D.' },
      ]);
      expect((await b.presence.members(ROOM, 2)).map(({ id }) => id)).toEqual([anna, Bert]);
      const several = await b.presence.membersOf([ROOM, 'presence-other', 'presence-empty'], 3);
      expect([...several].map(([channel, users]) => [channel, users.map(({ username }) => username)])).toEqual([
        [ROOM, ['anna', 'Bert', 'carol']],
        ['presence-other', ['carol']],
        ['presence-empty', []],
      ]);
      expect([await a.presence.count(ROOM), await a.presence.count('presence-empty')]).toEqual([4, 0]);
      await settle();
      await expire(b);
      expect((await a.presence.members(ROOM)).map(({ id }) => id)).toEqual([anna, carol]);
      expect(await a.presence.count(ROOM)).toBe(2);
    });

    it('lets nobody in before it knows who is there: whoever comes later is announced', async () => {
      const [a, b] = await start(2);
      const [reader, joiner] = await someUsers('reader', 'joiner');
      const gate = aGate();
      jest.spyOn(a.repository, 'listPresent').mockImplementationOnce(async (...asked) => {
        await gate.opened;
        return PresenceRepository.prototype.listPresent.apply(a.repository, asked);
      });
      let isIn = false;
      const entering = a.presence.enter(ROOM, reader).then(() => (isIn = true));
      await until(async () => (await storedPresences()).length === 1, 'the reader');
      await a.presence.flush();
      expect(isIn).toBe(false);
      gate.open();
      await entering;
      await b.presence.enter(ROOM, joiner);
      await settle();
      expect(a.told).toContain(`presence:joined ${ROOM} joiner`);
    });

    it('has in its list of members what is announced while it asks', async () => {
      const [a, b] = await start(2);
      const [leaver, joiner, reader] = await someUsers('leaver', 'joiner', 'reader');
      for (const user of [leaver, reader]) await a.presence.enter(ROOM, user);
      await settle();
      const listMembers = a.repository.listMembers.bind(a.repository);
      jest.spyOn(a.repository, 'listMembers').mockImplementationOnce(async (...asked) => {
        const rows = await listMembers(...asked);
        a.presence.leave(ROOM, leaver);
        await b.presence.enter(ROOM, joiner);
        await settle();
        return rows;
      });
      expect((await a.presence.members(ROOM)).map(({ username }) => username)).toEqual(['joiner', 'reader']);
    });

    it('tells the name that is known of a user who was deleted', async () => {
      const [a] = await start(1);
      const [reader, user] = await someUsers('reader', 'user');
      for (const id of [reader, user]) await a.presence.enter(ROOM, id);
      await settle();
      await database.pool.query('DELETE FROM users WHERE id = $1', [user]);
      expect((await a.presence.members(ROOM)).map(({ username }) => username)).toEqual(['reader']);
      a.presence.leave(ROOM, user);
      await settle();
      expect(announced.at(-1)).toBe(`left ${ROOM} null`);
      expect(a.told.at(-1)).toBe(`presence:left ${ROOM} user`);
    });

    it('does not let in a user who does not exist', async () => {
      const [a] = await start(1);
      await a.presence.enter(ROOM, uuidv7());
      await settle();
      expect(announced).toEqual([]);
    });

    it('leaves in order with who comes back while it is being written', async () => {
      const [a] = await start(1);
      const [user] = await someUsers('user');
      await a.presence.enter(ROOM, user);
      const [isLeaving, gate] = [aGate(), aGate()];
      jest.spyOn(a.repository, 'leave').mockImplementationOnce(async (...asked) => {
        isLeaving.open();
        await gate.opened;
        await PresenceRepository.prototype.leave.apply(a.repository, asked);
      });
      a.presence.leave(ROOM, user);
      await isLeaving.opened;
      const back = a.presence.enter(ROOM, user);
      gate.open();
      await back;
      await settle();
      expect(announced).toEqual(['joined', 'left', 'joined'].map((type) => `${type} ${ROOM} user`));
      expect(await storedPresences()).toEqual([`${ROOM} user`]);
    });

    it('does not lose sight of who comes and goes while it is being written', async () => {
      const [a] = await start(1);
      const [user] = await someUsers('user');
      await a.presence.enter(ROOM, user);
      const [isLeaving, gate] = [aGate(), aGate()];
      jest.spyOn(a.repository, 'leave').mockImplementationOnce(async (...asked) => {
        isLeaving.open();
        await gate.opened;
        await PresenceRepository.prototype.leave.apply(a.repository, asked);
      });
      a.presence.leave(ROOM, user);
      await isLeaving.opened;
      const back = a.presence.enter(ROOM, user);
      a.presence.leave(ROOM, user);
      gate.open();
      await back;
      await a.presence.enter(ROOM, user);
      expect(await storedPresences()).toEqual([`${ROOM} user`]);
      a.presence.leave(ROOM, user);
      await settle();
      expect(await storedPresences()).toEqual([]);
    });

    it('leaves when a user leaves two nodes in the same moment', async () => {
      const both = await start(2);
      const [user] = await someUsers('user');
      for (const { presence } of both) await presence.enter(ROOM, user);
      const release = await lockPresences();
      for (const { presence } of both) presence.leave(ROOM, user);
      await statementsToWait(2);
      await release();
      await settle();
      expect(announced).toEqual([`joined ${ROOM} user`, `left ${ROOM} user`]);
      expect(await storedPresences()).toEqual([]);
    });

    it('lets two nodes write the same users in opposite orders', async () => {
      const [a, b] = await start(2);
      const users = await someUsers(...Array.from({ length: 200 }, (_, index) => `user_${index}`));
      for (let round = 0; round < 5; round++) {
        await Promise.all([
          ...users.map((user) => a.presence.enter(ROOM, user)),
          ...users.toReversed().map((user) => b.presence.enter(ROOM, user)),
        ]);
        for (const user of users) a.presence.leave(ROOM, user);
        for (const user of users.toReversed()) b.presence.leave(ROOM, user);
        await settle();
        expect(announced.splice(0)).toHaveLength(400);
      }
      expect(warn).not.toHaveBeenCalled();
    });

    it('is on a node once, however often that is written', async () => {
      const [a] = await start(1);
      const [user] = await someUsers('user');
      await a.node.ready();
      for (let time = 0; time < 2; time++) await a.repository.enter(a.node.id, [{ channel: ROOM, userId: user }]);
      const { rows } = await database.pool.query('SELECT nodes FROM presence_members');
      expect(rows).toEqual([{ nodes: [a.node.id] }]);
    });

    it('is consistent when two nodes do everything at the same time', async () => {
      const both = await start(2);
      const CHANNELS = ['presence-1', 'presence-2', 'presence-3'];
      const [reader, ...users] = await someUsers('reader', 'u1', 'u2', 'u3', 'u4');
      for (const node of both) for (const channel of CHANNELS) await node.presence.enter(channel, reader);
      await settle();
      const pending: Promise<void>[] = [];
      const here = both.map(() => new Map<string, number>());
      const pick = <T>(values: readonly T[]) => values[Math.floor(Math.random() * values.length)];
      for (let step = 0; step < 500; step++) {
        const index = pick([0, 1]);
        const [channel, user] = [pick(CHANNELS), pick(users)];
        const key = `${channel} u${users.indexOf(user) + 1}`;
        const count = here[index].get(key) ?? 0;
        const isEntering = count === 0 || Math.random() < 0.4;
        here[index].set(key, count + (isEntering ? 1 : -1));
        if (isEntering) pending.push(both[index].presence.enter(channel, user));
        else both[index].presence.leave(channel, user);
        if (step % 7 === 0) await new Promise((resolve) => setImmediate(resolve));
        if (step % 50 === 0) await Promise.all(pending);
      }
      await Promise.all(pending);
      await settle();
      const expected = new Set(
        here.flatMap((counts) => [...counts].filter(([, count]) => count > 0).map(([key]) => key)),
      );
      const stored = (await storedPresences()).filter((presence) => !presence.endsWith('reader'));
      expect(stored).toEqual([...expected].sort());
      for (const said of [announced, ...both.map(({ told }) => told.map((line) => line.replace('presence:', '')))]) {
        const present = new Set<string>();
        for (const line of said.filter((line) => !line.endsWith('reader'))) {
          const [type, ...key] = line.split(' ');
          expect([line, present.has(key.join(' '))]).toEqual([line, type === 'left']);
          if (type === 'joined') present.add(key.join(' '));
          else present.delete(key.join(' '));
        }
        expect([...present].sort()).toEqual(stored);
      }
      expect(warn).not.toHaveBeenCalled();
    });
  });

  describe('nodes', () => {
    it('are none before they are used, and leave no trace then', async () => {
      const [a] = await start(1);
      const query = jest.spyOn(a.dataSource, 'query');
      await a.node.beforeApplicationShutdown();
      a.node.start();
      expect(query).not.toHaveBeenCalled();
      expect(await storedNodes()).toEqual([]);
    });

    it('renew their lease, with their connections', async () => {
      const [a] = await start(1);
      const renew = jest.spyOn(a.nodesRepository, 'renew');
      a.node.start();
      a.node.setConnections(3);
      await a.node.ready();
      expect(await storedNodes()).toEqual([a.node.id]);
      await database.pool.query(`UPDATE broadcast_nodes SET lease_until = now() + interval '1 second'`);
      jest.advanceTimersByTime(2_000);
      await a.node.renew();
      expect(renew).toHaveBeenCalledTimes(3);
      const { rows } = await database.pool.query(
        `SELECT name, connections, lease_until > now() + interval '5 seconds' AS is_renewed FROM broadcast_nodes`,
      );
      expect(rows).toEqual([{ name: a.node.name, connections: 3, is_renewed: true }]);
      expect(a.node.name).toMatch(new RegExp(`:${process.pid}$`));
    });

    it('announce once who has left with a node that died', async () => {
      const [a, b, c] = await start(3);
      const [here, gone, reader] = await someUsers('here', 'gone', 'reader');
      for (const user of [here, gone]) await a.presence.enter(ROOM, user);
      for (const user of [here, reader]) await b.presence.enter(ROOM, user);
      a.audiences.set(ROOM, 2);
      await a.audiences.flush();
      await keepBeating(a, b, c);
      announced.length = 0;
      await a.kill();
      await expire(a);
      await Promise.all([b.node.renew(), c.node.renew()]);
      await settle();
      expect(announced).toEqual([`left ${ROOM} gone`]);
      expect(b.told.at(-1)).toBe(`presence:left ${ROOM} gone`);
      expect(await storedPresences()).toEqual([`${ROOM} here`, `${ROOM} reader`]);
      expect(await storedNodes()).toEqual([b.node.id, c.node.id].sort());
      expect((await database.pool.query('SELECT FROM channel_audiences')).rowCount).toBe(0);
    });

    it('come back when they were taken for dead', async () => {
      const [a, b] = await start(2);
      const [user, reader] = await someUsers('user', 'reader');
      await a.presence.enter(ROOM, user);
      await b.presence.enter(ROOM, reader);
      a.audiences.set('news', 5);
      await a.audiences.flush();
      await keepBeating(a, b);
      announced.length = 0;
      await expire(a);
      await b.node.renew();
      await settle();
      expect(announced).toEqual([`left ${ROOM} user`]);
      await a.node.renew();
      await a.audiences.flush();
      await settle();
      expect(announced).toEqual([`left ${ROOM} user`, `joined ${ROOM} user`]);
      expect(await b.audiences.countsOf(['news'])).toEqual(new Map([['news', 5]]));
      expect(await storedNodes()).toEqual([a.node.id, b.node.id].sort());
    });

    it('are removed with what they were writing when their lease ran out', async () => {
      const [a, b] = await start(2);
      const [user] = await someUsers('user');
      await b.presence.enter(ROOM, user);
      await keepBeating(a, b);
      const release = await lockPresences();
      const entering = a.presence.enter(ROOM, user);
      await statementsToWait(1);
      await expire(a);
      await b.node.renew();
      await release();
      await entering;
      await a.kill();
      await b.node.renew();
      expect(await storedNodes()).toEqual([b.node.id]);
      b.presence.leave(ROOM, user);
      await settle();
      expect(announced).toEqual([`joined ${ROOM} user`, `left ${ROOM} user`]);
      expect(await storedPresences()).toEqual([]);
    });

    it('trust no answer of before they were registered again', async () => {
      const [a] = await start(1);
      const [user] = await someUsers('user');
      const [isWritten, gate] = [aGate(), aGate()];
      jest.spyOn(a.repository, 'enter').mockImplementationOnce(async (...asked) => {
        const answer = await PresenceRepository.prototype.enter.apply(a.repository, asked);
        isWritten.open();
        await gate.opened;
        return answer;
      });
      const entering = a.presence.enter(ROOM, user);
      await isWritten.opened;
      await crash();
      await a.node.renew();
      gate.open();
      await entering;
      expect(await storedPresences()).toEqual([`${ROOM} user`]);
    });

    it('keep all that is theirs when their lease has run out and nobody has removed them', async () => {
      const [a] = await start(1);
      const [user, next] = await someUsers('user', 'next');
      await a.presence.enter(ROOM, user);
      a.audiences.set('news', 1);
      await a.audiences.flush();
      await expire(a);
      await a.presence.enter(ROOM, next);
      await settle();
      await expire(a);
      a.audiences.set('more', 1);
      await a.audiences.flush();
      expect(announced).toEqual([`joined ${ROOM} user`, `joined ${ROOM} next`]);
      expect(await storedPresences()).toEqual([`${ROOM} next`, `${ROOM} user`]);
      expect([...(await a.audiences.countsOf(['news', 'more'])).keys()].sort()).toEqual(['more', 'news']);
    });

    it('do not take each other for dead after a database that hung for longer than a lease', async () => {
      const [a, b, c] = await start(3);
      const users = await someUsers('at-a', 'at-b', 'at-c');
      for (const [at, node] of nodes.entries()) await node.presence.enter(ROOM, users[at]);
      await keepBeating(a, b, c);
      announced.length = 0;
      ahead += 12_000;
      for (const node of nodes) await expire(node);
      for (const { listener } of nodes) listener.resync();
      await a.node.renew();
      await b.node.renew();
      await keepBeating(b, c);
      expect(announced).toEqual([]);
      await c.kill();
      await expire(c);
      ahead += 2_000;
      await b.node.renew();
      await settle();
      expect(announced).toEqual([`left ${ROOM} at-c`]);
    });

    it('fill the tables again after a crash of the database, and tell nobody what they know', async () => {
      const [a, b] = await start(2);
      const [stays, goes, reader] = await someUsers('stays', 'goes', 'reader');
      for (const user of [stays, goes]) await a.presence.enter(ROOM, user);
      await b.presence.enter(ROOM, reader);
      a.audiences.set('news', 2);
      await a.audiences.flush();
      await settle();
      for (const { told } of nodes) told.length = 0;
      await crash();
      for (const { listener } of nodes) listener.resync();
      a.presence.leave(ROOM, goes);
      await settle();
      await keepBeating(a, b);
      await keepBeating(a, b);
      await a.audiences.flush();
      expect(await storedPresences()).toEqual([`${ROOM} reader`, `${ROOM} stays`]);
      expect(await b.audiences.countsOf(['news'])).toEqual(new Map([['news', 2]]));
      for (const { told } of nodes) expect(told).toEqual([`presence:left ${ROOM} goes`]);
    });

    it('wait for each other after a crash of the database, and not for longer than a lease', async () => {
      const [a, b, c] = await start(3);
      const users = await someUsers('at-a', 'at-b', 'at-c');
      for (const [at, node] of nodes.entries()) await node.presence.enter(ROOM, users[at]);
      await keepBeating(a, b, c);
      a.told.length = 0;
      await crash();
      for (const { listener } of nodes) listener.resync();
      // However often it has reason to.
      for (let beat = 0; beat < 9; beat++) {
        ahead += 1_000;
        await a.node.renew();
        await settle();
      }
      expect(a.told).toEqual([]);
      await b.node.renew();
      await settle();
      await keepBeating(a, b);
      expect(a.told).toEqual([`presence:left ${ROOM} at-c`]);
      expect(await storedPresences()).toEqual([`${ROOM} at-a`, `${ROOM} at-b`]);
    });

    it('find out what was announced while they could not hear', async () => {
      const [a, b] = await start(2);
      const [stays, goes, comes, reader] = await someUsers('stays', 'goes', 'comes', 'reader');
      for (const user of [stays, goes]) await a.presence.enter(ROOM, user);
      await b.presence.enter(ROOM, reader);
      await keepBeating(a, b);
      b.told.length = 0;
      b.listener.isDeaf = true;
      a.presence.leave(ROOM, goes);
      await a.presence.enter(ROOM, comes);
      await settle();
      b.listener.isDeaf = false;
      b.listener.resync();
      expect(b.told).toEqual([]);
      for (let beat = 0; beat < 4; beat++) {
        await b.node.renew();
        await b.idle();
      }
      expect(b.told).toEqual([`presence:left ${ROOM} goes`, `presence:joined ${ROOM} comes`]);
    });

    it('are gone at once when they shut down', async () => {
      const [a, b] = await start(2);
      const [user, reader] = await someUsers('user', 'reader');
      await a.presence.enter(ROOM, user);
      await a.presence.enter(ROOM, reader);
      await b.presence.enter(ROOM, reader);
      a.audiences.set(ROOM, 2);
      await a.audiences.flush();
      await settle();
      a.told.length = 0;
      await a.node.beforeApplicationShutdown();
      a.presence.leave(ROOM, user);
      await settle();
      expect(announced.slice(2)).toEqual([`left ${ROOM} user`]);
      expect([a.told, b.told.at(-1)]).toEqual([[], `presence:left ${ROOM} user`]);
      expect(await storedNodes()).toEqual([b.node.id]);
      await expect(a.presence.enter(ROOM, user)).rejects.toThrow('shutting down');
      a.audiences.set(ROOM, 1);
      await a.audiences.flush();
      expect(await b.audiences.countsOf([ROOM])).toEqual(new Map());
      expect(await storedPresences()).toEqual([`${ROOM} reader`]);
    });

    it('do not come back by a beat that was under way', async () => {
      const [a] = await start(1);
      const [isRegistering, gate] = [aGate(), aGate()];
      jest.spyOn(a.nodesRepository, 'register').mockImplementationOnce(async (node) => {
        isRegistering.open();
        await gate.opened;
        return NodesRepository.prototype.register.call(a.nodesRepository, node);
      });
      const remove = jest.spyOn(a.nodesRepository, 'remove');
      a.node.start();
      await isRegistering.opened;
      const stopping = a.node.beforeApplicationShutdown();
      expect(remove).not.toHaveBeenCalled();
      gate.open();
      await stopping;
      expect(await storedNodes()).toEqual([]);
    });

    it('take with them who enters while they shut down', async () => {
      const [a] = await start(1);
      const users = await someUsers('u1', 'u2', 'u3');
      await a.node.ready();
      const entering = users.map((user) => a.presence.enter(ROOM, user).catch(() => undefined));
      await a.node.beforeApplicationShutdown();
      await Promise.all(entering);
      await settle();
      expect([await storedNodes(), await storedPresences()]).toEqual([[], []]);
    });
  });

  describe('audiences', () => {
    it('are counted over the nodes that are alive', async () => {
      const [a, b, c] = await start(3);
      a.audiences.set('news', 2);
      a.audiences.set('private-staff', 1);
      a.audiences.set('gone', 1);
      a.audiences.set('gone', 0);
      b.audiences.set('news', 3);
      b.audiences.set(ROOM, 4);
      c.audiences.set('news', 100);
      for (const { audiences } of nodes) await audiences.flush();
      await expire(c);
      a.node.setConnections(7);
      const counts = await a.audiences.countsOf(['news', ROOM, 'gone']);
      expect(counts).toEqual(new Map(Object.entries({ news: 5, [ROOM]: 4 })));
      expect(await a.audiences.countsOf([])).toEqual(new Map());
      const stats = await a.audiences.stats(2);
      expect(stats).toEqual({
        connections: 7,
        nodes: expect.arrayContaining([
          { id: a.node.id, name: a.node.name, connections: 7, started_at: expect.stringMatching(/^\d{4}-.+Z$/) },
          { id: b.node.id, name: b.node.name, connections: 0, started_at: expect.any(String) },
        ]),
        channels: [
          { channel: 'news', subscribers: 5 },
          { channel: ROOM, subscribers: 4 },
        ],
        occupied_channels: 3,
      });
      expect(stats.nodes).toHaveLength(2);
      const { rows } = await database.pool.query(
        'SELECT DISTINCT channel, kind FROM channel_audiences ORDER BY channel',
      );
      expect(rows).toEqual([
        { channel: 'news', kind: 'plain' },
        { channel: ROOM, kind: 'presence' },
        { channel: 'private-staff', kind: 'private' },
      ]);
      a.audiences.set('news', 0);
      b.audiences.set('news', 1);
      for (const { audiences } of [a, b]) await audiences.flush();
      expect(await a.audiences.countsOf(['news'])).toEqual(new Map([['news', 1]]));
    });

    it('are written by themselves, and again when that fails', async () => {
      const [a] = await start(1);
      const write = jest.spyOn(a.audiences['repository'], 'write');
      const written = new Promise<void>((resolve) => {
        const fail = () => Promise.reject(new Error('away'));
        write
          .mockImplementationOnce(fail)
          .mockImplementationOnce(fail)
          .mockImplementationOnce(async (...asked) => {
            const isWritten = await AudiencesRepository.prototype.write.apply(a.audiences['repository'], asked);
            resolve();
            return isWritten;
          });
      });
      a.audiences.set('news', 2);
      await written;
      expect(await a.audiences.countsOf(['news'])).toEqual(new Map([['news', 2]]));
      await a.audiences.flush();
      expect([warn.mock.calls.length, log.mock.calls.length]).toEqual([1, 1]);
    });
  });

  describe('with a database that fails', () => {
    it('refuses to enter, and counts nothing', async () => {
      const [a] = await start(1);
      const [user] = await someUsers('user');
      jest.spyOn(a.repository, 'enter').mockRejectedValueOnce(new Error('away'));
      const entering = [a.presence.enter(ROOM, user), a.presence.enter(ROOM, user)];
      for (const outcome of await Promise.allSettled(entering)) expect(outcome).toMatchObject({ status: 'rejected' });
      await settle();
      expect(a.announcements['rosters'].size).toBe(0);
      await a.presence.enter(ROOM, user);
      a.presence.leave(ROOM, user);
      await settle();
      expect(announced).toEqual([`joined ${ROOM} user`, `left ${ROOM} user`]);
    });

    it('counts nobody twice who leaves while being refused', async () => {
      const [a] = await start(1);
      const [user] = await someUsers('user');
      jest.spyOn(a.repository, 'enter').mockRejectedValueOnce(new Error('away'));
      const first = a.presence.enter(ROOM, user);
      const second = a.presence.enter(ROOM, user);
      a.presence.leave(ROOM, user);
      await expect(second).rejects.toThrow('away');
      await expect(first).rejects.toThrow('away');
      await a.presence.enter(ROOM, user);
      expect(await storedPresences()).toEqual([`${ROOM} user`]);
    });

    it('takes back what was recorded when only the answer was lost', async () => {
      const [a] = await start(1);
      const [user] = await someUsers('user');
      jest.spyOn(a.repository, 'enter').mockImplementationOnce(async (...asked) => {
        await PresenceRepository.prototype.enter.apply(a.repository, asked);
        throw new Error('connection lost');
      });
      await expect(a.presence.enter(ROOM, user)).rejects.toThrow('connection lost');
      await a.node.renew();
      await settle();
      expect(announced).toEqual([`joined ${ROOM} user`, `left ${ROOM} user`]);
    });

    it('tries again to leave, and logs the outage once', async () => {
      const [a] = await start(1);
      const [user] = await someUsers('user');
      await a.presence.enter(ROOM, user);
      const leave = jest.spyOn(a.repository, 'leave').mockRejectedValue(new Error('away'));
      a.presence.leave(ROOM, user);
      await settle();
      await a.node.renew();
      await settle();
      expect(leave.mock.calls.length).toBeGreaterThan(1);
      expect(announced).toEqual([`joined ${ROOM} user`]);
      leave.mockRestore();
      await a.node.renew();
      await settle();
      expect(announced).toEqual([`joined ${ROOM} user`, `left ${ROOM} user`]);
      expect([warn.mock.calls.length, log.mock.calls.length]).toEqual([1, 1]);
    });

    it('keeps who was let in before when it is registered again in an outage', async () => {
      const [a] = await start(1);
      const [user] = await someUsers('user');
      await a.presence.enter(ROOM, user);
      await crash();
      const enter = jest.spyOn(a.repository, 'enter').mockRejectedValue(new Error('away'));
      await a.node.renew();
      await a.presence.enter(ROOM, user);
      await settle();
      expect(enter).toHaveBeenCalled();
      enter.mockRestore();
      await a.node.renew();
      await settle();
      expect(await storedPresences()).toEqual([`${ROOM} user`]);
      a.presence.leave(ROOM, user);
      await settle();
      expect(await storedPresences()).toEqual([`${ROOM} user`]);
      a.presence.leave(ROOM, user);
      await settle();
      expect(await storedPresences()).toEqual([]);
    });

    it('logs once that the lease cannot be renewed', async () => {
      const [a] = await start(1);
      await a.node.ready();
      jest
        .spyOn(a.nodesRepository, 'renew')
        .mockRejectedValueOnce(new Error('away'))
        .mockRejectedValueOnce(new Error('away'));
      for (let beat = 0; beat < 3; beat++) {
        jest.advanceTimersByTime(2_000);
        await a.node.renew().catch(() => undefined);
      }
      expect([warn.mock.calls.length, log.mock.calls.length]).toEqual([1, 1]);
      expect(await storedNodes()).toEqual([a.node.id]);
    });
  });
});
