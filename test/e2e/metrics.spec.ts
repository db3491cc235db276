import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import pg from 'pg';
import { v7 as uuidv7 } from 'uuid';
import { aSignedInUser, anAdmin, aUser, PASSWORD, type SignedIn, signIn } from '../support/builders.js';
import { Metrics } from '../support/metrics.js';
import { samples } from '../support/samples.js';
import { closeSockets, connect, open } from '../support/sockets.js';
import { startTestApp, type TestApp } from '../support/test-app.js';
import { beginUpload, formAround, until } from '../support/uploads.js';

const TOKEN = 'a token for metrics: 4f0c9d';
const REQUESTS = 'gatehouse_http_requests_total';
const DURATION = 'gatehouse_http_request_duration_seconds';
const LOGINS = 'gatehouse_logins_total';
const UNKNOWN = { outcome: 'unknown_user' };
const ME = '/api/v1/users/me';
const NOWHERE = { method: 'GET', route: 'unmatched', status: '404' };

/** Waits until the metrics are so; fails with what they are. */
async function eventually(app: TestApp, holds: (metrics: Metrics) => boolean): Promise<Metrics> {
  let metrics = await Metrics.of(app);
  await until(async () => holds((metrics = await Metrics.of(app))), String(holds));
  return metrics;
}

/** What the database does not tell within a second is missing. */
const isWhole = (found: Metrics) =>
  found.get('gatehouse_database_up') === 1 &&
  found.get('gatehouse_database_listener_connected') === 1 &&
  found.get('gatehouse_mails', { state: 'queued' }) !== undefined &&
  ['gatehouse_storage_used_bytes', 'gatehouse_mail_oldest_seconds'].every((name) => found.get(name) !== undefined);

/** Bytes as they are, and what comes back until the connection is closed or has said so much. */
async function sendRaw(app: TestApp, bytes: string, expected: RegExp): Promise<string> {
  const socket = net.connect(app.port, '127.0.0.1');
  let text = '';
  socket.on('data', (chunk: Buffer) => (text += chunk.toString()));
  socket.write(bytes);
  await until(() => expected.test(text), `${expected} after ${bytes}, but: ${text}`);
  socket.destroy();
  return text;
}

describe('who may read metrics', () => {
  describe('with a token configured', () => {
    let app: TestApp;
    beforeAll(async () => {
      app = await startTestApp({ METRICS_TOKEN: TOKEN, RATE_LIMIT_ENABLED: 'true' });
    });
    afterAll(() => app.close());

    const read = (headers: Record<string, string>) => app.http.get('/metrics').set(headers);

    it('whoever has it, from wherever, without a limit of calls', async () => {
      const { headers, text } = await read({ Authorization: `Bearer ${TOKEN}` }).expect(200);
      expect(headers['content-type']).toBe('text/plain; version=0.0.4; charset=utf-8');
      expect(headers['cache-control']).toBe('no-store');
      expect(Object.keys(headers).filter((name) => name.startsWith('x-ratelimit'))).toEqual([]);
      expect(new Metrics(text).get('gatehouse_build_info', { version: versionOf() })).toBe(1);
      await read({ Authorization: `bearer ${TOKEN}`, 'X-Forwarded-For': '203.0.113.9' }).expect(200);
      await read({ Authorization: `Bearer ${TOKEN}`, Host: 'gatehouse.example' }).expect(200);
      const { statusCode } = await app.app.inject({
        url: '/metrics',
        remoteAddress: '203.0.113.9',
        headers: { authorization: `Bearer ${TOKEN}` },
      });
      expect(statusCode).toBe(200);
    });

    it.each([
      ['none', {}, 'not_authenticated'],
      [
        'another scheme',
        { Authorization: `Basic ${Buffer.from(`x:${TOKEN}`).toString('base64')}` },
        'not_authenticated',
      ],
      ['the bare token', { Authorization: TOKEN }, 'not_authenticated'],
      ['an empty one', { Authorization: 'Bearer ' }, 'not_authenticated'],
      ['another one', { Authorization: `Bearer ${TOKEN.replace('4', '5')}` }, 'invalid_token'],
      ['its beginning', { Authorization: `Bearer ${TOKEN.slice(0, -1)}` }, 'invalid_token'],
      ['more than it', { Authorization: `Bearer ${TOKEN}x` }, 'invalid_token'],
    ])('nobody with %s, from this machine neither', async (_what, headers, code) => {
      const { body, headers: answered } = await read(headers as Record<string, string>).expect(401);
      expect(body).toMatchObject({ status: 'error', code: 401, error_code: code });
      expect(answered['www-authenticate']).toBe('Bearer');
    });

    it('no user, not even an admin', async () => {
      const admin = await aSignedInUser(app, { role: 'admin' });
      await read(admin.auth).expect(401);
    });

    it('not by the query', async () => {
      await app.http.get(`/metrics?token=${encodeURIComponent(TOKEN)}`).expect(401);
    });
  });

  describe('without one', () => {
    let app: TestApp;
    beforeAll(async () => {
      app = await startTestApp();
    });
    afterAll(() => app.close());

    const expectRefused = (body: unknown) =>
      expect(body).toMatchObject({
        code: 403,
        error_code: 'metrics_local_only',
        detail: expect.stringContaining('METRICS_TOKEN'),
      });

    it.each(['127.0.0.1', '127.8.9.10', '::1', '::ffff:127.0.0.1', '::ffff:7f00:1'])(
      'lets %s read',
      async (address) => {
        const { statusCode } = await app.app.inject({ url: '/metrics', remoteAddress: address });
        expect(statusCode).toBe(200);
      },
    );

    it.each([
      '10.0.0.1',
      '172.17.0.1',
      '::ffff:10.0.0.1',
      '192.0.2.1',
      '2001:db8::1',
      'fe80::1',
      '128.0.0.1',
      '0.0.0.0',
    ])('refuses %s, whatever it says of itself', async (address) => {
      for (const headers of [{}, { 'x-forwarded-for': '127.0.0.1' }, { host: 'localhost' }]) {
        const answer = await app.app.inject({ url: '/metrics', remoteAddress: address, headers });
        expectRefused(answer.json());
      }
    });

    it.each([
      ['X-Forwarded-For', '127.0.0.1'],
      ['X-Forwarded-For', ''],
      ['X-Forwarded-Host', 'localhost'],
      ['X-Forwarded-Proto', 'https'],
      ['Forwarded', 'for=127.0.0.1'],
      ['X-Real-IP', '127.0.0.1'],
      ['Via', '1.1 proxy'],
      ['X-Client-IP', '127.0.0.1'],
      ['True-Client-IP', '127.0.0.1'],
      ['CF-Connecting-IP', '127.0.0.1'],
    ])('refuses what came through a proxy: %s: %s', async (name, value) => {
      const { body } = await app.http.get('/metrics').set(name, value).expect(403);
      expectRefused(body);
    });

    it('refuses HTTP/1.0, which is how a proxy asks that says nothing of itself', async () => {
      const answer = await sendRaw(app, 'GET /metrics HTTP/1.0\r\nHost: 127.0.0.1:8000\r\n\r\n', /request_id/);
      expect(answer).toMatch(/^HTTP\/1\.1 403 /);
      await sendRaw(app, 'GET /metrics HTTP/1.1\r\nHost: 127.0.0.1:8000\r\n\r\n', /^HTTP\/1\.1 200 /);
    });

    it.each(['localhost', 'LOCALHOST:8000', '127.0.0.1:8000', '[::1]:8000', '127.1.2.3'])('takes the name %s', (host) =>
      app.http.get('/metrics').set('Host', host).expect(200),
    );

    it.each(['gatehouse.example', 'localhost.attacker.example', '127.0.0.1.nip.io:8000', '10.0.0.1', '[::2]'])(
      'refuses the name %s, which a page in a browser may have made up',
      async (host) => expectRefused((await app.http.get('/metrics').set('Host', host).expect(403)).body),
    );

    it('is a GET', async () => {
      await app.http.head('/metrics').expect(200);
      const { headers } = await app.http.post('/metrics').expect(405);
      expect(headers.allow).toMatch(/GET/);
    });
  });

  it.each(['1', 'loopback'])('nobody without a token behind a proxy: TRUST_PROXY=%s', async (TRUST_PROXY) => {
    const app = await startTestApp({ TRUST_PROXY });
    try {
      const { body } = await app.http.get('/metrics').expect(403);
      expect(body.error_code).toBe('metrics_local_only');
    } finally {
      await app.close();
    }
  });
});

const versionOf = (): string =>
  (JSON.parse(readFileSync(join(__dirname, '../../package.json'), 'utf8')) as { version: string }).version;

describe('metrics', () => {
  let app: TestApp;
  let user: SignedIn;
  let admin: SignedIn;
  beforeAll(async () => {
    app = await startTestApp({ MAX_FILE_SIZE: '1048576' });
    [user, admin] = [await aSignedInUser(app), await anAdmin(app)];
  });
  afterEach(() => closeSockets());
  afterAll(() => app.close());

  const upload = (bytes: Buffer) => app.http.post('/api/v1/uploads').set(user.auth).attach('file', bytes, 'notes.txt');
  const publish = (channel: string, more: object = {}) =>
    app.http
      .post('/api/v1/broadcasting/messages')
      .set(admin.auth)
      .send({ channel, event: 'said', ...more });

  describe('the text', () => {
    it('is what docs/metrics.md says: each metric once, with its type and its labels', async () => {
      await Promise.all([upload(samples.text).expect(201), app.http.get('/nowhere').expect(404)]);
      await app.http.post('/api/v1/auth/login').send({ email: user.email, password: 'Wrong-Horse-1' }).expect(401);
      const { families } = await eventually(app, (metrics) => metrics.count(REQUESTS, NOWHERE) > 0);
      const documented = [
        ...readFileSync(join(__dirname, '../../docs/metrics.md'), 'utf8').matchAll(
          /^\| `([a-z_]+)` \| (counter|gauge|histogram) \|([^|]*)\|/gm,
        ),
      ].map(([, name, type, labels]) => [name, type, [...labels.matchAll(/`(\w+)`/g)].map(([, label]) => label)]);
      expect([...families.values()].map(({ name, type }) => [name, type]).sort()).toEqual(
        documented.map(([name, type]) => [name, type]).sort(),
      );
      for (const { name, samples: found } of families.values()) {
        const labels = documented.find(([of]) => of === name)?.[2] as string[];
        for (const sample of found)
          expect([name, Object.keys(sample.labels).filter((label) => label !== 'le')]).toEqual([name, labels]);
      }
    });

    it('has whatever the alerts of docs/metrics.md ask for', async () => {
      const { families } = await Metrics.of(app);
      const rules = readFileSync(join(__dirname, '../../docs/metrics.md'), 'utf8').split('## Alerts')[1];
      const asked = [...new Set(rules.match(/gatehouse_[a-z_]+/g))].map((name) => name.replace(/_bucket$/, ''));
      expect(asked.length).toBeGreaterThan(5);
      expect(asked.filter((name) => !families.has(name))).toEqual([]);
    });

    it('has names of its own, or those that every Node.js program has', async () => {
      const { families } = await Metrics.of(app);
      expect([...families.keys()].filter((name) => !/^(gatehouse|process|nodejs)_/.test(name))).toEqual([]);
      expect([...families.values()].filter(({ help }) => help.length < 10)).toEqual([]);
      expect(
        [...families.values()].filter(({ name, type }) => name.endsWith('_total') !== (type === 'counter')),
      ).toEqual([]);
    });

    it('has histograms that add up', async () => {
      await app.http.get(ME).set(user.auth).expect(200);
      const metrics = await eventually(
        app,
        (found) => found.count(`${DURATION}_count`, { method: 'GET', route: ME }) > 0,
      );
      const counts = metrics.families.get(DURATION)?.samples.filter(({ name }) => name === `${DURATION}_count`) ?? [];
      expect(counts.length).toBeGreaterThan(1);
      for (const { labels, value } of counts) {
        const own = (name: string) => metrics.samples().filter((of) => of.name === name && isWithin(labels, of.labels));
        const buckets = own(`${DURATION}_bucket`);
        expect(buckets.map((bucket) => bucket.value)).toEqual(
          buckets.map((bucket) => bucket.value).sort((a, b) => a - b),
        );
        expect(buckets.at(-1)).toMatchObject({ labels: { le: '+Inf' }, value });
        expect(own(`${DURATION}_sum`)[0].value).toBeGreaterThan(0);
        expect(own(REQUESTS).reduce((sum, series) => sum + series.value, 0)).toBe(value);
      }
    });

    it('tells of nobody: no id, address, name or token', async () => {
      await Promise.all([
        app.http.get(`/api/v1/users/${user.id}`).set(user.auth).expect(200),
        app.http.get(`/users/${user.id}?search=${user.email}`).set(user.auth),
        app.http.get(`/api/v1/uploads/${uuidv7()}`).set(user.auth).expect(404),
        app.http.get(`/${user.username}/${user.email}`).expect(404),
        publish(`user:${user.id}`),
        publish('a-channel-of-a-test').expect(201),
        app.http.post('/api/v1/auth/login').send({ email: user.email, password: 'Wrong-Horse-1' }).expect(401),
      ]);
      const { text } = await Metrics.of(app);
      expect(text).not.toMatch(/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}/i);
      for (const secret of [
        user.email,
        user.username,
        'example.com',
        'a-channel-of-a-test',
        user.accessToken,
        '127.0.0.1',
      ])
        expect(text).not.toContain(secret);
    });
  });

  describe('requests', () => {
    it('are counted by method, pattern and status', async () => {
      const before = await Metrics.of(app);
      await Promise.all([
        ...Array.from({ length: 3 }, () => app.http.get(ME).set(user.auth).expect(200)),
        ...Array.from({ length: 2 }, () => app.http.get(ME).expect(401)),
        app.http.get('/users/me').set(user.auth).expect(200),
        app.http.head(ME).set(user.auth).expect(200),
        app.http.get(`/api/v1/users/${user.id}`).set(user.auth).expect(200),
        app.http.get(`/api/v1/users/${uuidv7()}`).set(user.auth).expect(404),
        app.http.delete('/api/v1/health').expect(405),
        app.http.post('/api/v1/auth/login').set('Content-Type', 'application/json').send('{').expect(400),
      ]);
      const wanted: [method: string, route: string, status: string, more: number][] = [
        ['GET', ME, '200', 4],
        ['GET', ME, '401', 2],
        ['HEAD', ME, '200', 1],
        ['GET', '/api/v1/users/:id', '200', 1],
        ['GET', '/api/v1/users/:id', '404', 1],
        ['DELETE', 'unmatched', '405', 1],
        ['POST', '/api/v1/auth/login', '400', 1],
      ];
      const more = (metrics: Metrics) =>
        wanted.map(([method, route, status]) => {
          const labels = { method, route, status };
          return [method, route, status, metrics.count(REQUESTS, labels) - before.count(REQUESTS, labels)];
        });
      const total = (metrics: Metrics) => more(metrics).reduce((sum, [, , , count]) => sum + Number(count), 0);
      expect(more(await eventually(app, (metrics) => total(metrics) >= 11))).toEqual(wanted);
    });

    it('to nowhere, and by unheard-of methods, add no more series than one', async () => {
      const strange = async (round: number) => {
        const paths = Array.from({ length: 30 }, (_, i) => `/nowhere/${round}/${i}`);
        await Promise.all(paths.map((path) => app.http.get(path).expect(404)));
        for (const method of ['PROPFIND', 'MKCOL', 'LOCK', 'TRACE', 'PURGE', 'SEARCH'])
          await sendRaw(app, `${method} /${method}/${round} HTTP/1.1\r\nHost: localhost\r\n\r\n`, /^HTTP\/1\.1 4\d\d /);
        await sendRaw(app, 'GET /%ff HTTP/1.1\r\nHost: localhost\r\n\r\n', /^HTTP\/1\.1 400 /);
      };
      const counted = (metrics: Metrics) =>
        metrics
          .samples()
          .filter(({ name, labels }) => name === REQUESTS && labels.route === 'unmatched')
          .reduce((sum, { value }) => sum + value, 0);
      const start = counted(await Metrics.of(app));
      await strange(1);
      const first = await eventually(app, (metrics) => counted(metrics) >= start + 37);
      await strange(2);
      const second = await eventually(app, (metrics) => counted(metrics) >= start + 74);
      // A kind of garbage collection begins when it is first seen, and what the database did not tell in time comes later.
      const isOfItself = (series: string) => /^(nodejs_gc_|gatehouse_(storage_used|mail))/.test(series);
      expect(second.series().filter((series) => !first.series().includes(series) && !isOfItself(series))).toEqual([]);
      expect(second.text).not.toMatch(/nowhere|PROPFIND|MKCOL|PURGE/);
      expect(second.count(REQUESTS, { method: 'other', route: 'unmatched', status: '404' })).toBeGreaterThan(0);
    });

    it('are in flight until they are answered', async () => {
      const inFlight = (metrics: Metrics) => metrics.get('gatehouse_http_requests_in_flight');
      // The one that asks.
      await eventually(app, (metrics) => inFlight(metrics) === 1);
      const [head, tail] = formAround({ name: 'notes.txt' });
      const sending = beginUpload(`${app.url}/api/v1/uploads`, user.auth);
      await sending.write(head);
      const during = await eventually(app, (metrics) => inFlight(metrics) === 2 && receiving(metrics) === 1);
      await sending.write(Buffer.from('some text'));
      await sending.write(tail);
      expect((await sending.finish())?.status).toBe(201);
      const after = await eventually(app, (metrics) => inFlight(metrics) === 1 && receiving(metrics) === 0);
      expect(after.count('gatehouse_uploads_completed_total')).toBe(
        during.count('gatehouse_uploads_completed_total') + 1,
      );
    });

    it('whose client goes are over: the one being answered, and those behind it on its connection', async () => {
      const gone = { method: 'POST', route: '/api/v1/uploads', status: '499' };
      const behind = { method: 'GET', route: '/health', status: '499' };
      const before = await eventually(app, (metrics) => metrics.get('gatehouse_http_requests_in_flight') === 1);
      const socket = net.connect(app.port, '127.0.0.1');
      const [head] = formAround({ name: 'notes.txt' });
      const boundary = head.toString().slice(2).split('\r\n')[0];
      const body = `${head.toString()}some text\r\n--${boundary}--\r\n`;
      // A lock on what the upload has to write to: it is whole, and not answered.
      const client = await app.pool.connect();
      await client.query('BEGIN');
      await client.query('SELECT FROM users WHERE id = $1 FOR UPDATE', [user.id]);
      socket.write(
        `POST /api/v1/uploads HTTP/1.1\r\nHost: localhost\r\nAuthorization: ${user.auth.Authorization}\r\n` +
          `Content-Type: multipart/form-data; boundary=${boundary}\r\nContent-Length: ${body.length}\r\n\r\n${body}` +
          'GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n'.repeat(2),
      );
      await eventually(app, (metrics) => metrics.get('gatehouse_http_requests_in_flight') === 4);
      socket.destroy();
      const after = await eventually(app, (metrics) => metrics.get('gatehouse_http_requests_in_flight') === 1);
      await client.query('ROLLBACK');
      client.release();
      for (const [labels, more] of [[gone, 1] as const, [behind, 2] as const])
        expect([labels, after.count(REQUESTS, labels)]).toEqual([labels, before.count(REQUESTS, labels) + more]);
    });
  });

  it('count the logins by what came of them, and refresh tokens that were used again', async () => {
    const before = await Metrics.of(app);
    const other = await aUser(app);
    const { refreshToken } = await signIn(app, other);
    const login = (password: string) => app.http.post('/api/v1/auth/login').send({ email: other.email, password });
    await login(PASSWORD).expect(200);
    for (let i = 0; i < 3; i++) await login('Wrong-Horse-1').expect(401);
    const { email } = await aUser(app, { isActive: false });
    await app.http.post('/api/v1/auth/login').send({ email, password: PASSWORD }).expect(403);
    await app.http.post('/api/v1/auth/login').send({ email: 'no@body.example', password: PASSWORD }).expect(401);
    const refresh = (token: string) => app.http.post('/api/v1/auth/refresh').send({ refresh_token: token });
    let { body } = await refresh(refreshToken).expect(200);
    ({ body } = await refresh(body.refresh_token).expect(200));
    await refresh(refreshToken).expect(401);
    const after = await eventually(app, (metrics) => metrics.count(LOGINS, UNKNOWN) > before.count(LOGINS, UNKNOWN));
    const more = (name: string, labels?: Record<string, string>) =>
      after.count(name, labels) - before.count(name, labels);
    const outcomes = ['succeeded', 'wrong_password', 'disabled', 'unknown_user', 'failed'];
    expect(outcomes.map((outcome) => more(LOGINS, { outcome }))).toEqual([2, 3, 1, 1, 0]);
    expect(more('gatehouse_refresh_token_reuses_total')).toBe(1);
  });

  it('count files and their bytes, and the room that they take', async () => {
    const before = await eventually(app, isWhole);
    const bytes = Buffer.from('a'.repeat(1234));
    await upload(bytes).expect(201);
    await upload(Buffer.concat([bytes, bytes])).expect(201);
    await upload(Buffer.alloc(2 * 1024 * 1024, 'a')).expect(413);
    const after = await eventually(
      app,
      (metrics) => isWhole(metrics) && metrics.get('gatehouse_uploads_in_progress') === 0,
    );
    const more = (name: string) => after.count(name) - before.count(name);
    expect(more('gatehouse_uploads_completed_total')).toBe(2);
    expect(more('gatehouse_upload_bytes_total')).toBe(3 * 1234);
    const { rows } = await app.pool.query<{ bytes: string }>('SELECT bytes FROM storage_totals');
    expect(after.get('gatehouse_storage_used_bytes')).toBe(Number(rows[0].bytes));
    expect(more('gatehouse_storage_used_bytes')).toBe(3 * 1234);
    expect(after.count('gatehouse_storage_quota_bytes')).toBeGreaterThan(1024 ** 3);
  });

  it('count sockets and event streams while they are there', async () => {
    const live = (metrics: Metrics) =>
      ['socket', 'stream'].map((kind) => metrics.get('gatehouse_live_connections', { kind }));
    expect(live(await Metrics.of(app))).toEqual([0, 0]);
    const [first] = await Promise.all([connect(app, user), connect(app, user)]);
    const stream = http.get(`${app.url}/api/v1/broadcasting/stream?channel=news`, { headers: user.auth, agent: false });
    const [response] = (await once(stream, 'response')) as [http.IncomingMessage];
    expect(response.statusCode).toBe(200);
    expect(live(await Metrics.of(app))).toEqual([2, 1]);
    first.close();
    await eventually(app, (metrics) => live(metrics)[0] === 1);
    stream.on('error', () => undefined).destroy();
    closeSockets();
    const { socket } = open(app, null);
    await new Promise((resolve) => socket.once('connect_error', resolve));
    await eventually(app, (metrics) => live(metrics).every((count) => count === 0));
  });

  it('count messages as they are published, and once for each reader', async () => {
    const before = await Metrics.of(app);
    const [one, other] = await Promise.all([connect(app, admin), connect(app, user)]);
    await one.subscribe('counted');
    await other.subscribe('counted');
    await publish('counted', { data: 1, idempotency_key: 'once' }).expect(201);
    await publish('counted', { data: 1, idempotency_key: 'once' }).expect(200);
    await one.publish('counted', 'said', 2);
    await one.publish('counted', 'said', 3, { durable: false });
    await publish('nobody-reads-this').expect(201);
    await publish('counted', { data: 'x'.repeat(70_000) }).expect(413);
    await other.until(() => other.log('counted').length === 3);
    const after = await Metrics.of(app);
    const more = (name: string, labels?: Record<string, string>) =>
      after.count(name, labels) - before.count(name, labels);
    expect(more('gatehouse_messages_published_total', { kind: 'durable' })).toBe(3);
    expect(more('gatehouse_messages_published_total', { kind: 'volatile' })).toBe(1);
    expect(more('gatehouse_messages_delivered_total')).toBe(6);
  });

  it('tell of the process: its loop, its collector, its memory', async () => {
    let late = await Metrics.of(app);
    // A stall that begins with a scrape is not measured: the clock begins with the first turn after it.
    await until(async () => {
      const end = Date.now() + 300;
      while (Date.now() < end);
      late = await Metrics.of(app);
      return (late.get('gatehouse_event_loop_delay_seconds', { quantile: '1' }) ?? 0) > 0.1;
    }, 'a delay of the event loop');
    setFlagsFromString('--expose-gc');
    (runInNewContext('gc') as () => void)();
    const collected = await eventually(
      app,
      (metrics) => metrics.count('nodejs_gc_duration_seconds_count', { kind: 'major' }) > 0,
    );
    expect(collected.count('process_resident_memory_bytes')).toBeGreaterThan(1024 ** 2);
    expect(collected.count('gatehouse_event_loop_active_seconds_total')).toBeGreaterThan(
      late.count('gatehouse_event_loop_active_seconds_total'),
    );
  });

  it('tell of the pool, the queues and the listener', async () => {
    const metrics = await eventually(app, isWhole);
    expect(metrics.get('gatehouse_password_queue_length')).toBe(0);
    expect(metrics.get('gatehouse_database_pool_waiting')).toBe(0);
    const [idle, busy] = ['idle', 'busy'].map((state) => metrics.get('gatehouse_database_pool_connections', { state }));
    expect(Number(idle) + Number(busy)).toBeGreaterThan(0);
    expect(metrics.count('gatehouse_database_pool_max')).toBeGreaterThanOrEqual(Number(idle) + Number(busy));
  });

  it('tell of the mails that wait, and for how long', async () => {
    const states = ['queued', 'sending', 'failed', 'unconfirmed', 'sent'];
    await app.pool.query(
      `INSERT INTO mails (id, kind, email, data, state, attempts, next_attempt_at, claimed_until, created_at)
       SELECT gen_random_uuid(), 'none', 'nobody@mail.example', '{}', state, 1, now() + interval '1 hour', now() + interval '1 hour',
         now() - interval '2 hours' FROM unnest($1::text[]) state`,
      [states],
    );
    const metrics = await eventually(app, isWhole);
    const counts = ['queued', 'failed', 'unconfirmed'].map((state) => metrics.get('gatehouse_mails', { state }));
    expect(counts).toEqual([2, 1, 1]);
    expect(metrics.count('gatehouse_mail_oldest_seconds')).toBeGreaterThanOrEqual(7_200);
    await app.pool.query('DELETE FROM mails');
    expect((await eventually(app, isWhole)).get('gatehouse_mail_oldest_seconds')).toBe(0);
  });

  it('are those of one application, though a process has two', async () => {
    const second = await startTestApp();
    try {
      await second.http.get('/health').expect(200);
      const labels = { method: 'GET', route: '/health', status: '200' };
      const before = (await Metrics.of(app)).count(REQUESTS, labels);
      await eventually(second, (metrics) => metrics.count(REQUESTS, labels) === 1);
      expect((await Metrics.of(app)).count(REQUESTS, labels)).toBe(before);
    } finally {
      await second.close();
    }
    await Metrics.of(app);
  });
});

describe('metrics when the database', () => {
  let app: TestApp;
  beforeAll(async () => {
    app = await startTestApp();
  });
  afterAll(() => app.close());

  it('hangs: what cannot be asked is missing, and is asked once only', async () => {
    const client = await app.pool.connect();
    try {
      await client.query('BEGIN');
      await client.query('LOCK TABLE storage_totals IN ACCESS EXCLUSIVE MODE');
      const answers = await Promise.all([Metrics.of(app), Metrics.of(app)]);
      for (const metrics of [...answers, await Metrics.of(app)]) {
        expect(metrics.get('gatehouse_storage_used_bytes')).toBeUndefined();
        expect(metrics.families.has('gatehouse_storage_used_bytes')).toBe(true);
      }
      await eventually(
        app,
        (found) => found.get('gatehouse_database_up') === 1 && found.get('gatehouse_storage_used_bytes') === undefined,
      );
      const { rows } = await app.pool.query<{ waiting: number }>(
        `SELECT count(*)::int AS waiting FROM pg_locks WHERE NOT granted AND relation = 'storage_totals'::regclass`,
      );
      expect(rows).toEqual([{ waiting: 1 }]);
    } finally {
      await client.query('ROLLBACK');
      client.release();
    }
    await eventually(app, (metrics) => metrics.get('gatehouse_storage_used_bytes') !== undefined);
  });

  it('is away: everything else is told, and the rest when it is back', async () => {
    const { database, ...server } = app.database.connection;
    const client = new pg.Client({ ...server, database: 'postgres' });
    await client.connect();
    try {
      await client.query(`ALTER DATABASE ${database} ALLOW_CONNECTIONS false`);
      await client.query('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1', [database]);
      const isAway = (found: Metrics) =>
        ['up', 'listener_connected'].every((name) => found.get(`gatehouse_database_${name}`) === 0);
      const metrics = await eventually(app, isAway);
      expect(metrics.get('gatehouse_storage_used_bytes')).toBeUndefined();
      expect(metrics.get('gatehouse_mails', { state: 'queued' })).toBeUndefined();
      expect(metrics.get('gatehouse_database_pool_waiting')).toEqual(expect.any(Number));
      expect(metrics.get('gatehouse_http_requests_in_flight')).toBe(1);
    } finally {
      await client.query(`ALTER DATABASE ${database} ALLOW_CONNECTIONS true`);
      await client.end();
    }
    await eventually(
      app,
      (metrics) =>
        metrics.get('gatehouse_database_up') === 1 &&
        metrics.get('gatehouse_database_listener_connected') === 1 &&
        metrics.get('gatehouse_storage_used_bytes') !== undefined,
    );
  });
});

const receiving = (metrics: Metrics) => metrics.get('gatehouse_uploads_in_progress');

const isWithin = (labels: Record<string, string>, all: Readonly<Record<string, string>>) =>
  Object.entries(labels).every(([name, value]) => all[name] === value);
