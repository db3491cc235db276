import { execFile } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { CLI, Program, temporaryDataDir } from '../support/program.js';
import { hasRedisServer, RedisServer } from '../support/redis-server.js';
import { TestSmtpServer } from '../support/smtp-server.js';
import { createBucket, hasS3Server, startS3Server } from '../support/s3-server.js';
import { hasTerminals, Terminal } from '../support/terminal.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';
import { freePort, storedFiles } from '../support/uploads.js';

interface Row {
  check: string;
  state: 'ok' | 'warning' | 'problem' | 'skipped';
  summary: string;
  advice: string | null;
}

interface Report {
  code: number | null;
  healthy: boolean;
  problems: number;
  rows: Row[];
  /** What was found by one check. */
  of(check: string): Row[];
  text: string;
}

const data = temporaryDataDir();
const environment = { DATA_DIR: data.path, PORT: '0', BCRYPT_COST: '10' };
const CHECKS = [
  ...['configuration', 'machine', 'disk', 'database', 'migrations', 'clock', 'storage', 'Redis', 'mail', 'mail queue'],
  ...['proxies', 'secrets', 'settings', 'administrators'],
];

async function doctor(more: Record<string, string> = {}, ...args: string[]): Promise<Report> {
  const program = new Program({ ...environment, ...more }, ['doctor', '--json', ...args]);
  const { code } = await program.exit();
  expect(program.stderr).toBe('');
  const { healthy, problems, checks: rows } = JSON.parse(program.stdout);
  const of = (check: string) => rows.filter((row: Row) => row.check === check);
  return { code, healthy, problems, rows, of, text: program.stdout };
}

const statesIn = (report: Report, check: string) => report.of(check).map(({ state }) => state);
const urlOf = ({ connection: { host, user, password, database } }: TestDatabase, given = password) =>
  `postgres://${user}:${encodeURIComponent(given)}@localhost/${database}?host=${encodeURIComponent(host)}`;

/** All checks but these have found no problem. */
function expectProblemsIn(report: Report, ...checks: string[]): void {
  const found = report.rows.filter(({ state }) => state === 'problem');
  const strays = found.filter(({ check }) => !checks.includes(check));
  expect(strays).toEqual([]);
  expect([...new Set(found.map(({ check }) => check))].sort()).toEqual([...checks].sort());
  expect(report.code).toBe(checks.length > 0 ? 1 : 0);
  expect(report.healthy).toBe(checks.length === 0);
  expect([...new Set(report.rows.map(({ check }) => check))]).toEqual(CHECKS);
  for (const { state, advice } of report.rows) expect(Boolean(advice)).toBe(state === 'problem' || state === 'warning');
}

afterAll(() => data.remove());

describe('doctor before the first start', () => {
  it('finds nothing wrong, and leaves nothing behind', async () => {
    const never = join(data.path, 'never');
    const report = await doctor({ DATA_DIR: never });
    expectProblemsIn(report);
    for (const check of ['database', 'storage', 'secrets'])
      expect(report.of(check)[0].summary).toMatch(/^none yet: the first start/);
    for (const check of ['migrations', 'clock', 'administrators']) expect(statesIn(report, check)).toEqual(['skipped']);
    expect(existsSync(never)).toBe(false);
  });

  it('says where nothing can be made', async () => {
    const file = join(data.path, 'file');
    writeFileSync(file, '');
    const report = await doctor({ DATA_DIR: join(file, 'data') });
    expectProblemsIn(report, 'disk', 'storage', 'mail');
    rmSync(file);
  });

  it('says where nothing can be made though the user may', async () => {
    const report = await doctor({ DATA_DIR: '/proc/nope' });
    expectProblemsIn(report, 'disk', 'storage', 'mail');
    for (const check of ['disk', 'storage', 'mail'])
      expect(report.of(check)[0].summary).toMatch(/\/proc cannot be written by this user$/);
  });
});

describe('doctor and a server', () => {
  let server: Program;

  beforeAll(async () => {
    server = new Program(environment);
    await server.http();
  });
  afterAll(async () => {
    await server.kill();
  });

  it('looks beside it, and leaves nothing behind', async () => {
    const before = [readdirSync(data.path), storedFiles(data.path)];
    const report = await doctor();
    expectProblemsIn(report);
    expect(report.of('database')[0]).toMatchObject({
      state: 'ok',
      summary: expect.stringMatching(/running: version \d+/),
    });
    expect(report.of('migrations')[0]).toMatchObject({ state: 'ok', summary: expect.stringMatching(/^up to date/) });
    expect(report.of('storage')[0]).toMatchObject({
      state: 'ok',
      summary: expect.stringContaining('written, read and removed'),
    });
    expect(report.of('mail queue')[0].summary).toMatch(/^0 waiting, 0 given up/);
    expect(report.of('administrators')[0]).toMatchObject({
      state: 'warning',
      summary: expect.stringContaining('none has ever signed in'),
      advice: expect.stringContaining('admin:reset-password'),
    });
    expect([readdirSync(data.path), storedFiles(data.path)]).toEqual(before);
    const http = await server.http();
    await http.get('/api/v1/health').expect(200);
  });

  it('looks without it too, and a start then works as ever', async () => {
    const [, email] = await server.says(/email +(\S+)/);
    const [, password] = await server.says(/password +(\S+)/);
    await (await server.http()).post('/api/v1/auth/login').send({ email, password }).expect(200);
    server.signal('SIGTERM');
    await server.exit();
    const report = await doctor();
    expectProblemsIn(report);
    expect(report.of('database')[0].summary).toContain('started for this look');
    expect(report.of('administrators')).toEqual([
      { check: 'administrators', state: 'ok', summary: '1 active, 0 with a second factor', advice: null },
    ]);
    server = new Program(environment);
    await (await server.http()).get('/api/v1/health').expect(200);
  });

  it('after a kill -9 too', async () => {
    await server.kill();
    expectProblemsIn(await doctor());
    server = new Program(environment);
    await server.http();
  });

  it('prints a table for people, without colours where there is no terminal', async () => {
    const program = new Program({ ...environment, RATE_LIMIT_ENABLED: 'false' }, ['doctor']);
    expect((await program.exit()).code).toBe(0);
    for (const check of CHECKS) expect(program.stdout).toMatch(new RegExp(`│ (ok|warning) +│ ${check} +│`));
    expect(program.stdout).toMatch(/→ It is for load tests/);
    expect(program.stdout).toMatch(/\n0 problems, \d warnings\.\n$/);
    expect(program.stdout).not.toContain('\u001b');
  });

  (hasTerminals ? it : it.skip)('has colours on a terminal, unless NO_COLOR is set', async () => {
    const coloured = await new Terminal(environment, ['doctor']).answer(/^never/);
    expect(coloured.shown).toContain('\u001b[32mok\u001b[39m');
    const plain = await new Terminal({ ...environment, NO_COLOR: '1' }, ['doctor']).answer(/^never/);
    expect(plain.shown).not.toContain('\u001b[32m');
    expect(plain.shown).toContain('│ ok');
  });

  it.each([
    ['the clock is ahead a little', 20, 'warning', /^(1[4-9]|20)\.\d s ahead of the database's$/],
    ['the clock is far behind', -3_600, 'problem', /^3[56]\d\d\.\d s behind the database's$/],
  ])('sees when %s', async (_what, seconds, state, summary) => {
    const shift = join(data.path, 'shift.cjs');
    writeFileSync(shift, `const now = Date.now; Date.now = () => now() + ${seconds * 1000};`);
    const report = await doctor({ NODE_OPTIONS: `--require ${shift}` });
    rmSync(shift);
    expectProblemsIn(report, ...(state === 'problem' ? ['clock'] : []));
    expect(report.of('clock')[0]).toMatchObject({ state, summary: expect.stringMatching(summary) });
  });

  it('sees a secret that others can read, and secrets that are no longer needed or too short', async () => {
    const secret = join(data.path, 'jwt-secret');
    chmodSync(secret, 0o644);
    const given = {
      ADMIN_EMAIL: 'root@example.com',
      ADMIN_PASSWORD: 'Root-Of-All-1',
      METRICS_TOKEN: 'sixteen-letters-',
    };
    const report = await doctor(given);
    chmodSync(secret, 0o600);
    expectProblemsIn(report, 'secrets');
    const [mode, password, token] = report.of('secrets');
    expect(mode).toMatchObject({ state: 'problem', advice: expect.stringContaining(`chmod 600 ${secret}`) });
    expect(password).toMatchObject({ state: 'warning', summary: expect.stringContaining('ADMIN_PASSWORD') });
    expect(token).toMatchObject({ state: 'warning', summary: 'METRICS_TOKEN has 16 characters' });
    for (const value of [given.ADMIN_PASSWORD, given.METRICS_TOKEN, readFileSync(secret, 'utf8').trim()])
      expect(report.text).not.toContain(value);
  });

  it('sees a .env that others can read', async () => {
    const file = join(data.path, '.env');
    writeFileSync(file, 'LOG_LEVEL=info\n', { mode: 0o644 });
    const program = new Program(environment, ['doctor', '--json'], data.path);
    await program.exit();
    rmSync(file);
    expect(JSON.parse(program.stdout).checks).toContainEqual(
      expect.objectContaining({ check: 'secrets', state: 'warning', summary: `${file} can be read by others` }),
    );
  });

  it.each([
    [{ NODE_ENV: 'production' }, ['warning'], ['PUBLIC_URL is not set']],
    [{ NODE_ENV: 'production', PUBLIC_URL: 'https://example.com' }, ['ok'], ['as a public server needs them']],
    [{ NODE_ENV: 'production', PUBLIC_URL: 'http://example.com' }, ['warning'], ['PUBLIC_URL begins with http://']],
    [{}, ['warning'], ['NODE_ENV is not set']],
    [
      { NODE_ENV: 'production', PUBLIC_URL: 'https://example.com', RATE_LIMIT_ENABLED: 'false' },
      ['problem'],
      ['RATE_LIMIT_ENABLED=false'],
    ],
    [{ RATE_LIMIT_ENABLED: 'false' }, ['warning', 'warning'], ['NODE_ENV is not set', 'RATE_LIMIT_ENABLED=false']],
  ])('judges the settings %j', async (given, states, summaries) => {
    const report = await doctor(given as Record<string, string>);
    expect(statesIn(report, 'settings')).toEqual(states);
    expect(report.of('settings').map(({ summary }) => summary)).toEqual(summaries);
  });

  it('sees that few files may be open', async () => {
    const command = `ulimit -n 512; exec ${process.execPath} ${CLI} doctor --json`;
    const env = { PATH: process.env.PATH ?? '', HOME: '/', ...environment };
    const { code, stdout } = await promisify(execFile)('sh', ['-c', command], { env }).catch((error) => error);
    expect(code).toBe(1);
    expect(JSON.parse(stdout).checks).toContainEqual(
      expect.objectContaining({ check: 'machine', state: 'problem', summary: '512 open files' }),
    );
  });

  describe('which address counts', () => {
    const counted = async (trust: string, peer: string, forwarded?: string): Promise<string> => {
      const header = forwarded === undefined ? [] : ['--forwarded-for', forwarded];
      const report = await doctor({ TRUST_PROXY: trust }, '--request-ip', peer, ...header);
      return report.of('proxies')[1].summary;
    };

    it.each([
      ['false', '203.0.113.7', '198.51.100.9', /counts for 203\.0\.113\.7: .* is no trusted proxy/],
      ['false', '203.0.113.7', undefined, /counts for 203\.0\.113\.7: nothing was forwarded/],
      [
        '1',
        '10.0.0.2',
        '198.51.100.9, 203.0.113.7',
        /counts for 203\.0\.113\.7: 10\.0\.0\.2 is believed, and no address before/,
      ],
      [
        '2',
        '10.0.0.2',
        '198.51.100.9, 203.0.113.7, 10.0.0.9',
        /counts for 203\.0\.113\.7: 10\.0\.0\.2, 10\.0\.0\.9 is believed/,
      ],
      ['10.0.0.0/8', '10.0.0.2', '203.0.113.7', /counts for 203\.0\.113\.7/],
      ['10.0.0.0/8', '192.0.2.1', '203.0.113.7', /counts for 192\.0\.2\.1: 192\.0\.2\.1 is no trusted proxy/],
      ['loopback', '127.0.0.1', '203.0.113.7:4711', /counts for 203\.0\.113\.7:/],
      ['loopback', '::1', '[2001:db8::7]:4711', /counts for 2001:db8::7:/],
    ])('with TRUST_PROXY=%s, from %s with %s', async (trust, peer, forwarded, expected) => {
      expect(await counted(trust, peer, forwarded)).toMatch(expected);
    });

    it('is the one that the server counts', async () => {
      const proxied = new Program({
        ...environment,
        DATA_DIR: join(data.path, 'proxied'),
        TRUST_PROXY: '1',
        DATABASE_URL: urlOf(await database()),
        JWT_SECRET: SECRET,
      });
      const http = await proxied.http();
      await http.get('/api/v1/users/me').set('X-Forwarded-For', '198.51.100.9, 203.0.113.77').expect(401);
      await proxied.says(/"ip":"203\.0\.113\.77"/);
      await proxied.kill();
      expect(await counted('1', '127.0.0.1', '198.51.100.9, 203.0.113.77')).toContain('counts for 203.0.113.77');
    });

    it.each([
      [{ TRUST_PROXY: '0.0.0.0/1,128.0.0.0/1' }, 'problem', 'believes a large part of the internet'],
      [{ TRUST_PROXY: '10.0.0.1,::/1' }, 'problem', 'believes a large part of the internet'],
      [{ PUBLIC_URL: 'https://example.com' }, 'warning', 'PUBLIC_URL begins with https://'],
      [{ PUBLIC_URL: 'https://example.com', TRUST_PROXY: '1' }, 'ok', 'so many proxies'],
    ])('%j is judged as a %s', async (given, state, summary) => {
      const [judgement, example] = (await doctor(given as Record<string, string>)).of('proxies');
      expect(judgement).toMatchObject({ state, summary: expect.stringContaining(summary) });
      if (state === 'problem') expect(example).toBeUndefined();
      else
        expect(example).toMatchObject({ state: 'ok', summary: expect.stringMatching(/^for example, .* counts for/) });
    });
  });

  describe('storage', () => {
    it('that cannot be written', async () => {
      const folder = join(data.path, 'files', 'unfinished');
      renameSync(folder, `${folder}.kept`);
      writeFileSync(folder, '');
      const report = await doctor();
      rmSync(folder);
      renameSync(`${folder}.kept`, folder);
      expectProblemsIn(report, 'storage');
      expect(report.of('storage')[0].advice).toContain('mounted for writing');
    });

    it('of another database', async () => {
      const file = join(data.path, 'files', 'storage-id');
      const name = readFileSync(file, 'utf8');
      writeFileSync(file, '0197f0a0-7b1c-4e7e-8a00-3d2f1c0b9a88\n');
      const report = await doctor();
      writeFileSync(file, name);
      expectProblemsIn(report, 'storage');
      expect(report.of('storage')[0].summary).toContain('is not the storage of this database');
    });

    it('in a bucket that is not reached', async () => {
      const report = await doctor({
        // The SDK warns of Node versions that it will give up.
        NODE_NO_WARNINGS: '1',
        STORAGE_DRIVER: 's3',
        S3_ENDPOINT: `http://127.0.0.1:${await freePort()}`,
        S3_BUCKET: 'away',
        S3_ACCESS_KEY_ID: 'key',
        S3_SECRET_ACCESS_KEY: 'hush-hush-secret',
      });
      expectProblemsIn(report, 'storage');
      expect(report.of('storage')[0]).toMatchObject({ summary: expect.stringMatching(/^S3 bucket away: /) });
      expect(report.text).not.toContain('hush-hush-secret');
    });
  });

  (hasS3Server() ? it : it.skip)('looks into an S3 bucket', async () => {
    const s3 = await startS3Server();
    if (!s3) throw new Error('there is no S3 server');
    await createBucket(s3, 'bucket');
    const given = {
      NODE_NO_WARNINGS: '1',
      STORAGE_DRIVER: 's3',
      S3_ENDPOINT: s3.endpoint,
      S3_FORCE_PATH_STYLE: 'true',
      S3_BUCKET: 'bucket',
      S3_ACCESS_KEY_ID: s3.accessKeyId,
      S3_SECRET_ACCESS_KEY: s3.secretAccessKey,
      // Another database, which no storage belongs to yet.
      DATABASE_URL: urlOf(await database()),
      JWT_SECRET: SECRET,
    };
    const runs = [await doctor(given), await doctor({ ...given, S3_BUCKET: 'missing' }), await doctor(given)];
    await s3.stop();
    expectProblemsIn(runs[0]);
    expect(runs[0].of('storage')[0].summary).toBe('S3 bucket bucket: a file was written, read and removed');
    expectProblemsIn(runs[1], 'storage');
    expectProblemsIn(runs[2]);
    expect(runs.map(({ text }) => text).join('')).not.toContain(s3.secretAccessKey);
  });

  describe('a configuration that is wrong', () => {
    it('is told line by line, and all else is looked at', async () => {
      const report = await doctor({ PORT: 'http', BCRYPT_COST: '99', JWT_SECRET: 'short' });
      expectProblemsIn(report, 'configuration');
      expect(report.of('configuration').map(({ summary }) => summary)).toEqual([
        'PORT is "http"; it takes a whole number from 0 to 65535',
        'JWT_SECRET is a secret of 5 characters; it takes at least 32 characters',
        'BCRYPT_COST is "99"; it takes a whole number from 10 to 15',
      ]);
      expect(statesIn(report, 'database')).toEqual(['ok']);
    });

    it('is not replaced by a guess: what depends on it is not looked at', async () => {
      const report = await doctor({
        DATABASE_URL: 'mysql://user:hush-hush@host/db',
        STORAGE_DRIVER: 's3',
        TRUST_PROXY: 'yes',
      });
      expectProblemsIn(report, 'configuration');
      for (const check of ['database', 'migrations', 'clock', 'mail queue', 'administrators'])
        expect(report.of(check)[0].summary).toBe('not looked at: DATABASE_URL must be set right first');
      expect(report.of('storage')[0].summary).toBe('not looked at: STORAGE_DRIVER must be set right first');
      expect(report.of('proxies')[0].summary).toBe('not looked at: TRUST_PROXY must be set right first');
      expect(report.text).not.toContain('hush-hush');
    });
  });

  describe('Redis', () => {
    it('that is away', async () => {
      const report = await doctor({ REDIS_URL: `redis://user:hush-hush@127.0.0.1:${await freePort()}` });
      expectProblemsIn(report, 'Redis');
      expect(report.of('Redis')[0].summary).toMatch(/^Redis at 127\.0\.0\.1:\d+ is not reached: .*ECONNREFUSED/);
      expect(report.text).not.toContain('hush-hush');
    });

    (hasRedisServer() ? it : it.skip)('that is there', async () => {
      const redis = await RedisServer.create();
      await redis.start();
      const report = await doctor({ REDIS_URL: redis.url });
      await redis.remove();
      expectProblemsIn(report);
      expect(report.of('Redis')[0].summary).toMatch(/^Redis at 127\.0\.0\.1:\d+: version \d+\.\d+/);
    });

    it('that takes the connection and says nothing, within a time of its own', async () => {
      const silent: Server = createServer(() => undefined);
      await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
      const { port } = silent.address() as { port: number };
      const report = await doctor({ REDIS_URL: `redis://127.0.0.1:${port}`, SMTP_URL: `smtp://127.0.0.1:${port}` });
      silent.close();
      expectProblemsIn(report, 'Redis', 'mail');
    });
  });

  describe('mail', () => {
    it('to a server that is away', async () => {
      const report = await doctor({ SMTP_URL: `smtp://user:hush-hush@127.0.0.1:${await freePort()}` });
      expectProblemsIn(report, 'mail');
      expect(report.of('mail')[0].summary).toMatch(/^mail server 127\.0\.0\.1:\d+ takes no mails: /);
      expect(report.text).not.toContain('hush-hush');
    });

    it('to a server that knows the password, or does not', async () => {
      const smtp = await TestSmtpServer.start({ credentials: { user: 'gatehouse', pass: 'right-one' } });
      const right = await doctor({ SMTP_URL: `smtp://gatehouse:right-one@127.0.0.1:${smtp.port}` });
      const wrong = await doctor({ SMTP_URL: `smtp://gatehouse:wrong-one@127.0.0.1:${smtp.port}` });
      const received = [...smtp.received];
      await smtp.stop();
      expectProblemsIn(right);
      expectProblemsIn(wrong, 'mail');
      expect(right.text + wrong.text).not.toMatch(/right-one|wrong-one/);
      expect(received).toEqual([]);
    });

    it('to an outbox that cannot be written', async () => {
      const outbox = join(data.path, 'outbox');
      const wasThere = existsSync(outbox);
      if (wasThere) renameSync(outbox, `${outbox}.kept`);
      writeFileSync(outbox, '');
      const report = await doctor();
      rmSync(outbox);
      if (wasThere) renameSync(`${outbox}.kept`, outbox);
      expectProblemsIn(report, 'mail');
    });

    it('that goes nowhere in production', async () => {
      const report = await doctor({ NODE_ENV: 'production', PUBLIC_URL: 'https://example.com' });
      expect(report.of('mail')[0]).toMatchObject({ state: 'warning', advice: 'Nobody receives them: set SMTP_URL.' });
    });
  });
});

const SECRET = 'one secret for this test alone: 0123456789abcdef';
const databases: TestDatabase[] = [];

async function database(): Promise<TestDatabase> {
  const created = await createTestDatabase();
  databases.push(created);
  return created;
}

describe('doctor and a database of DATABASE_URL', () => {
  const folder = join(data.path, 'apart');
  const beside = { DATA_DIR: folder, JWT_SECRET: SECRET };

  beforeAll(() => mkdirSync(folder, { recursive: true }));
  afterAll(async () => {
    for (const one of databases) await one.drop();
  });

  it('that is up to date', async () => {
    const one = await database();
    const report = await doctor({ ...beside, DATABASE_URL: urlOf(one) });
    expectProblemsIn(report);
    expect(report.of('database')[0].summary).toContain(one.connection.database);
    expect(report.of('administrators')[0]).toMatchObject({ state: 'warning', summary: 'there is none yet' });
    expect(report.text).not.toContain(one.connection.password);
  });

  it('that lacks a migration: names it, and does not make up for it', async () => {
    const one = await database();
    const { rows } = await one.pool.query(
      'DELETE FROM schema_migrations WHERE id = (SELECT max(id) FROM schema_migrations) RETURNING name',
    );
    const report = await doctor({ ...beside, DATABASE_URL: urlOf(one) });
    expectProblemsIn(report, 'migrations');
    expect(report.of('migrations')[0]).toMatchObject({
      summary: `1 pending: ${rows[0].name}`,
      advice: expect.stringContaining('gatehouse migrate'),
    });
    expect(statesIn(report, 'administrators')).toEqual(['skipped']);
    const again = await one.pool.query('SELECT 1 FROM schema_migrations WHERE name = $1', [rows[0].name]);
    expect(again.rows).toEqual([]);
  });

  it('that is of a newer version', async () => {
    const one = await database();
    await one.pool.query(
      `INSERT INTO schema_migrations (timestamp, name) VALUES (9999999999999, 'FromTheFuture9999999999999')`,
    );
    const report = await doctor({ ...beside, DATABASE_URL: urlOf(one) });
    expectProblemsIn(report, 'migrations');
    expect(report.of('migrations')[0].summary).toContain('FromTheFuture9999999999999');
  });

  it('that is empty', async () => {
    const one = await database();
    await one.pool.query('DROP SCHEMA public CASCADE; CREATE SCHEMA public');
    const report = await doctor({
      ...beside,
      DATABASE_URL: urlOf(one),
      ADMIN_EMAIL: 'a@example.com',
      ADMIN_PASSWORD: 'Root-Of-All-1',
    });
    expectProblemsIn(report, 'migrations');
    expect((await one.pool.query('SELECT 1 FROM pg_tables WHERE schemaname = $1', ['public'])).rows).toEqual([]);
  });

  it('whose administrators are all disabled', async () => {
    const one = await database();
    await one.pool.query(
      `INSERT INTO users (id, email, username, role, is_active, is_verified, password_hash, created_at, updated_at)
       VALUES (gen_random_uuid(), 'off@example.com', 'off', 'admin', false, false, '', now(), now())`,
    );
    const report = await doctor({ ...beside, DATABASE_URL: urlOf(one) });
    expectProblemsIn(report, 'administrators');
    expect(report.of('administrators')[0].advice).toContain('--promote --enable');
  });

  it('whose mails are not taken', async () => {
    const one = await database();
    await one.pool.query(
      `INSERT INTO mails (id, kind, email, data, state, attempts, next_attempt_at, created_at)
       VALUES (gen_random_uuid(), 'x', 'a@example.com', '{}', 'queued', 3, now(), now() - interval '2 hours'),
              (gen_random_uuid(), 'x', 'a@example.com', '{}', 'failed', 9, now(), now() - interval '2 days')`,
    );
    const report = await doctor({ ...beside, DATABASE_URL: urlOf(one) });
    expectProblemsIn(report);
    expect(report.of('mail queue')[0]).toMatchObject({
      state: 'warning',
      summary: expect.stringMatching(/^1 waiting, 1 given up, .*; the oldest has waited for 120 minutes$/),
    });
  });

  it.each([
    [
      'is away',
      async () => `postgres://user:hush-hush@127.0.0.1:${await freePort()}/gatehouse`,
      /127\.0\.0\.1:\d+\/gatehouse, as user is not reached: .*ECONNREFUSED/,
    ],
    [
      'takes another password',
      async () => urlOf(await database(), 'hush-hush'),
      /is not reached: .*password authentication failed/,
    ],
  ])('that %s: hides nothing else', async (_what, url, summary) => {
    const report = await doctor({ ...beside, DATABASE_URL: await url() });
    expectProblemsIn(report, 'database');
    expect(report.of('database')[0]).toMatchObject({
      summary: expect.stringMatching(summary),
      advice: expect.stringContaining('DATABASE_URL'),
    });
    expect(report.text).not.toContain('hush-hush');
    expect(statesIn(report, 'storage')).toEqual(['ok']);
  });

  it.each(['p@ss/w0rdSECRET', 'p@ssw0rdSECRET', '12/w0rdSECRET', '12?w0rdSECRET', '12#w0rdSECRET', '12#p/w0rdSECRET'])(
    'whose password is not escaped shows no part of it: %s',
    async (password) => {
      const tail = `${password}@127.0.0.1:1`;
      const report = await doctor({
        ...beside,
        DATABASE_URL: `postgres://pg:${tail}/g`,
        REDIS_URL: `redis://:${tail}`,
        SMTP_URL: `smtp://pg:${tail}`,
      });
      // With nothing but an @ it is read as it is meant.
      expect(report.of('database')[0].summary).toMatch(
        password === 'p@ssw0rdSECRET'
          ? /^PostgreSQL of DATABASE_URL is not reached: .* write %40/
          : /^not looked at: DATABASE_URL must be set right first/,
      );
      expect(report.text).not.toMatch(/w0rdSECRET|p@ss|"12|:12\b/);
    },
  );
});
