import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { DataSource } from 'typeorm';
import { checkDatabaseAndWays } from '../../src/commands/doctor/way-checks.js';
import { AppConfig } from '../../src/config/app-config.js';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../src/database/embedded/embedded-postgres.js';
import { migrate } from '../../src/database/migrate.js';
import { ListReader, REPLICAS } from '../../src/database/replicas/list-reader.js';
import type { Replica } from '../../src/database/replicas/replica.js';
import { anAdmin, aSignedInUser, aUser, type SignedIn } from '../support/builders.js';
import { ReplicaServer } from '../support/replica-server.js';
import { startTestApp, type TestApp } from '../support/test-app.js';
import { freePort, sendFile, until } from '../support/uploads.js';

const LISTS_OF_EVERYBODY = [
  '/users',
  '/users?search=nobody',
  '/admin/users',
  '/admin/users?search=nobody',
  '/admin/uploads',
  '/admin/uploads?content_type=text/plain',
  '/admin/audit-log',
  '/admin/stats',
];

describe('replicas', () => {
  const directory = mkdtempSync(join(tmpdir(), 'gatehouse-primary-'));
  let server: EmbeddedPostgres;
  let replica: ReplicaServer;
  let app: TestApp;
  let admin: SignedIn;
  let reader: SignedIn;

  beforeAll(async () => {
    chmodSync(directory, 0o711);
    const settings = { fsync: 'off', autovacuum: 'off', wal_keep_size: '256MB' };
    server = await startEmbeddedPostgres({ directory: join(directory, 'postgres'), settings });
    await migrate(server.connection);
    replica = await ReplicaServer.of(server);
    await replica.start();
    app = await startNode();
    // Made, not registered: whoever changes nothing reads from the replica.
    reader = await anAdmin(app);
    admin = await anAdmin(app);
    await replicaIs('up');
  });

  afterAll(async () => {
    await app?.close();
    await replica?.remove();
    await server?.stop();
    rmSync(directory, { recursive: true, force: true });
  });

  /** The first is a replica, the second is not there. */
  async function startNode(): Promise<TestApp> {
    const { user, password, host, database } = server.connection;
    const parts = `postgres://${user}:${encodeURIComponent(password)}@`;
    const pool = new pg.Pool({ ...server.connection, max: 2 });
    const beside = { database: { connection: server.connection, pool, drop: () => pool.end() } } as TestApp;
    const node = await startTestApp(
      {
        DATABASE_URL: `${parts}localhost/${database}?host=${encodeURIComponent(host)}`,
        DATABASE_REPLICA_URLS: `${replica.url}, ${parts}127.0.0.1:${await freePort()}/${database}`,
      },
      { beside },
    );
    const close = async () => {
      await node.close();
      await pool.end();
    };
    return { ...node, close };
  }

  const replicaIs = (state: 'up' | 'left out') =>
    until(() => app.app.get<Replica[]>(REPLICAS)[0].isUp === (state === 'up'), `a replica that is ${state}`);
  const get = (path: string, who = reader) => app.http.get(`/api/v1${path}`).set(who.auth);
  const said = (pattern: RegExp) => app.log.filter((line) => pattern.test(line)).length;
  const asked = () => replica.statementsOf('gatehouse');
  const total = async (path: string) => (await get(path).expect(200)).body.total as number;

  async function pauseReplay(): Promise<void> {
    await replica.query('SELECT pg_wal_replay_pause()');
    await until(
      async () => (await replica.query<{ s: string }>('SELECT pg_get_wal_replay_pause_state() AS s'))[0].s === 'paused',
      'a pause of the replay',
    );
  }

  async function resumeReplay(): Promise<void> {
    await replica.query('SELECT pg_wal_replay_resume()');
    await replicaIs('up');
  }

  /** A replica that has stalled is left out for a moment: asked until it is the one that answers. */
  const isReadOnReplica = (path: string) =>
    until(async () => {
      const before = asked().length;
      await get(path).expect(200);
      for (let look = 0; look < 100 && asked().length === before; look++) await delay(10);
      return asked().length > before;
    }, `${path} on the replica`);

  it('answer every list of everybody’s, in a session that cannot write', async () => {
    for (const path of LISTS_OF_EVERYBODY) await isReadOnReplica(path);
    await replicaIs('up');
    const settings = await app.app
      .get(ListReader)
      .read((source) =>
        source.query(
          `SELECT current_setting('default_transaction_read_only') AS ro, current_setting('statement_timeout') AS max`,
        ),
      );
    expect(settings).toEqual([{ ro: 'on', max: '15s' }]);
  });

  it('are asked for nothing else: no access decision, no single record, nothing of one’s own', async () => {
    const user = await aUser(app);
    const before = asked().length;
    for (const path of [
      ...['/users/me', `/users/${user.id}`, `/admin/users/${user.id}`, `/admin/users/${user.id}/sessions`],
      ...['/uploads', `/admin/uploads?user_id=${user.id}`, '/auth/sessions', '/users/me/api-keys'],
    ])
      await get(path).expect(200);
    // The log of the replica has its order: what they had asked would stand before this.
    await get('/admin/stats').expect(200);
    await until(() => asked().length > before, 'statistics on the replica');
    expect(asked().slice(before)).toHaveLength(1);
  });

  it('are looked at by doctor, one by one', async () => {
    const look = { kind: 'reached', database: app.app.get(DataSource), place: 'here', close: async () => {} } as const;
    const findings = await checkDatabaseAndWays(look, app.app.get(AppConfig));
    expect(findings.map(({ state, summary }) => `${state}: ${summary}`)).toEqual([
      expect.stringMatching(/^ok: here/),
      'ok: replica 1 of DATABASE_REPLICA_URLS is there',
      expect.stringMatching(/^warning: replica 2 of DATABASE_REPLICA_URLS is not reached: .*ECONNREFUSED/),
    ]);
  });

  it('never delay a decision: who is disabled is out at once, and one’s own change is seen', async () => {
    const [user, owner] = [await aSignedInUser(app), await aSignedInUser(app)];
    await get('/users/me', user).expect(200);
    await pauseReplay();
    try {
      await app.http.patch(`/api/v1/admin/users/${user.id}`).set(admin.auth).send({ is_active: false }).expect(200);
      await get('/users/me', user).expect(401);
      await get(`/users/${user.id}`)
        .expect(200)
        .expect(({ body }) => expect(body.is_active).toBe(false));
      const listed = await get(`/admin/users?search=${user.username}&active=false`, admin).expect(200);
      expect(listed.body.total).toBe(1);
      const file = { name: 'own.txt', type: 'text/plain', content: Buffer.from('mine') };
      expect((await sendFile(`${app.url}/api/v1/uploads`, owner.auth, file))?.status).toBe(201);
      expect((await get('/uploads', owner).expect(200)).body.total).toBe(1);
    } finally {
      await resumeReplay();
    }
  });

  it('are left out when they are too far behind, with one line in the log, and come back', async () => {
    const lines = said(/is left out.*too far behind/);
    await pauseReplay();
    const { username } = await aUser(app);
    await until(() => said(/is left out.*too far behind/) === lines + 1, 'a line about it');
    await replicaIs('left out');
    expect(await total(`/users?search=${username}`)).toBe(1);
    expect(said(/is left out.*too far behind/)).toBe(lines + 1);
    await resumeReplay();
    expect(await total(`/users?search=${username}`)).toBe(1);
    await isReadOnReplica('/users');
  });

  it('that hang let nobody wait for long: the primary answers', async () => {
    await get('/users').expect(200);
    const stopped = await replica.signalBackends('SIGSTOP');
    try {
      await get('/users').expect(200);
      await replicaIs('left out');
    } finally {
      await replica.signalBackends('SIGCONT', stopped);
    }
    await replicaIs('up');
  });

  it('that fail for a reason of their own are not missed: the list is read again on the primary', async () => {
    const served: boolean[] = [];
    const answer = await app.app.get(ListReader).read(async (source) => {
      const [{ is_replica }] = await source.query<{ is_replica: boolean }[]>(
        'SELECT pg_is_in_recovery() AS is_replica',
      );
      served.push(is_replica);
      if (is_replica) await source.query('CREATE TABLE not_here (id int)');
      return 'read';
    });
    expect([answer, served]).toEqual(['read', [true, false]]);
    expect(app.app.get<Replica[]>(REPLICAS)[0].isUp).toBe(true);
  });

  it('are not asked while the primary does not tell where its log is: one line in the log, and doctor says so', async () => {
    const superuser = new pg.Client({ ...server.connection, user: 'postgres' });
    await superuser.connect();
    try {
      await superuser.query('REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC');
      await until(() => said(/Lists are read from the primary: .*pg_control_system/) === 1, 'a line about it');
      await get('/users').expect(200);
      const look = {
        kind: 'reached',
        database: app.app.get(DataSource),
        place: 'here',
        close: async () => {},
      } as const;
      const findings = await checkDatabaseAndWays(look, app.app.get(AppConfig));
      expect(findings[1].summary).toMatch(/^the primary does not tell where its log is: permission denied/);
    } finally {
      await superuser.query('GRANT EXECUTE ON FUNCTION pg_control_system() TO PUBLIC');
      await superuser.end();
    }
    await replicaIs('up');
  });

  it('that are killed are not missed, and are taken again when they are back', async () => {
    await Promise.all(Array.from({ length: 5 }, () => get('/users').expect(200)));
    const answers = Promise.all(Array.from({ length: 50 }, () => get('/users')));
    await replica.stop();
    expect(new Set((await answers).map(({ status }) => status))).toEqual(new Set([200]));
    await replicaIs('left out');
    await get('/users').expect(200);
    await replica.start();
    await replicaIs('up');
    await isReadOnReplica('/users');
    // The one that was never there: one line, however often it was asked.
    expect(said(/Replica 2 of DATABASE_REPLICA_URLS is left out/)).toBe(1);
    expect(app.log.join('')).not.toContain(server.connection.password);
  });

  it('that have become servers of their own are asked no more', async () => {
    await replica.query('SELECT pg_promote()');
    await until(() => said(/is left out.*it is no replica/) === 1, 'a line about it');
    const { username } = await aUser(app);
    expect(await total(`/users?search=${username}`)).toBe(1);
    const look = { kind: 'reached', database: app.app.get(DataSource), place: 'here', close: async () => {} } as const;
    const [, promoted] = await checkDatabaseAndWays(look, app.app.get(AppConfig));
    expect([promoted.state, promoted.summary]).toEqual(['ok', expect.stringContaining('is no replica now')]);
  });
});
