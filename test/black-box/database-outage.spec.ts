import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../src/database/embedded/embedded-postgres.js';
import { Program, temporaryDataDir } from '../support/program.js';

const account = { email: 'steady@example.com', username: 'steady', password: 'SecurePass123!' };

describe('a database that goes away', () => {
  const data = temporaryDataDir();
  const directory = mkdtempSync(join(tmpdir(), 'gatehouse-outside-'));
  let server: EmbeddedPostgres;
  let program: Program;
  let http: Awaited<ReturnType<Program['http']>>;
  let auth: { Authorization: string };

  const startServer = () => startEmbeddedPostgres({ directory: join(directory, 'postgres') });
  const me = () => http.get('/api/v1/users/me').set(auth);

  beforeAll(async () => {
    chmodSync(directory, 0o711);
    server = await startServer();
    const { user, password, host, database } = server.connection;
    const url = `postgres://${user}:${encodeURIComponent(password)}@localhost/${database}?host=${encodeURIComponent(host)}`;
    program = new Program({
      PORT: '0',
      DATA_DIR: data.path,
      DATABASE_URL: url,
      BCRYPT_COST: '10',
      RATE_LIMIT_ENABLED: 'false',
    });
    http = await program.http();
    await http.post('/api/v1/auth/register').send(account).expect(201);
    const { body } = await http
      .post('/api/v1/auth/login')
      .send({ username: account.username, password: account.password });
    auth = { Authorization: `Bearer ${body.access_token}` };
  });

  afterAll(async () => {
    await program.kill();
    await server.stop();
    data.remove();
    rmSync(directory, { recursive: true, force: true });
  });

  it('costs nobody anything when only its connections are cut', async () => {
    const client = new pg.Client({ ...server.connection });
    await client.connect();
    await client.query(
      'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND usename = current_user',
    );
    await client.end();
    const answers = await Promise.all(Array.from({ length: 20 }, () => me()));
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]));
  });

  it('is answered with 503 and Retry-After, never with 401 or 500, and the session is there when it is back', async () => {
    await server.stop();
    const answers = [
      await me(),
      await http.post('/api/v1/auth/login').send({ username: account.username, password: account.password }),
      await http.post('/api/v1/auth/register').send({ email: 'other@example.com', password: account.password }),
      await http.get('/api/v1/users').set(auth),
    ];
    for (const { status, headers, body } of answers) {
      expect([status, body.error_code]).toEqual([503, 'service_unavailable']);
      expect(headers['retry-after']).toMatch(/^\d+$/);
    }
    const health = await http.get('/api/v1/health').expect(503);
    expect(health.body).toMatchObject({ status: 'unhealthy', database: 'unhealthy' });
    await http.get('/health').expect(200);
    server = await startServer();
    await me().expect(200);
    await http.get('/api/v1/users').set(auth).expect(200);
  });

  it('is answered with 503 when it hangs, too', async () => {
    const client = new pg.Client({ ...server.connection });
    await client.connect();
    const { rows } = await client.query<{ pid: number }>(
      `SELECT pid FROM pg_stat_activity WHERE application_name = 'gatehouse' AND pid <> pg_backend_pid()`,
    );
    await client.end();
    for (const { pid } of rows) process.kill(pid, 'SIGSTOP');
    try {
      const { status, headers } = await me();
      expect([status, headers['retry-after']]).toEqual([503, '2']);
    } finally {
      for (const { pid } of rows) process.kill(pid, 'SIGCONT');
    }
    await me().expect(200);
  });
});
