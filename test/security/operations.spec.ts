import { randomBytes } from 'node:crypto';
import { aSignedInUser, aUser, PASSWORD, signIn } from '../support/builders.js';
import { startTestApp, type TestApp } from '../support/test-app.js';
import { nameOf, request, routesOf, sendRaw, statusesOf } from './tools.js';

const FORGED = [
  { 'X-Forwarded-For': '203.0.113.1' },
  { 'X-Forwarded-For': '203.0.113.2, 203.0.113.3' },
  { 'X-Real-IP': '203.0.113.4' },
  { Forwarded: 'for=203.0.113.5;proto=https;host=evil.example' },
  { 'X-Client-IP': '203.0.113.6', 'True-Client-IP': '203.0.113.6', 'CF-Connecting-IP': '203.0.113.6' },
  { 'X-Forwarded-Host': 'evil.example', 'X-Forwarded-Proto': 'https', 'X-Forwarded-Port': '1' },
];

describe('operations', () => {
  let app: TestApp;
  beforeAll(async () => {
    app = await startTestApp();
    await aUser(app);
  });
  afterAll(() => app.close());

  /** The line of a request, which may be written just after its answer has gone. */
  const requestLine = async (from: TestApp, requestId: string) => {
    const deadline = Date.now() + 2_000;
    for (;;) {
      const line = from.log
        .map((text) => JSON.parse(text))
        .find((l) => l.request_id === requestId && l.msg === 'request');
      if (line || Date.now() > deadline) return line as Record<string, unknown> | undefined;
      await new Promise((resolve) => setImmediate(resolve));
    }
  };

  /** The log's lines, each of which has to be JSON of one line. */
  const linesSince = (from: TestApp, index: number) =>
    from.log.slice(index).map((line) => {
      expect(line.endsWith('\n')).toBe(true);
      expect(line.slice(0, -1)).not.toMatch(/[\u0000-\u001f\u2028\u2029]/);
      return JSON.parse(line) as Record<string, unknown>;
    });

  describe('addresses', () => {
    let limited: TestApp;
    let proxied: TestApp;
    const LIMITS = { RATE_LIMIT_ENABLED: 'true', RATE_LIMIT_CREDENTIALS: '8/60', RATE_LIMIT_ANONYMOUS: '50/60' };
    beforeAll(async () => {
      limited = await startTestApp(LIMITS);
      proxied = await startTestApp({ ...LIMITS, TRUST_PROXY: '1' });
    });
    afterAll(async () => {
      await proxied.close();
      await limited.close();
    });

    it('S51 forged forwarding headers change neither the bucket, nor the session, nor the log', async () => {
      const user = await aUser(limited);
      const from = limited.log.length;
      const remaining = [];
      for (const headers of FORGED) {
        const response = await limited.http
          .post('/api/v1/auth/login')
          .set(headers as unknown as Record<string, string>)
          .send({ email: user.email, password: PASSWORD })
          .expect(200);
        remaining.push(Number(response.headers['x-ratelimit-remaining']));
      }
      expect(remaining).toEqual([7, 6, 5, 4, 3, 2]);
      const { rows } = await limited.pool.query('SELECT DISTINCT ip_address FROM sessions');
      expect(rows).toEqual([{ ip_address: '127.0.0.1' }]);
      const { headers: last } = await limited.http.get('/nowhere');
      await requestLine(limited, last['x-request-id']);
      const requests = linesSince(limited, from).filter(({ msg }) => msg === 'request');
      expect(new Set(requests.map(({ ip }) => ip))).toEqual(new Set(['127.0.0.1']));
      expect(limited.log.slice(from).join('')).not.toMatch(/203\.0\.113|evil\.example/);
    });

    const remainingFor = async (forwarded: string) => {
      const { headers } = await proxied.http.get('/api/v1/users').set('X-Forwarded-For', forwarded).expect(401);
      return Number(headers['x-ratelimit-remaining']);
    };

    it('S51 behind one proxy only the last address counts: what a client wrote before it does not', async () => {
      expect(await remainingFor('198.51.100.1')).toBe(49);
      expect(await remainingFor('203.0.113.9, 198.51.100.1')).toBe(48);
      expect(await remainingFor('203.0.113.8, 203.0.113.7,198.51.100.1')).toBe(47);
      expect(await remainingFor('198.51.100.1, 198.51.100.2')).toBe(49);
    });

    it('S51 IPv6 addresses are counted by /64, however they are written; IPv4 in IPv6 is IPv4', async () => {
      expect(await remainingFor('2001:db8:1:1::1')).toBe(49);
      expect(await remainingFor('2001:db8:1:1:ffff:ffff:ffff:ffff')).toBe(48);
      expect(await remainingFor('2001:0DB8:0001:0001::abcd')).toBe(47);
      expect(await remainingFor('2001:db8:1:2::1')).toBe(49);
      expect(await remainingFor('::ffff:198.51.100.77')).toBe(49);
      expect(await remainingFor('198.51.100.77')).toBe(48);
      expect(await remainingFor('198.51.100.78')).toBe(49);
    });

    it.each([
      'x'.repeat(100),
      `fe80::1%${'e'.repeat(60)}`,
      'unknown',
      '',
      ',',
      '1.2.3.4:5678',
      '[2001:db8::9]:4711',
      "';--",
    ])('S51 an address that is none, %j, is no reason to fail', async (forwarded) => {
      const user = await aUser(proxied);
      const { status } = await proxied.http
        .post('/api/v1/auth/login')
        .set('X-Forwarded-For', forwarded)
        .send({ email: user.email, password: PASSWORD });
      expect([200, 429]).toContain(status);
    });

    it('S51 the port that some proxies append does not make a new client of every connection', async () => {
      expect(await remainingFor('198.51.100.99:1001')).toBe(49);
      expect(await remainingFor('198.51.100.99:1002')).toBe(48);
    });
  });

  describe('the log', () => {
    it('S53 holds no password and no token, whatever went well or wrong', async () => {
      const from = app.log.length;
      const email = `${randomBytes(6).toString('hex')}@example.com`;
      const secrets = ['Secret-Horse-1', 'Secret-Horse-2', 'Secret-Typo-3', 'Secret-Query-4'];
      const send = (path: string, body: object, auth = {}) =>
        app.http.post(`/api/v1/auth/${path}`).set(auth).send(body);
      await send('register', { email, password: secrets[0] }).expect(201);
      await send('register', { email, password: secrets[0] }).expect(409);
      await send('login', { email, password: secrets[2] }).expect(401);
      const { body: login } = await send('login', { email, password: secrets[0] }).expect(200);
      const auth = { Authorization: `Bearer ${login.access_token}` };
      const { body: next } = await send('refresh', { refresh_token: login.refresh_token }).expect(200);
      await send('change-password', { current_password: secrets[0], new_password: secrets[1] }, auth).expect(200);
      await app.http
        .get(`/api/v1/users?access_token=${login.access_token}&password=${secrets[3]}`)
        .set({ ...auth, Cookie: `session=${secrets[3]}`, 'X-API-Key': secrets[3] })
        .expect(422);
      await app.http
        .post('/api/v1/auth/login')
        .set('Content-Type', 'application/json')
        .send(`{"password":"${secrets[2]}`);
      await app.pool.query("UPDATE sessions SET rotated_at = rotated_at - interval '1 hour'");
      await send('refresh', { refresh_token: login.refresh_token }).expect(401);

      const { rows } = await app.pool.query('SELECT password_hash FROM users');
      const text = app.log.slice(from).join('');
      for (const secret of [
        ...secrets,
        ...[login, next].flatMap(({ access_token: a, refresh_token: r }) => [a, r, a.split('.')[2]]),
        ...rows.map(({ password_hash: hash }) => hash),
      ])
        expect(text.includes(secret)).toBe(false);
      expect(text).not.toMatch(/\$2[aby]\$|Bearer ey/);
    });

    it('S53 names each login and refusal with the request id of its answer, the caller and the address', async () => {
      const user = await aSignedInUser(app);
      const from = app.log.length;
      const answers = [
        await app.http.post('/api/v1/auth/login').send({ email: user.email, password: PASSWORD }).expect(200),
        await app.http.post('/auth/login').send({ email: user.email, password: 'Wrong-Horse-1' }).expect(401),
        await app.http.get('/api/v1/users/me').expect(401),
        await app.http
          .delete(`/api/v1/users/${(await aUser(app)).id}`)
          .set(user.auth)
          .expect(403),
        await app.http.get('/nowhere').expect(404),
      ];
      for (const { headers, status, body } of answers) {
        const line = await requestLine(app, headers['x-request-id']);
        expect(line).toMatchObject({
          status,
          ip: '127.0.0.1',
          method: expect.any(String),
          duration_ms: expect.any(Number),
        });
        if (status >= 400) expect(body.request_id).toBe(headers['x-request-id']);
        if (status === 403) expect(line).toMatchObject({ user_id: user.id });
      }
      expect(linesSince(app, from).map(({ path }) => path)).toContain('/auth/login');
    });

    it.each(['/api/v1/users/%zz', `/api/v1/users/${'a'.repeat(3_000)}`, '/api/v1/users?search=%ff', '/nowhere'])(
      'S53 a refusal of a request that never reached a route is logged too: %s',
      async (path) => {
        const received = await sendRaw(app, request(`GET ${path}`));
        const requestId = /^x-request-id: (\S+)/im.exec(received)?.[1] ?? '';
        expect(await requestLine(app, requestId)).toMatchObject({ status: statusesOf(received)[0], ip: '127.0.0.1' });
      },
    );

    it('S53 line breaks and other control characters arrive encoded; nobody else names a request', async () => {
      const from = app.log.length;
      const evil = '{"level":30,"msg":"forged"}';
      for (const path of [`/x%0d%0a${encodeURIComponent(evil)}`, '/%1b[31mred', '/%e2%80%a8', '/"\\n'])
        await sendRaw(app, request(`GET ${path.replace(/ /g, '%20')}`));
      await sendRaw(app, request('GET /\u0085\u00ff'));
      const { headers } = await app.http
        .get('/nowhere')
        .set('X-Request-Id', 'forged-by-the-client')
        .set('User-Agent', `agent ${evil}`);
      expect(headers['x-request-id']).not.toBe('forged-by-the-client');
      await requestLine(app, headers['x-request-id']);
      const lines = linesSince(app, from);
      expect(lines.length).toBeGreaterThanOrEqual(5);
      expect(lines.map(({ msg }) => msg)).not.toContain('forged');
      expect(app.log.slice(from).join('')).not.toContain('forged-by-the-client');
    });

    it('S53 a name that a trusted proxy gives is taken only if it cannot be mistaken for something else', async () => {
      const proxied = await startTestApp({ TRUST_PROXY: '1' });
      try {
        const ask = async (id: string) =>
          (await proxied.http.get('/health').set('X-Request-Id', id)).headers['x-request-id'];
        expect(await ask('abc-123')).toBe('abc-123');
        for (const id of ['a b', 'x'.repeat(129), '"quoted"', '<script>', 'a,b']) expect(await ask(id)).not.toBe(id);
      } finally {
        await proxied.close();
      }
    });
  });

  describe('in production', () => {
    let production: TestApp;
    beforeAll(async () => {
      production = await startTestApp({ NODE_ENV: 'production', METRICS_TOKEN: 'a token of metrics: 9b1f' });
    });
    afterAll(() => production.close());

    it('S54 an answer of 500 shows nothing of the inside; the log has it under the same request id', async () => {
      const user = await aSignedInUser(production);
      await production.pool.query('ALTER TABLE user_counts RENAME TO user_counts_away');
      const from = production.log.length;
      const { body, headers, text } = await production.http.get('/api/v1/users').set(user.auth).expect(500);
      await production.pool.query('ALTER TABLE user_counts_away RENAME TO user_counts');
      expect(body).toEqual({
        detail: 'Internal server error',
        status: 'error',
        code: 500,
        error_code: 'internal_error',
        request_id: headers['x-request-id'],
      });
      expect(text).not.toMatch(/user_counts|relation|SELECT|\.[jt]s|node_modules|Error:/);
      const line = linesSince(production, from).find(({ error_code: code }) => code === 'internal_error');
      expect(line).toMatchObject({ request_id: headers['x-request-id'], stack: expect.stringContaining('at ') });
      await production.http.get('/api/v1/users').set(user.auth).expect(200);
    });

    it('S54 no faulty request gets a stack trace or a path of the program', async () => {
      const { auth } = await signIn(production, await aUser(production));
      for (const route of await routesOf(production)) {
        for (const body of ['{', '[]', '{"a":1}', '{"email":{}}', '\0']) {
          const { text, status } = await production.http[route.method](route.path.replace('{id}', "'--"))
            .set(auth)
            .set('Content-Type', 'application/json')
            .send(body);
          expect([nameOf(route), status < 500]).toEqual([nameOf(route), true]);
          expect(text).not.toMatch(/node_modules|\bat \w+ \(|\/src\/|\/dist\/|QueryFailedError|"stack"/);
          if (nameOf(route).includes('logout')) break;
        }
      }
    });

    it('S54 TRACE is off and echoes nothing', async () => {
      for (const path of ['/', '/health', '/api/v1/users/me', '/docs', '*']) {
        const received = await sendRaw(
          production,
          request(`TRACE ${path}`, ['X-Secret: echo-me', 'Authorization: Bearer echo-me']),
        );
        expect([path, [404, 405].includes(statusesOf(received)[0])]).toEqual([path, true]);
        expect(received).not.toContain('echo-me');
      }
      expect(statusesOf(await sendRaw(production, request('TRACK /health')))).toEqual([400]);
      const connect = await sendRaw(production, 'CONNECT localhost:22 HTTP/1.1\r\nHost: localhost:22\r\n\r\n');
      expect(statusesOf(connect).filter((status) => status < 400)).toEqual([]);
    });

    it('S54 neither metrics nor files, sources or settings lie open', async () => {
      for (const path of [
        '/metrics',
        '/.env',
        '/package.json',
        '/docs/assets/package.json',
        '/docs/assets/index.html',
        '/docs/assets/..%2f..%2fpackage.json',
        '/docs/assets/%2e%2e/%2e%2e/package.json',
        '/docs/assets/../../package.json',
        '/docs/assets//etc/passwd',
        '/docs/assets/swagger-ui.css%00.html',
        '/docs/assets/swagger-ui-bundle.js.map',
      ]) {
        const [status] = statusesOf(await sendRaw(production, request(`GET ${path}`)));
        // Metrics are there for who has the token.
        const refusals = path === '/metrics' ? [401] : [400, 403, 404];
        expect([path, refusals.includes(status) || status]).toEqual([path, true]);
      }
    });
  });
});
