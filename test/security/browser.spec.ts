import { randomUUID } from 'node:crypto';
import { aSignedInUser, aUser, PASSWORD, type SignedIn } from '../support/builders.js';
import { startTestApp, type TestApp } from '../support/test-app.js';
import { fill, nameOf, request, type Route, routesOf, sendRaw } from './tools.js';

const LISTED = 'https://app.example.com';
const NOT_LISTED = [
  'https://evil.example',
  'null',
  'https://app.example.com.evil.example',
  'https://evil-app.example.com',
  'http://app.example.com',
  'https://app.example.com:8443',
  'https://APP.example.com.',
  'https://sub.app.example.com',
  'file://',
];

describe('browser', () => {
  let app: TestApp;
  let listing: TestApp;
  let user: SignedIn;
  let routes: Route[];

  beforeAll(async () => {
    app = await startTestApp();
    listing = await startTestApp({
      CORS_ORIGINS: `${LISTED}, https://other.example.com`,
      PUBLIC_URL: 'https://api.example.com',
    });
    user = await aSignedInUser(app);
    routes = await routesOf(app);
  });
  afterAll(async () => {
    await listing.close();
    await app.close();
  });

  const corsHeaders = (headers: Record<string, string>) =>
    Object.keys(headers).filter((name) => name.startsWith('access-control-'));
  const preflight = (to: TestApp, origin: string, path = '/api/v1/users/me', method = 'PATCH') =>
    to.http
      .options(path)
      .set('Origin', origin)
      .set('Access-Control-Request-Method', method)
      .set('Access-Control-Request-Headers', 'authorization,content-type');

  it('S46 without a list no origin is answered, neither preflight nor request', async () => {
    for (const origin of [LISTED, 'null', app.url, 'http://localhost:8000']) {
      const answers = [
        await preflight(app, origin),
        await app.http.get('/health').set('Origin', origin),
        await app.http.get('/api/v1/users/me').set('Origin', origin).set(user.auth),
        await app.http.get('/openapi.json').set('Origin', origin),
      ];
      for (const { headers } of answers) expect(corsHeaders(headers)).toEqual([]);
    }
  });

  it('S46 a listed origin is named, without credentials', async () => {
    for (const { headers } of [
      await preflight(listing, LISTED).expect(204),
      await listing.http.get('/health').set('Origin', LISTED).expect(200),
      await listing.http.get('/api/v1/users/me').set('Origin', LISTED).expect(401),
      await listing.http.get('/nowhere').set('Origin', LISTED).expect(404),
      await listing.http.post('/api/v1/auth/login').set('Origin', LISTED).send('{').type('json').expect(400),
    ]) {
      expect(headers['access-control-allow-origin']).toBe(LISTED);
      expect(headers).not.toHaveProperty('access-control-allow-credentials');
      expect(headers.vary?.toLowerCase()).toContain('origin');
    }
  });

  it.each(NOT_LISTED)('S46 %s is not on the list and is never reflected', async (origin) => {
    for (const { headers } of [
      await preflight(listing, origin),
      await listing.http.get('/health').set('Origin', origin),
      await listing.http.post('/api/v1/auth/login').set('Origin', origin).send({}),
    ]) {
      expect(headers).not.toHaveProperty('access-control-allow-origin');
      expect(headers).not.toHaveProperty('access-control-allow-credentials');
      expect(JSON.stringify(headers)).not.toContain(origin === 'null' ? '"*"' : origin);
      // Or a cache would give the answer for one origin to another.
      expect(headers.vary?.toLowerCase()).toContain('origin');
    }
  });

  it('S46 methods and headers come from a list as well', async () => {
    const { headers } = await preflight(listing, LISTED, '/api/v1/users/me', 'TRACE');
    expect(headers['access-control-allow-methods'].split(', ').sort()).toEqual(
      ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'].sort(),
    );
    expect(headers['access-control-allow-headers'].toLowerCase()).not.toContain('*');
  });

  it('a question of tus is no preflight, whoever asks it', async () => {
    const path = '/api/v1/uploads/resumable';
    const asked = await listing.http.options(path).set(user.auth).expect(204);
    expect(asked.headers['tus-version']).toBe('1.0.0');
    const byPage = await listing.http.options(path).set('Origin', LISTED).set(user.auth).expect(204);
    expect(byPage.headers).toMatchObject({ 'tus-version': '1.0.0', 'access-control-allow-origin': LISTED });
    const { headers } = await preflight(listing, LISTED, path, 'OPTIONS').expect(204);
    expect(headers['access-control-allow-methods']).toContain('OPTIONS');
    await listing.http.options('/nowhere').set('Origin', LISTED).expect(404);
  });

  const expectProtected = (headers: Record<string, string>, what: string) => {
    const csp = headers['content-security-policy'] ?? '';
    expect([what, csp]).toEqual([what, expect.stringContaining("default-src 'none'")]);
    expect([what, csp]).toEqual([what, expect.stringContaining("frame-ancestors 'none'")]);
    expect(csp).not.toMatch(/unsafe-(inline|eval)|\*/);
    expect([what, headers['x-content-type-options']]).toEqual([what, 'nosniff']);
    expect([what, headers['referrer-policy']]).toEqual([what, 'no-referrer']);
    expect([what, headers['x-frame-options']?.toUpperCase()]).toEqual([what, 'DENY']);
    expect(headers).not.toHaveProperty('x-powered-by');
    expect(headers).not.toHaveProperty('server');
  };

  it('S47 every route, asked by a guest or a user, answers with CSP, nosniff, Referrer-Policy and no-store', async () => {
    const spare = await aSignedInUser(app);
    for (const route of routes) {
      for (const auth of [{}, spare.auth]) {
        const { headers, status } = await app.http[route.method](fill(route.path, randomUUID()))
          .set(auth as Record<string, string>)
          .send(route.method === 'get' ? undefined : {});
        const what = `${nameOf(route)} ${status}`;
        expectProtected(headers, what);
        expect([what, headers['cache-control']]).toEqual([what, 'no-store']);
      }
    }
  });

  it('S47 tokens are not to be stored', async () => {
    const { email } = await aUser(app);
    const login = await app.http.post('/api/v1/auth/login').send({ email, password: PASSWORD }).expect(200);
    expect(login.headers['cache-control']).toBe('no-store');
    const refreshed = await app.http
      .post('/auth/refresh')
      .send({ refresh_token: login.body.refresh_token })
      .expect(200);
    expect(refreshed.headers['cache-control']).toBe('no-store');
  });

  it('S47 the docs, which are a page, have a policy without inline scripts', async () => {
    for (const path of ['/docs', '/docs/', '/docs/page.js', '/docs/assets/swagger-ui.css', '/openapi.json']) {
      const { headers } = await app.http.get(path).expect(200);
      expectProtected(headers, path);
    }
    const { text } = await app.http.get('/docs').expect(200);
    expect(text).not.toMatch(/<script(?![^>]* src=)|<style|\son\w+=|https?:\/\//i);
  });

  it.each([
    ['an unknown path', 'GET /nowhere'],
    ['a wrong method', 'DELETE /health'],
    ['a path that cannot be decoded', 'GET /api/v1/users/%zz'],
    ['a query that cannot be decoded', 'GET /api/v1/users?search=%ff'],
    ['an endless path', `GET /api/v1/users/${'a'.repeat(3_000)}`],
    ['a file beside the docs', 'GET /docs/assets/../../package.json'],
  ])('S47 so do errors: %s', async (what, line) => {
    const [head] = (await sendRaw(app, request(line))).split('\r\n\r\n');
    const headers = Object.fromEntries(
      head
        .split('\r\n')
        .slice(1)
        .map((header) => [header.slice(0, header.indexOf(':')).toLowerCase(), header.slice(header.indexOf(':') + 2)]),
    );
    expectProtected(headers, what);
  });

  it('S47 HSTS is sent where the public address is https, and only there', async () => {
    for (const path of ['/health', '/nowhere', '/docs', '/api/v1/users/me']) {
      const { headers } = await listing.http.get(path);
      expect(Number(/max-age=(\d+)/.exec(headers['strict-transport-security'])?.[1])).toBeGreaterThanOrEqual(
        31_536_000,
      );
      expect((await app.http.get(path)).headers).not.toHaveProperty('strict-transport-security');
    }
  });

  it.each(['verify', 'reset', 'undo'])(
    'S47 the page /account/%s, whose address holds a token, tells it to nobody',
    async (page) => {
      const { headers, text } = await app.http.get(`/account/${page}?token=secret-of-the-link`).expect(200);
      expectProtected(headers, page);
      expect(headers['cache-control']).toBe('no-store');
      // Neither by what it loads nor by what it sends: all of it is of this server, and the page does not repeat the token.
      expect(text).not.toMatch(/<script(?![^>]* src="\/account\/)|<style|\son\w+=|(src|action)="https?:/i);
      expect(text).not.toContain('secret-of-the-link');
      for (const asset of ['page.js', 'page.css'])
        expectProtected((await app.http.get(`/account/${asset}`).expect(200)).headers, asset);
    },
  );

  it('S48 no page sets a cookie or reads one', async () => {
    const pages = ['verify', 'reset', 'undo', 'page.js', 'page.css'].map((page) => `/account/${page}`);
    for (const path of [...pages, '/docs', '/docs/page.js', '/openapi.json', '/asyncapi.json', '/nowhere']) {
      const { headers, text } = await app.http.get(path).set('Cookie', 'a=b');
      expect([path, headers['set-cookie']]).toEqual([path, undefined]);
      if (path.startsWith('/account'))
        expect([path, /cookie|(local|session)Storage/i.test(text)]).toEqual([path, false]);
    }
  });

  it('S48 no cookie is set and none signs anybody in', async () => {
    const { email } = await aUser(app);
    const login = await app.http.post('/api/v1/auth/login').send({ email, password: PASSWORD }).expect(200);
    expect(login.headers).not.toHaveProperty('set-cookie');
    const token = login.body.access_token;
    for (const name of ['access_token', 'token', 'Authorization', 'jwt', '__Host-session'])
      await app.http.get('/api/v1/users/me').set('Cookie', `${name}=${token}`).expect(401);
    for (const name of ['access_token', 'token', 'authorization'])
      await app.http.get(`/api/v1/users/me?${name}=${token}`).expect(401);
    for (const type of ['text/plain', 'multipart/form-data; boundary=x'])
      await app.http.post('/api/v1/auth/register').set('Content-Type', type).send('{}').expect(415);
    await app.http.post('/api/v1/auth/register').type('form').send('email=a@example.com').expect(415);
  });
});
