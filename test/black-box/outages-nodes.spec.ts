import { once } from 'node:events';
import pg from 'pg';
import { connectTo, SocketReader } from '../support/broadcast-clients.js';
import { Balancer, type ClusterNode } from '../support/broadcast-cluster.js';
import { Ledger, RestPublisher } from '../support/broadcast-publishers.js';
import { json, membersAt, newAddress, send, Watcher } from '../support/outage-load.js';
import { Installation, report, TEST_MS, WITHIN_MS } from '../support/outage.js';
import { Dice, seedOfRun, until } from '../support/uploads.js';

const SEED = seedOfRun();
const LOBBY = 'presence-lobby';
const SOCKETS = 20;

type User = Awaited<ReturnType<Installation['aUser']>>;

/** What ends access at one node, and what the other then has to say to the same credentials. */
interface Ending {
  readonly title: string;
  readonly credential: 'token' | 'key';
  readonly reason: string;
  /** What a socket is told whose node did not hear of it, and asked. */
  readonly found: string;
  readonly status: 401 | 403;
  end(user: User, keyId: string): { path: string; method: string; token: string; body?: object };
}

describe(`two nodes, seed ${SEED}`, () => {
  let installation: Installation;
  let [a, b]: ClusterNode[] = [];
  let adminToken: string;
  let sql: pg.Client;
  let userCount = 0;
  const opened: { close(): unknown }[] = [];
  const opening = <T extends { close(): unknown }>(what: T): T => {
    opened.push(what);
    return what;
  };
  const newUser = () => installation.aUser(`user${++userCount}`);

  beforeAll(async () => {
    installation = await Installation.start();
    [a, b] = installation.nodes;
    adminToken = installation.cluster.admin.token;
    sql = new pg.Client(installation.cluster.database.connection);
    await sql.connect();
  });

  afterEach(async () => {
    await Promise.all(opened.splice(0).map((what) => what.close()));
    expect(installation.cluster.nodes.flatMap(({ faults }) => faults)).toEqual([]);
  });
  afterAll(async () => {
    await sql?.end();
    await installation?.end();
  });

  const standing = (user: User, body: object) => ({
    path: `/admin/users/${user.id}`,
    method: 'PATCH',
    token: adminToken,
    body,
  });
  const endings: Ending[] = [
    {
      title: 'a logout',
      ...{ credential: 'token', reason: 'logged_out', found: 'logged_out', status: 401 },
      end: ({ token }) => ({ path: '/auth/logout', method: 'POST', token }),
    },
    {
      title: 'a logout everywhere',
      ...{ credential: 'token', reason: 'logged_out', found: 'logged_out', status: 401 },
      end: ({ token }) => ({ path: '/auth/logout-all', method: 'POST', token }),
    },
    {
      title: 'disabling the user',
      ...{ credential: 'token', reason: 'account_disabled', found: 'logged_out', status: 401 },
      end: (user) => standing(user, { is_active: false }),
    },
    {
      title: 'another role',
      ...{ credential: 'token', reason: 'role_changed', found: 'role_changed', status: 403 },
      end: (user) => standing(user, { role: 'user' }),
    },
    {
      title: 'deleting the API key',
      ...{ credential: 'key', reason: 'api_key_revoked', found: 'api_key_revoked', status: 401 },
      end: ({ token }, keyId) => ({ path: `/users/me/api-keys/${keyId}`, method: 'DELETE', token }),
    },
  ] as Ending[];

  /** An admin with a key that may what he may. */
  async function anAdmin(): Promise<{ user: User; keyId: string; key: string }> {
    const user = await newUser();
    const { path, method, token, body } = standing(user, { role: 'admin' });
    await send(a, 'promote', { path, token, ...json(body), method });
    const scopes = ['users:read', 'broadcast:read', 'admin'];
    const made = await send(a, 'key', {
      path: '/users/me/api-keys',
      token: user.token,
      ...json({ name: 'all', scopes }),
    });
    if (made.status !== 201) throw new Error(`no key: ${JSON.stringify(made.body)}`);
    return { user, keyId: made.body.id, key: made.body.key };
  }

  /** Ends it at A, and asks B with the answer in hand. Gives how long a socket at B outlived that answer, in milliseconds. */
  async function endAtA(
    { credential, reason, found, status, end }: Ending,
    { user, keyId, key }: Awaited<ReturnType<typeof anAdmin>>,
    before: () => unknown = () => undefined,
  ): Promise<number> {
    const shown = credential === 'key' ? key : user.token;
    const socket = opening(connectTo(b.url, shown, { transports: ['websocket'] }));
    const told = once(socket as never, 'session:ended');
    const closed = once(socket as never, 'disconnect').then(() => performance.now());
    await once(socket as never, 'connect');
    const ask = () => send(b, 'admin', { path: '/admin/stats', token: shown });
    expect((await ask()).status).toBe(200);
    const { path, method, token, body } = end(user, keyId);
    await before();
    const ended = await send(a, 'end', { path, token, ...(body && json(body)), method });
    const at = performance.now();
    expect([200, 204]).toContain(ended.status);
    expect((await ask()).status).toBe(status);
    const [ending] = (await told) as [{ reason: string }];
    expect([reason, found]).toContain(ending.reason);
    return Math.max(0, Math.round((await closed) - at));
  }

  describe('what ends at one of them ends at the other', () => {
    const endAll = async (circumstance: string, before?: () => unknown) => {
      const took: Record<string, number> = {};
      // Before all else: that a role was given is announced, too, and ends the connections of before.
      const admins = await Promise.all(endings.map(anAdmin));
      for (const [at, ending] of endings.entries()) took[ending.title] = await endAtA(ending, admins[at], before);
      report(`revocation, ${circumstance}`, took);
    };

    it('at once', () => endAll('all is well'), TEST_MS);

    it(
      'also while Redis is away',
      async () => {
        await installation.redis.stop();
        try {
          await endAll('Redis away');
        } finally {
          await installation.redis.start();
        }
      },
      TEST_MS,
    );

    /** The connections on which nodes listen: what they have done last is to listen, or to ask for a sign of life. */
    const LISTENING = `application_name = 'gatehouse' AND (query LIKE 'LISTEN %' OR query = 'SELECT 1')`;

    it(
      'also when the connections on which they hear of it have just been cut',
      () =>
        endAll('LISTEN cut', () =>
          sql.query(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE ${LISTENING}`),
        ),
      TEST_MS,
    );

    it(
      'also when those connections hang: requests at once, sockets when that is found out',
      async () => {
        const stopped: number[] = [];
        const stopAll = async () => {
          const { rows } = await sql.query<{ pid: number }>(`SELECT pid FROM pg_stat_activity WHERE ${LISTENING}`);
          for (const { pid } of rows) process.kill(pid, 'SIGSTOP');
          stopped.push(...rows.map(({ pid }) => pid));
        };
        try {
          const took: Record<string, number> = {};
          const [ending] = endings;
          const { user } = await anAdmin();
          const socket = opening(connectTo(b.url, user.token, { transports: ['websocket'] }));
          await once(socket as never, 'connect');
          const told = once(socket as never, 'session:ended');
          await until(
            async () => (await sql.query(`SELECT FROM pg_stat_activity WHERE ${LISTENING}`)).rows.length >= 2,
            'both nodes to listen',
            WITHIN_MS,
          );
          await stopAll();
          expect(stopped.length).toBeGreaterThanOrEqual(2);
          const { path, method, token } = ending.end(user, '');
          expect((await send(a, 'end', { path, token, method })).status).toBe(204);
          const at = performance.now();
          expect((await send(b, 'read', { path: '/users/me', token })).status).toBe(401);
          expect(await told).toEqual([{ reason: 'logged_out' }]);
          took[ending.title] = Math.round(performance.now() - at);
          report('revocation, LISTEN hangs', took);
        } finally {
          for (const pid of stopped) process.kill(pid, 'SIGCONT');
        }
      },
      TEST_MS,
    );
  });

  it(
    'lose nothing when one is killed: its sockets go on at the other, and who was only there has left',
    async () => {
      const channel = 'news';
      const dice = new Dice(SEED);
      const ledger = new Ledger(dice);
      const { cluster } = installation;
      const [reader, ghost] = [await newUser(), await newUser()];
      const balancer = opening(await Balancer.before([b, a]));
      const reading = { token: reader.token, channels: [channel], transports: ['websocket'] };
      const readers = Array.from({ length: SOCKETS }, (_, at) =>
        opening(new SocketReader(`socket ${at}`, balancer.url, reading)),
      );
      const watcher = opening(await Watcher.at(a, reader, [LOBBY]));
      const there = opening(await Watcher.at(b, ghost, [LOBBY]));
      there.socket.io.reconnection(false);
      await until(async () => (await membersAt(a, adminToken, LOBBY)).length === 2, 'both to be present', WITHIN_MS);
      const publishers = [
        new RestPublisher('REST at A', cluster.admin, [a, b], [channel], ledger, dice),
        new RestPublisher('REST at B', cluster.admin, [b, a], [channel], ledger, dice),
      ];
      for (const publisher of publishers) publisher.start();
      await until(() => readers.every(({ handled }) => handled.count(channel) > 0), 'the first message', WITHIN_MS);

      await b.kill();
      const at = performance.now();
      await until(
        () => readers.every(({ disconnects, socket }) => disconnects === 1 && socket.connected),
        'all sockets',
        WITHIN_MS,
      );
      const back = Math.round(performance.now() - at);
      const last = ledger.acknowledged.length;
      await until(() => ledger.acknowledged.length > last, 'a message after it', WITHIN_MS);
      const body = {
        path: '/auth/login',
        address: newAddress(),
        ...json({ email: reader.email, password: 'SecurePass123!' }),
      };
      expect((await send(a, 'login', body)).status).toBe(200);
      await until(
        () => watcher.presence.some(([event]) => event === 'presence:left'),
        'the lease to run out',
        WITHIN_MS,
      );
      const left = Math.round(performance.now() - at);
      await b.start();
      await Promise.all(publishers.map((publisher) => publisher.stop()));

      const log = await cluster.history(channel, reader.token);
      const logs = new Map([[channel, log]]);
      await until(
        () => readers.every(({ handled }) => handled.count(channel) === log.items.length),
        'everything at all readers',
        WITHIN_MS,
      );
      report('node is killed', {
        'sockets back after ms': back,
        'presence right after ms': left,
        acknowledged: ledger.acknowledged.length,
        lost: ledger.lost(logs).length,
      });
      expect([ledger.faults, ledger.lost(logs), ledger.missing(logs)]).toEqual([[], [], []]);
      for (const { handled, disconnects } of readers)
        expect([handled.faults, handled.duplicates, disconnects]).toEqual([[], 0, 1]);
      expect(watcher.presence).toEqual([
        ['presence:joined', ghost.email.split('@')[0]],
        ['presence:left', ghost.email.split('@')[0]],
      ]);
      expect(await membersAt(a, adminToken, LOBBY)).toEqual([reader.email.split('@')[0]]);
    },
    TEST_MS,
  );
});
