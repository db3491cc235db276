import { FixedWindowCounter } from '../../src/common/limits/fixed-window.js';
import type { VariableName } from '../../src/config/variables.js';
import { aSignedInUser, aUser, PASSWORD } from '../support/builders.js';
import { startTestApp, type TestApp } from '../support/test-app.js';

const limited = (environment: Partial<Record<VariableName, string>> = {}) =>
  startTestApp({ RATE_LIMIT_ENABLED: 'true', ...environment });

describe('rate limits', () => {
  let app: TestApp;
  afterEach(() => app.close());

  const login = (
    address?: string,
    body: object = { email: 'x@example.com', password: 'x' },
    path = '/api/v1/auth/login',
  ) => {
    const request = app.http.post(path).send(body);
    return address ? request.set('X-Forwarded-For', address) : request;
  };

  it('every answer carries the limit nearest to exhaustion', async () => {
    app = await limited({ RATE_LIMIT_CREDENTIALS: '50/60' });
    const user = await aSignedInUser(app);
    const before = Math.floor(Date.now() / 1000);
    const { headers } = await app.http.get('/api/v1/users/me').set(user.auth).expect(200);
    expect(headers).toMatchObject({ 'x-ratelimit-limit': '100', 'x-ratelimit-remaining': '99' });
    expect(Number(headers['x-ratelimit-reset'])).toBeGreaterThanOrEqual(before + 60);
    const again = await app.http.get('/api/v1/users/me').set(user.auth).expect(200);
    expect(again.headers['x-ratelimit-remaining']).toBe('98');
    expect(again.headers['x-ratelimit-reset']).toBe(headers['x-ratelimit-reset']);
  });

  it('errors carry the headers and count: unknown routes, bad bodies, wrong methods, refused guests', async () => {
    app = await limited({ RATE_LIMIT_ANONYMOUS: '5/60' });
    const answers = [
      await app.http.get('/nowhere'),
      await app.http.delete('/api/v1/auth/refresh'),
      await app.http.post('/api/v1/auth/refresh').set('Content-Type', 'application/json').send('{"'),
      await app.http.post('/api/v1/auth/refresh').set('Content-Type', 'text/plain').send('x'),
      await app.http.get('/api/v1/users/me'),
      await app.http.get('/nowhere'),
    ];
    expect(answers.map(({ status, headers }) => [status, headers['x-ratelimit-remaining']])).toEqual([
      [404, '4'],
      [405, '3'],
      [400, '2'],
      [415, '1'],
      [401, '0'],
      [429, '0'],
    ]);
  });

  it('what cannot be read counts too, and is 429 over the limit', async () => {
    app = await limited({ RATE_LIMIT_ANONYMOUS: '2/60' });
    const statuses: number[] = [];
    for (const path of ['/api/v1/users/%zz', '/nowhere?search=%ff', '/%zz', '/nowhere?search=%ff']) {
      statuses.push((await app.http.get(path)).status);
    }
    expect(statuses).toEqual([400, 400, 429, 429]);
  });

  it('the sixth credentials call of an address in a minute is 429, whatever the route or spelling', async () => {
    app = await limited();
    const register = { email: 'new@example.com', password: 'SecurePass123!' };
    await login().expect(401);
    await login(undefined, { username: 'x', password: 'x' }, '/auth/login/').expect(401);
    await login(undefined, register, '/api/v1/auth/register').expect(201);
    await login(undefined, register, '/users').expect(409);
    await app.http.post('/api/v1/auth/login').set('Content-Type', 'application/json').send('{').expect(400);
    const { body, headers } = await login().expect(429);
    expect(body).toMatchObject({
      detail: 'Too many login attempts. Please try again later.',
      status: 'error',
      code: 429,
      error_code: 'rate_limited',
    });
    expect(headers).toMatchObject({ 'x-ratelimit-limit': '5', 'x-ratelimit-remaining': '0' });
    expect(Number(headers['retry-after'])).toBeGreaterThan(0);
    expect(headers['x-ratelimit-retry-after']).toBe(headers['retry-after']);
    await login(undefined, register, '/users/').expect(429);
    // Refreshing is not a credentials call, and neither is looking around.
    await app.http.post('/api/v1/auth/refresh').send({ refresh_token: 'x' }).expect(401);
  });

  it('counts a refresh for its address, whoever is signed in', async () => {
    app = await limited({ RATE_LIMIT_CREDENTIALS: '50/60', RATE_LIMIT_ANONYMOUS: '2/60' });
    const user = await aSignedInUser(app);
    const refresh = (token: string) =>
      app.http.post('/api/v1/auth/refresh').set(user.auth).send({ refresh_token: token });
    const { headers } = await refresh(user.refreshToken).expect(200);
    expect(headers).toMatchObject({ 'x-ratelimit-limit': '2', 'x-ratelimit-remaining': '1' });
    await refresh('nonsense').expect(401);
    await refresh('nonsense').expect(429);
    await app.http.get('/api/v1/users/me').set(user.auth).expect(200).expect('X-RateLimit-Remaining', '99');
  });

  it('counts a user from all addresses together, apart from guests', async () => {
    app = await limited({ RATE_LIMIT_USER: '3/60', RATE_LIMIT_CREDENTIALS: '50/60', TRUST_PROXY: '1' });
    const user = await aSignedInUser(app);
    const me = (address: string) => app.http.get('/api/v1/users/me').set(user.auth).set('X-Forwarded-For', address);
    for (const address of ['203.0.113.1', '203.0.113.2', '203.0.113.3']) await me(address).expect(200);
    const { body } = await me('203.0.113.4').expect(429);
    expect(body.detail).toBe('Too many requests. Please try again later.');
    await app.http.get('/api/v1/users/me').set('X-Forwarded-For', '203.0.113.4').expect(401);
  });

  it('the hourly limit of a user holds too, and is shown when it is nearer', async () => {
    app = await limited({ RATE_LIMIT_USER_HOURLY: '2/3600', RATE_LIMIT_CREDENTIALS: '50/60' });
    const user = await aSignedInUser(app);
    const me = () => app.http.get('/api/v1/users/me').set(user.auth);
    expect((await me().expect(200)).headers['x-ratelimit-limit']).toBe('2');
    await me().expect(200);
    const { headers } = await me().expect(429);
    expect(Number(headers['retry-after'])).toBeGreaterThan(60);
  });

  it('a token whose session is over uses up its address, not its user', async () => {
    app = await limited({ RATE_LIMIT_USER: '4/60', RATE_LIMIT_ANONYMOUS: '3/60', RATE_LIMIT_CREDENTIALS: '50/60' });
    const user = await aUser(app);
    const session = async () => {
      const { body } = await login(undefined, { email: user.email, password: PASSWORD }).expect(200);
      return { Authorization: `Bearer ${body.access_token}` };
    };
    const stolen = await session();
    await app.http.post('/api/v1/auth/logout').set(stolen).expect(204);
    const own = await session();
    const statuses: number[] = [];
    for (let i = 0; i < 5; i++) statuses.push((await app.http.get('/api/v1/users/me').set(stolen)).status);
    expect(statuses).toEqual([401, 401, 401, 429, 429]);
    const { headers } = await app.http.get('/api/v1/users/me').set(own).expect(200);
    expect(headers['x-ratelimit-remaining']).toBe('2');
  });

  it('an IPv6 network of 64 bits is one address', async () => {
    app = await limited({ TRUST_PROXY: '1', RATE_LIMIT_CREDENTIALS: '1/60' });
    await login('2001:db8:1:2::1').expect(401);
    await login('2001:db8:1:2:ffff::9').expect(429);
    await login('2001:db8:1:3::1').expect(401);
  });

  it.each(['X-Forwarded-For', 'X-Real-IP', 'Forwarded'])(
    '%s counts for nothing unless a proxy is trusted',
    async (header) => {
      app = await limited({ RATE_LIMIT_CREDENTIALS: '1/60' });
      await login()
        .set(header, header === 'Forwarded' ? 'for=203.0.113.1' : '203.0.113.1')
        .expect(401);
      await login()
        .set(header, header === 'Forwarded' ? 'for=203.0.113.2' : '203.0.113.2')
        .expect(429);
    },
  );

  it('RATE_LIMIT_ENABLED=false turns limits and headers off, but not the lockout of an account', async () => {
    app = await startTestApp({ LOGIN_LOCKOUT: '2/900' });
    const user = await aUser(app);
    const wrong = { email: user.email, password: 'Wrong-Horse-1' };
    await login(undefined, wrong).expect(401);
    expect((await login(undefined, wrong).expect(401)).headers['x-ratelimit-limit']).toBeUndefined();
    const { body, headers } = await login(undefined, { email: user.email, password: PASSWORD }).expect(429);
    expect(body).toMatchObject({
      detail: 'Too many login attempts. Please try again later.',
      error_code: 'too_many_attempts',
    });
    expect(Number(headers['retry-after'])).toBeGreaterThan(800);
  });

  it('docs and health carry no limit', async () => {
    app = await limited({ RATE_LIMIT_ANONYMOUS: '1/60' });
    for (const path of [
      '/health',
      '/api/v1/health',
      '/docs',
      '/openapi.json',
      '/health',
      '/docs/assets/swagger-ui.css',
    ]) {
      const { headers } = await app.http.get(path).expect(200);
      expect(headers['x-ratelimit-limit']).toBeUndefined();
    }
  });
});

describe('the failed logins of an account', () => {
  let app: TestApp;
  let user: Awaited<ReturnType<typeof aUser>>;
  beforeEach(async () => {
    app = await startTestApp({ LOGIN_LOCKOUT: '3/900' });
    user = await aUser(app);
  });
  afterEach(() => app.close());

  const login = (body: object) => app.http.post('/api/v1/auth/login').send(body);

  it('count under email and username together, and not the successful ones', async () => {
    await login({ email: user.email, password: 'Wrong-Horse-1' }).expect(401);
    await login({ username: user.username.toUpperCase(), password: 'Wrong-Horse-1' }).expect(401);
    await login({ email: user.email, password: PASSWORD }).expect(200);
    await login({ email: user.email, password: 'Wrong-Horse-1' }).expect(401);
    await login({ email: user.email, password: PASSWORD }).expect(429);
  });

  it('lock names that nobody has in the same way', async () => {
    for (let i = 0; i < 3; i++) await login({ email: 'nobody@example.com', password: 'x' }).expect(401);
    await login({ email: 'NOBODY@example.com', password: 'x' }).expect(429);
  });

  it('tell nothing to guesses made at once: after the limit even the right one is refused', async () => {
    const guesses = [...Array.from({ length: 12 }, (_, i) => `Wrong-Horse-${i}`), PASSWORD];
    const answers = await Promise.all(guesses.map((password) => login({ email: user.email, password })));
    expect(answers.filter(({ status }) => status === 401).length).toBeLessThanOrEqual(4);
    expect(answers.at(-1)?.status).toBe(429);
  });

  it('leave open sessions alone, but lock the other places that ask for the password', async () => {
    const { body } = await login({ email: user.email, password: PASSWORD }).expect(200);
    const auth = { Authorization: `Bearer ${body.access_token}` };
    const change = { current_password: 'Wrong-Horse-1', new_password: 'NewSecurePass123!' };
    for (let i = 0; i < 3; i++) await app.http.post('/api/v1/auth/change-password').set(auth).send(change).expect(400);
    await app.http
      .post('/api/v1/auth/change-password')
      .set(auth)
      .send({ ...change, current_password: PASSWORD })
      .expect(429);
    await app.http.delete('/api/v1/users/me').set(auth).send({ password: PASSWORD }).expect(429);
    await login({ email: user.email, password: PASSWORD }).expect(429);
    await app.http.get('/api/v1/users/me').set(auth).expect(200);
  });
});

describe('FixedWindowCounter', () => {
  it('begins a window with the first hit and forgets it at its end', () => {
    const counter = new FixedWindowCounter(1000);
    expect(counter.hit('a', 0)).toMatchObject({ hits: 1, endsAt: 1000 });
    expect(counter.hit('a', 999)).toMatchObject({ hits: 2, endsAt: 1000 });
    expect(counter.peek('a', 1000)).toBeNull();
    expect(counter.hit('a', 1000)).toMatchObject({ hits: 1, endsAt: 2000 });
  });

  it('tells each hit which one it was, whenever that is looked at', () => {
    const counter = new FixedWindowCounter(1000);
    const hits = Array.from({ length: 3 }, () => counter.hit('a', 0));
    expect(hits.map((state) => state.hits)).toEqual([1, 2, 3]);
  });

  it('never holds more keys than it may, and drops the oldest first', () => {
    const counter = new FixedWindowCounter(1000, 100);
    for (let i = 0; i < 10_000; i++) counter.hit(`key ${i}`, i / 100);
    expect(counter.size).toBeLessThanOrEqual(100);
    expect(counter.peek('key 9999', 100)).not.toBeNull();
    expect(counter.peek('key 0', 100)).toBeNull();
  });

  it('shrinks when the crowd has gone', () => {
    const counter = new FixedWindowCounter(1000);
    for (let i = 0; i < 1_000; i++) counter.hit(`then ${i}`, 0);
    for (let i = 0; i < 1_000; i++) counter.hit(`now ${i}`, 2000);
    expect(counter.size).toBe(1_000);
  });
});
