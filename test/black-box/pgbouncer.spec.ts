import { once } from 'node:events';
import pg from 'pg';
import { ask, connectTo, SocketReader } from '../support/broadcast-clients.js';
import { ClusterNode, type ClusterUser, Database, request } from '../support/broadcast-cluster.js';
import { hasPgBouncer, PgBouncer } from '../support/pgbouncer.js';
import { Program, temporaryDataDir } from '../support/program.js';
import { freePort, sendFile, until } from '../support/uploads.js';

/** Far fewer than the nodes' pools may open together. */
const SERVER_CONNECTIONS = 4;
const NODE_POOL = 20;
const CLIENTS = 60;
const CALLS_EACH = 10;
/** On a machine that is busy with other things. */
const WITHIN_MS = 60_000;
const PASSWORD = 'SecurePass123!';

if (!hasPgBouncer())
  process.stderr.write('nodes behind PgBouncer are not tested: there is no pgbouncer (Debian package pgbouncer)\n');

(hasPgBouncer() ? describe : describe.skip)('two nodes behind PgBouncer in transaction mode', () => {
  const database = new Database();
  const data = temporaryDataDir();
  const nodes: ClusterNode[] = [];
  let [a, b]: ClusterNode[] = [];
  let bouncer: PgBouncer;
  let admin: ClusterUser;
  let user: ClusterUser;

  const ways = () => ({ DATABASE_URL: bouncer.url, DATABASE_DIRECT_URL: database.url });
  const serverOf = ({ host, user: name, password, database: its }: Database['connection']) => ({
    host,
    user: String(name),
    password: String(password),
    database: String(its),
  });

  async function call(node: ClusterNode, path: string, token: string | null, options = {}, status = 200): Promise<any> {
    const reply = await request(`${node.url}/api/v1${path}`, token, options);
    if (reply?.status !== status) throw new Error(`${path}: ${JSON.stringify(reply)}`);
    return reply.body;
  }

  const post = (body: object) => ({ method: 'POST', body });
  async function signIn(node: ClusterNode, email: string): Promise<ClusterUser & { refreshToken: string }> {
    const body = await call(node, '/auth/login', null, post({ email, password: PASSWORD }));
    return { id: body.user.id, token: body.access_token, refreshToken: body.refresh_token };
  }

  async function aUser(node: ClusterNode, username: string): Promise<ClusterUser & { refreshToken: string }> {
    const email = `${username}@example.com`;
    await call(node, '/auth/register', null, post({ username, email, password: PASSWORD }), 201);
    return signIn(node, email);
  }

  const publish = (node: ClusterNode, channel: string) =>
    call(node, '/broadcasting/messages', admin.token, post({ channel, event: 'test', data: { at: node.name } }), 201);

  beforeAll(async () => {
    await database.start();
    bouncer = await PgBouncer.before(serverOf(database.connection), { poolSize: SERVER_CONNECTIONS });
    await bouncer.start();
    // Workers take both ways as their primary process does.
    for (const [name, workers] of [
      ['A', '1'],
      ['B', '2'],
    ]) {
      const settings = () => ({ ...ways(), DATABASE_POOL_SIZE: String(NODE_POOL), WEB_CONCURRENCY: workers });
      nodes.push(new ClusterNode(`node ${name}`, await freePort(), settings));
    }
    [a, b] = nodes;
    await a.start();
    await b.start();
    admin = await signIn(a, 'admin@example.com');
    user = await aUser(a, 'pooled');
  });

  afterAll(async () => {
    await Promise.all(nodes.map((node) => node.end()));
    await bouncer?.remove();
    await database.end();
    data.remove();
  });

  it('sign in, refresh and sign out over both', async () => {
    const { token, refreshToken } = await aUser(b, 'both');
    await call(a, '/users/me', token);
    const renewed = await call(a, '/auth/refresh', null, post({ refresh_token: refreshToken }));
    await call(b, '/users/me', renewed.access_token);
    await call(b, '/auth/logout', renewed.access_token, post({}), 204);
    await call(a, '/users/me', renewed.access_token, {}, 401);
  });

  it('take files, and tell of them', async () => {
    const file = { name: 'note.txt', type: 'text/plain', content: Buffer.from('through a pooler') };
    const auth = { Authorization: `Bearer ${user.token}` };
    const answer = await sendFile(`${a.url}/api/v1/uploads`, auth, file);
    expect(answer?.status).toBe(201);
    const { items, total } = await call(b, '/uploads?search=note', user.token);
    expect([total, items[0].id]).toEqual([1, answer?.body.id]);
  });

  it('bring durable messages from one to the other, and what is not durable', async () => {
    const channel = 'news';
    const reader = new SocketReader('reader at B', b.url, { token: user.token, channels: [channel] });
    const socket = connectTo(b.url, user.token);
    try {
      await once(socket as never, 'connect');
      const published = [await publish(a, channel), await publish(b, channel), await publish(a, channel)];
      await until(() => reader.handled.count(channel) >= 3, 'three messages', WITHIN_MS);
      expect([reader.handled.distinct(channel), reader.handled.faults]).toEqual([published, []]);
      expect(await ask(socket, 'subscribe', { channel: 'volatile' })).toMatchObject({ ok: true });
      const arrived = once(socket as never, 'message');
      const message = { channel: 'volatile', event: 'test', data: 1, durable: false };
      const sent = await call(a, '/broadcasting/messages', admin.token, post(message), 201);
      expect(await arrived).toEqual([sent]);
    } finally {
      reader.close();
      socket.close();
    }
  });

  it('end the socket at one when the other ends the session', async () => {
    const guest = await aUser(a, 'guest');
    const socket = connectTo(b.url, guest.token);
    try {
      await once(socket as never, 'connect');
      const ended = once(socket as never, 'session:ended');
      await call(a, '/auth/logout', guest.token, post({}), 204);
      expect(await ended).toEqual([expect.objectContaining({ reason: 'logged_out' })]);
      await call(b, '/users/me', guest.token, {}, 401);
    } finally {
      socket.close();
    }
  });

  it('answer more clients than there are connections to the server', async () => {
    const paths = ['/users/me', '/users', '/users?search=pool', '/uploads', '/auth/sessions', `/users/${user.id}`];
    let busiest = { clients: 0, servers: 0 };
    const work = Array.from({ length: CLIENTS }, async (_, client) => {
      for (let at = 0; at < CALLS_EACH; at++) {
        if (at === 3)
          await call(nodes[client % 2], '/users/me', user.token, { method: 'PATCH', body: { bio: `${at}` } });
        await call(nodes[(client + at) % 2], paths[(client + at) % paths.length], user.token);
      }
    });
    let isOver = false;
    const done = Promise.all(work).finally(() => (isOver = true));
    while (!isOver) {
      const now = await bouncer.connections();
      if (now.clients > busiest.clients) busiest = now;
      expect(now.servers).toBeLessThanOrEqual(SERVER_CONNECTIONS);
    }
    await done;
    // The nodes' own connections go past it.
    expect(busiest.clients).toBeGreaterThan(SERVER_CONNECTIONS);
  });

  it('have their statements’ time limit from the pooler’s configuration', async () => {
    const client = new pg.Client({ connectionString: bouncer.url });
    await client.connect();
    const { rows } = await client.query('SHOW statement_timeout');
    await client.end();
    expect(rows).toEqual([{ statement_timeout: '15s' }]);
  });

  it('say that they are unwell while it is away, keep sockets and messages, and are well when it is back', async () => {
    const reader = new SocketReader('reader at B', b.url, { token: user.token, channels: ['steady'] });
    try {
      await publish(a, 'steady');
      await until(() => reader.handled.count('steady') >= 1, 'a message', WITHIN_MS);
      await bouncer.stop();
      await until(async () => (await request(`${a.url}/api/v1/health`, null))?.status === 503, 'an unwell node');
      const refused = await fetch(`${a.url}/api/v1/users`, { headers: { Authorization: `Bearer ${user.token}` } });
      expect([refused.status, ((await refused.json()) as { error_code: string }).error_code]).toEqual([
        503,
        'service_unavailable',
      ]);
      expect(refused.headers.get('retry-after')).toMatch(/^\d+$/);
      // Access is decided on the way past the pooler: nobody is taken for signed out.
      await call(a, '/users/me', user.token);
      await bouncer.start();
      await until(
        async () =>
          (await Promise.all(nodes.map(({ url }) => request(`${url}/api/v1/health`, null)))).every(
            (reply) => reply?.status === 200,
          ),
        'two nodes that are well',
      );
      await call(a, '/users', user.token);
      await publish(a, 'steady');
      await until(() => reader.handled.count('steady') >= 2, 'a message afterwards', WITHIN_MS);
      expect([reader.handled.faults, reader.disconnects]).toEqual([[], 0]);
    } finally {
      reader.close();
    }
  });

  it('make clear at the start, and to doctor, what is missing or wrong', async () => {
    const settings = { DATA_DIR: data.path, PORT: '0', JWT_SECRET: 'b7Qm2xZr9LwTfK4sVn8JhC3dYp6GaE5u' };
    const run = async (environment: Record<string, string>, ...args: string[]) => {
      const program = new Program({ ...settings, ...environment }, args);
      const { code } = await program.exit();
      return { code, text: program.stdout + program.stderr };
    };
    const lax = await PgBouncer.before(serverOf(database.connection), {
      poolSize: 2,
      mode: 'session',
      connectQuery: 'SELECT 1',
    });
    await lax.start();
    const elsewhere = database.url.replace(/localhost\/\w+/, 'localhost/postgres');
    const [alone, twice, apart, doctor, sound, endless] = [
      await run({ DATABASE_URL: bouncer.url }, 'start'),
      await run({ ...ways(), DATABASE_DIRECT_URL: `${bouncer.url}?` }, 'start'),
      await run({ ...ways(), DATABASE_DIRECT_URL: elsewhere }, 'start'),
      await run({ DATABASE_URL: bouncer.url }, 'doctor', '--json'),
      await run(ways(), 'doctor', '--json'),
      await run({ ...ways(), DATABASE_URL: lax.url }, 'doctor', '--json'),
    ];
    await lax.remove();
    expect(alone.text).toContain('DATABASE_URL leads through a pooler in transaction mode');
    expect(alone.text).toContain('set DATABASE_DIRECT_URL');
    expect(twice.text).toContain('DATABASE_DIRECT_URL leads through a pooler in transaction mode');
    expect(apart.text).toContain('DATABASE_URL and DATABASE_DIRECT_URL lead to different databases');
    expect([alone.code, twice.code, apart.code, doctor.code]).toEqual([1, 1, 1, 1]);
    const findings = JSON.parse(doctor.text).checks.filter(({ check }: { check: string }) => check === 'database');
    expect(findings).toHaveLength(1);
    expect(findings[0].summary).toContain('set DATABASE_DIRECT_URL');
    expect(sound.code).toBe(0);
    expect(sound.text).toContain('the pooler leads to it');
    expect([endless.code, endless.text]).toEqual([0, expect.stringContaining('have no time limit on the server')]);
    for (const { text } of [alone, twice, apart, doctor, sound, endless])
      expect(text).not.toContain(String(database.connection.password));
  });
});
