import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { freePort, until } from '../support/uploads.js';
import { Program, temporaryDataDir } from '../support/program.js';

const account = { email: 'first@example.com', username: 'first_user', password: 'SecurePass123!' };

describe('the program', () => {
  const data = temporaryDataDir();
  const programs: Program[] = [];

  const start = (environment: Record<string, string> = {}, args?: string[], cwd?: string) => {
    const program = new Program(
      { PORT: '0', HOST: '127.0.0.1', DATA_DIR: data.path, BCRYPT_COST: '10', ...environment },
      args,
      cwd,
    );
    programs.push(program);
    return program;
  };

  afterEach(async () => {
    await Promise.all(programs.splice(0).map((program) => program.kill()));
  });
  afterAll(() => data.remove());

  it('starts with nothing set, prints where it is and the first admin, and lets the admin in', async () => {
    const program = start();
    const http = await program.http();
    expect(program.stdout).toMatch(/docs +http:\/\/localhost:\d+\/docs/);
    const [, email] = await program.says(/email +(\S+)/);
    const [, password] = await program.says(/password +(\S+)/);
    const { body } = await http.post('/api/v1/auth/login').send({ email, password }).expect(200);
    expect(body.user.role).toBe('admin');
    await http.post('/api/v1/auth/register').send(account).expect(201);
    program.signal('SIGTERM');
    expect(await program.exit()).toEqual({ code: 0, signal: null });
    expect(
      program.stdout
        .split('\n')
        .filter((line) => line.startsWith('{'))
        .join('\n'),
    ).not.toContain(password);
  });

  it('keeps its secret to itself', () => {
    expect(statSync(join(data.path, 'jwt-secret')).mode & 0o777).toBe(0o600);
    // The outbox comes with the first mail.
    const kept = readdirSync(data.path).filter((name) => name !== 'outbox');
    expect(kept.sort()).toEqual(['files', 'jwt-secret', 'postgres']);
  });

  it('keeps every user and session over kill -9, and shows no admin a second time', async () => {
    const first = start();
    let http = await first.http();
    expect(first.stdout).not.toMatch(/password/);
    const { body } = await http
      .post('/api/v1/auth/login')
      .send({ username: account.username, password: account.password })
      .expect(200);
    await first.kill();
    const second = start();
    http = await second.http();
    const me = await http.get('/api/v1/users/me').set('Authorization', `Bearer ${body.access_token}`).expect(200);
    expect(me.body.email).toBe(account.email);
    await http.post('/api/v1/auth/refresh').send({ refresh_token: body.refresh_token }).expect(200);
  });

  it('lets a client that was refreshing at the kill -9 go on, in one lineage', async () => {
    const environment = { REFRESH_GRACE: '60' };
    const first = start(environment);
    let http = await first.http();
    const login = await http
      .post('/api/v1/auth/login')
      .send({ username: account.username, password: account.password });
    const refresh = (token: string) => http.post('/api/v1/auth/refresh').send({ refresh_token: token });
    const burst = Array.from({ length: 20 }, () =>
      refresh(login.body.refresh_token).then(
        ({ body }) => body.refresh_token,
        () => null,
      ),
    );
    const seen = [await Promise.race(burst)];
    await first.kill();
    seen.push(...(await Promise.all(burst)));
    const second = start(environment);
    http = await second.http();
    const { body } = await refresh(login.body.refresh_token).expect(200);
    expect(new Set([...seen, body.refresh_token].filter(Boolean)).size).toBe(1);
    await refresh(body.refresh_token).expect(200);
  });

  it('refuses a second process on the same DATA_DIR with one clear line', async () => {
    const first = start();
    await first.http();
    const second = start();
    expect((await second.exit()).code).toBe(1);
    expect(second.stderr.trim().split('\n')).toEqual([expect.stringContaining(data.path)]);
    const http = await first.http();
    await http.get('/api/v1/health').expect(200);
  });

  it('finishes the requests in flight before it stops', async () => {
    const program = start({ BCRYPT_COST: '12' });
    const http = await program.http();
    const login = http.post('/api/v1/auth/login').send({ username: account.username, password: account.password });
    let isAnswered = false;
    const answer = login.then(({ status }) => {
      isAnswered = true;
      return status;
    });
    // The one that asks is counted, too.
    await until(
      async () => isAnswered || /^gatehouse_http_requests_in_flight 2$/m.test((await http.get('/metrics')).text),
      'the login to arrive',
    );
    program.signal('SIGTERM');
    expect(await answer).toBe(200);
    expect((await program.exit()).code).toBe(0);
  });

  it('logs JSON lines with request id, user and duration, and nothing secret', async () => {
    const program = start();
    const http = await program.http();
    const { body } = await http
      .post('/api/v1/auth/login?token=in-the-query')
      .send({ username: account.username, password: account.password })
      .expect(200);
    const { headers } = await http
      .get('/api/v1/users/me')
      .set('Authorization', `Bearer ${body.access_token}`)
      .expect(200);
    const line = JSON.parse((await program.says(/\{.*"path":"\/api\/v1\/users\/me".*\}/))[0]);
    expect(line).toMatchObject({
      level: 'info',
      request_id: headers['x-request-id'],
      method: 'GET',
      status: 200,
      user_id: body.user.id,
      duration_ms: expect.any(Number),
    });
    for (const secret of [account.password, body.access_token, body.refresh_token, 'in-the-query']) {
      expect(program.stdout + program.stderr).not.toContain(secret);
    }
  });

  it('serves and stops as always when nobody reads its output', async () => {
    const port = await freePort();
    const program = start({ PORT: String(port) });
    program.closeOutput();
    const url = `http://127.0.0.1:${port}/health`;
    const isUp = () =>
      fetch(url).then(
        ({ ok }) => ok,
        () => false,
      );
    while (!(await isUp())) await setImmediate();
    for (let i = 0; i < 50; i++) expect(await isUp()).toBe(true);
    program.signal('SIGTERM');
    expect(await program.exit()).toEqual({ code: 0, signal: null });
  });

  it('ends when it cannot start, though nobody reads its output', async () => {
    const program = start({ BCRYPT_COST: '99' });
    program.closeOutput();
    expect((await program.exit()).code).toBe(1);
  });

  it('tells its version', async () => {
    const program = start({}, ['--version']);
    expect((await program.exit()).code).toBe(0);
    expect(program.stdout.trim()).toBe(JSON.parse(readFileSync(join(__dirname, '../../package.json'), 'utf8')).version);
  });

  it('migrates apart from the start', async () => {
    const program = start({}, ['migrate']);
    expect((await program.exit()).code).toBe(0);
    expect(program.stderr).toContain('up to date');
  });

  it('reads .env of the working directory', async () => {
    writeFileSync(join(data.path, '.env'), 'BCRYPT_COST=99\n');
    const program = new Program({ DATA_DIR: data.path }, ['start'], data.path);
    programs.push(program);
    expect((await program.exit()).code).toBe(1);
    expect(program.stderr).toBe('gatehouse: BCRYPT_COST is "99"; it takes a whole number from 10 to 15\n');
  });

  it.each([['--help'], ['start', '--help']])('lists the variables with %s', async (...args) => {
    const program = start({}, args);
    expect((await program.exit()).code).toBe(0);
    for (const name of ['DATABASE_URL', 'JWT_SECRET', 'RATE_LIMIT_CREDENTIALS']) expect(program.stdout).toContain(name);
  });

  describe('with a port in use', () => {
    let other: Server;
    beforeEach((done) => {
      other = createServer().listen(0, '127.0.0.1', done);
    });
    afterEach(() => other.close());

    it('says so in one line', async () => {
      const { port } = other.address() as AddressInfo;
      const program = start({ PORT: String(port) });
      expect((await program.exit()).code).toBe(1);
      expect(program.stderr).toBe(
        `gatehouse: port ${port} is in use by another program; stop it, or set PORT to a free one\n`,
      );
    });
  });

  it('uses the database of DATABASE_URL, where two nodes run side by side and one makes the admin', async () => {
    const { host, user, password } = JSON.parse(process.env.GATEHOUSE_TEST_DATABASE ?? '');
    const { createTestDatabase } = await import('../support/test-database.js');
    const database = await createTestDatabase();
    const url = `postgres://${user}:${encodeURIComponent(password)}@localhost/${database.connection.database}?host=${encodeURIComponent(host)}`;
    const environment = { DATABASE_URL: url, JWT_SECRET: 'one secret for both nodes: 0123456789abcdef' };
    const nodes = [start(environment), start(environment)];
    const [one, two] = await Promise.all(nodes.map((node) => node.http()));
    expect(nodes.filter((node) => /password +\S/.test(node.stdout))).toHaveLength(1);
    await one.post('/api/v1/auth/register').send(account).expect(201);
    const { body } = await two
      .post('/api/v1/auth/login')
      .send({ email: account.email, password: account.password })
      .expect(200);
    const auth = { Authorization: `Bearer ${body.access_token}` };
    await one.get('/api/v1/users/me').set(auth).expect(200);
    await two.post('/api/v1/auth/logout').set(auth).expect(204);
    await one.get('/api/v1/users/me').set(auth).expect(401);
    await Promise.all(programs.splice(0).map((program) => program.kill()));
    await database.drop();
  });

  it('says what is wrong with DATABASE_URL, without its password', async () => {
    const { host, user } = JSON.parse(process.env.GATEHOUSE_TEST_DATABASE ?? '');
    const program = start({
      DATABASE_URL: `postgres://${user}:hush-hush@localhost/none?host=${encodeURIComponent(host)}`,
    });
    expect((await program.exit()).code).toBe(1);
    expect(program.stderr).toMatch(
      /^gatehouse: DATABASE_URL leads to no usable database: .*authentication failed.*\n$/,
    );
    expect(program.stdout + program.stderr).not.toContain('hush-hush');
  });

  it('serves its README’s ports and paths', () => {
    const readme = readFileSync(join(__dirname, '../../README.md'), 'utf8');
    for (const text of ['npm ci', 'npm start', 'http://localhost:8000', '/docs', 'npm test'])
      expect(readme).toContain(text);
  });
});
