import { inspect } from 'node:util';
import {
  AuthenticationError,
  ConflictError,
  ConnectionError,
  Gatehouse,
  GatehouseError,
  MfaRequiredError,
  NotFoundError,
  PermissionDeniedError,
  RateLimitError,
  TimeoutError,
  ValidationError,
} from '../src/index.js';
import { failureOf, fault, json, LocalServer, reset, TestServer } from './support.js';

const UNKNOWN = '01970000-0000-7000-8000-000000000000';

describe('errors', () => {
  let server: TestServer;
  const locals: LocalServer[] = [];
  beforeAll(async () => {
    server = await TestServer.start({ RATE_LIMIT_ENABLED: 'true', RATE_LIMIT_CREDENTIALS: '12/300' });
  });
  afterAll(async () => {
    for (const local of locals) await local.stop();
    await server.stop();
  });

  const answering = async (...answers: Parameters<typeof LocalServer.answering>) => {
    const local = await LocalServer.answering(...answers);
    locals.push(local);
    return new Gatehouse({ baseURL: local.url, maxRetries: 0 });
  };

  it('each class of answer has its class of error, with the server’s code and request id', async () => {
    const [{ api, email }, admin] = [await server.user(), await server.admin()];
    const id = (await admin.users.me()).id;
    const cases: [typeof GatehouseError, number, string, () => Promise<unknown>][] = [
      [AuthenticationError, 401, 'not_authenticated', () => server.client().users.me()],
      [AuthenticationError, 401, 'invalid_token', () => server.client({ apiKey: 'gh_wrong' }).users.me()],
      [AuthenticationError, 401, 'login_failed', () => server.client().auth.login({ email, password: 'x' })],
      [PermissionDeniedError, 403, 'forbidden', () => api.users.update(id, { bio: 'x' })],
      [NotFoundError, 404, 'user_not_found', () => api.users.get(UNKNOWN)],
      [ConflictError, 409, 'last_admin', () => admin.admin.users.update(id, { role: 'user' })],
      [ValidationError, 422, 'validation_error', () => api.users.updateMe({ phone_number: 'x' })],
      [GatehouseError, 400, 'wrong_password', () => api.users.deleteMe('wrong')],
    ];
    for (const [ErrorClass, status, code, call] of cases) {
      const error = await failureOf(call());
      expect([code, error.constructor, error.name]).toEqual([code, ErrorClass, ErrorClass.name]);
      expect(error).toBeInstanceOf(GatehouseError);
      expect(error).toMatchObject({ status, code, requestId: expect.stringMatching(/^[0-9a-f-]{36}$/) });
      expect(error.message).toMatch(/^\S.*[a-z]/);
      expect(error.body).toMatchObject({ error_code: code });
    }
  });

  it('a list of faults is one message, and every fault stands at its field', async () => {
    const error = await failureOf(
      server.client().auth.register({ email: 'x', password: 'short', full_name: 1 as any }),
    );
    expect(error).toBeInstanceOf(ValidationError);
    expect(Object.keys(error.fieldErrors).sort()).toEqual(['email', 'full_name']);
    expect(error.message).toMatch(/^email: .+; full_name: .+$/);
    const policy = await failureOf(server.client().auth.register({ email: 'x@example.com', password: 'short' }));
    expect(policy.message).toBe('Password must be at least 8 characters long');
    expect(policy.fieldErrors.password.length).toBeGreaterThan(1);
  });

  it('what is not the server’s answer is told apart', async () => {
    const page = '<html><body>502 Bad Gateway</body></html>';
    const html =
      (status: number) =>
      (_: unknown, response: any): void =>
        void response.writeHead(status, { 'Content-Type': 'text/html', 'X-Request-Id': 'of-the-proxy' }).end(page);
    const bad = await failureOf((await answering(html(502))).users.me());
    expect(bad).toMatchObject({ message: 'The server answered 502', code: 'http_502', requestId: 'of-the-proxy' });
    expect(bad.body).toBe(page);
    expect(await failureOf((await answering(html(404))).users.me())).toMatchObject({
      name: 'NotFoundError',
      code: 'http_404',
    });
    expect(await failureOf((await answering(html(200))).users.me())).toMatchObject({
      name: 'GatehouseError',
      status: 200,
      code: 'unexpected_answer',
    });
    for (const odd of [null, [], 'x', { error_code: 7, detail: 'x' }, { error_code: 'x', detail: { a: 1 } }, {}])
      expect(await failureOf((await answering(json(400, odd))).users.me())).toMatchObject({ code: 'http_400' });
  });

  it.each([
    ['7', 7],
    ['0', 0],
    [() => new Date(Date.now() + 3_600_000).toUTCString(), expect.closeTo(3_600, -2)],
    [new Date(0).toUTCString(), 0],
    ['soon', null],
  ])('Retry-After %s', async (given, retryAfter) => {
    const value = typeof given === 'function' ? given() : given;
    const api = await answering(json(503, fault(503, 'unavailable'), { 'Retry-After': value }));
    expect(await failureOf(api.users.me())).toMatchObject({ status: 503, retryAfter });
  });

  it('no answer is an error of its own, with status 0', async () => {
    const gone = await LocalServer.start(reset);
    await gone.stop();
    const broken = await LocalServer.start(reset);
    locals.push(broken);
    for (const [url, reason] of [
      [gone.url, 'ECONNREFUSED'],
      [broken.url, 'UND_ERR_SOCKET'],
    ]) {
      const api = new Gatehouse({ baseURL: url, maxRetries: 0 });
      const error = await failureOf(api.users.list({ search: 'secret-search' }));
      expect(error).toBeInstanceOf(ConnectionError);
      expect(error).toMatchObject({ status: 0, code: 'connection_failed', requestId: null, retryAfter: null });
      expect(error.message).toBe(`GET ${url}/api/v1/users: no answer (${reason})`);
      expect(error.cause).toMatchObject({ name: 'TypeError' });
    }
    const slow = await answering(() => {});
    const error = await failureOf(slow.users.me({ timeout: 30 }));
    expect(error).toBeInstanceOf(TimeoutError);
    expect(error).toMatchObject({ status: 0, code: 'timed_out', message: 'No answer within 0.03 s' });
  });

  it('the message of a broken connection quotes no address that fetch names', async () => {
    const quoting = () => Promise.reject(new TypeError('failed: http://u:topsecret@localhost/x?topsecret'));
    const api = new Gatehouse({ baseURL: 'http://localhost:1', maxRetries: 0, fetch: quoting });
    const { message } = await failureOf(api.uploads.downloadSigned('http://localhost:1/a?signature=topsecret'));
    expect(message).toBe('GET http://localhost:1/a: no answer (failed: …)');
  });

  it('503 of a proxy is no report of health', async () => {
    for (const page of [{ message: 'no upstream' }, { status: 503 }, 'away', null, fault(503, 'unavailable')])
      await expect((await answering(json(503, page))).health.status()).rejects.toMatchObject({ status: 503 });
  });

  it('503 is an answer of health.status() and of nothing else', async () => {
    const report = { status: 'unhealthy', database: 'unhealthy', storage: 'healthy', uptime_seconds: 1 };
    const api = await answering(json(503, report));
    expect(await api.health.status()).toEqual(report);
    await expect(api.health.live()).rejects.toMatchObject({ status: 503 });
  });

  it('what is printed of an error or of a client holds no secret', async () => {
    const secrets = [
      'Wrong-Secret-1',
      'gh_secret_key',
      'secret-mfa-token',
      'secret-access',
      'secret-refresh',
      'gh_late',
    ];
    const pair = { access_token: secrets[3], refresh_token: secrets[4], token_type: 'bearer', expires_in: 900 };
    const mfa = { mfa_required: true, mfa_token: secrets[2], expires_in: 300 };
    const login = { email: 'a@example.com', password: secrets[0] };
    const signedIn = await answering(json(200, pair), json(500, fault(500, 'internal_error')));
    await signedIn.auth.login(login);
    const keyed = new Gatehouse({ baseURL: 'http://127.0.0.1:1', apiKey: secrets[1], maxRetries: 0 });
    const broken = await answering((_request, response) => void response.end(`{"access_token":"${secrets[3]}"x`));
    const things: unknown[] = [
      await failureOf(signedIn.users.me()),
      await failureOf(keyed.users.me()),
      await failureOf(broken.auth.login(login)),
      await failureOf((await answering(json(200, mfa))).auth.login(login)),
      await failureOf(server.client().auth.login(login)),
      await failureOf((await answering(reset)).auth.login(login)),
      await failureOf(server.client().health.metrics({ token: `${secrets[5]}\nx` })),
      ...[signedIn, signedIn.auth, signedIn.users, keyed, keyed.admin.users],
    ];
    expect(things[3]).toBeInstanceOf(MfaRequiredError);
    for (const thing of things) {
      const printed = `${String(thing)} ${inspect(thing, { depth: 20 })} ${JSON.stringify(thing)}`;
      for (const secret of secrets) expect(printed).not.toContain(secret);
    }
  });

  it.each([
    [{ baseURL: 'localhost:8000' }, /baseURL must begin with http/],
    [{ baseURL: 'http://user:topsecret@localhost' }, /baseURL must not hold/],
    [{ baseURL: 'http://localhost?x=1' }, /query/],
    [{ baseURL: 'http://localhost', apiKey: '' }, /apiKey is empty/],
    [{ baseURL: 'http://localhost', apiKey: 'topsecret\n' }, /apiKey is empty, or has/],
  ])('a client is not made of what cannot work: %j', (options, message) => {
    expect(() => new Gatehouse(options)).toThrow(TypeError);
    expect(() => new Gatehouse(options)).toThrow(message);
    expect(() => new Gatehouse(options)).not.toThrow(/topsecret/);
  });

  it.each([undefined, {}, { baseURL: '' }, { baseURL: '/api' }, { baseURL: 'api.example.com' }, { baseURL: null }])(
    'shows what a baseURL is like: %j',
    (options) => {
      const shown = /^baseURL must begin with .+ new Gatehouse\({ baseURL: 'https:/;
      expect(() => new Gatehouse(options as any)).toThrow(TypeError);
      expect(() => new Gatehouse(options as any)).toThrow(shown);
    },
  );

  it('a baseURL may be the address of the API', async () => {
    const local = await LocalServer.start(json(200, {}));
    locals.push(local);
    for (const end of ['', '/', '/api/v1', '/api/v1/', '//api/v1//'])
      await new Gatehouse({ baseURL: local.url + end }).users.me();
    await new Gatehouse({ baseURL: `${local.url}/mine/api/v1` }).users.me();
    expect(local.asked.map(({ path }) => path)).toEqual([
      ...Array(5).fill('/api/v1/users/me'),
      '/mine/api/v1/users/me',
    ]);
  });

  it.each(['', '.', '..', undefined, null, 7, {}] as string[])('an id %j does not lead to another call', async (id) => {
    const local = await LocalServer.start(json(200, {}));
    locals.push(local);
    const api = new Gatehouse({ baseURL: local.url });
    await expect(api.users.get(id)).rejects.toThrow(TypeError);
    await expect(api.admin.users.revokeSessions(id)).rejects.toThrow('An id or a name in the path');
    expect(local.asked).toEqual([]);
    await api.users.get('a/../b?c#d');
    expect(local.asked[0].path).toBe('/api/v1/users/a%2F..%2Fb%3Fc%23d');
  });

  it('a password is not sent twice to be refused twice', async () => {
    const proxy = await LocalServer.proxy(server.url);
    locals.push(proxy);
    const guest = new Gatehouse({ baseURL: `${proxy.url}/` });
    await expect(guest.auth.login({ email: 'a@example.com', password: 'x' })).rejects.toMatchObject({ status: 401 });
    expect(proxy.asked).toHaveLength(1);
  });

  it('too many requests say for how long', async () => {
    const login = () => server.client().auth.login({ email: 'nobody@example.com', password: 'x' });
    let error = await failureOf(login());
    while (!(error instanceof RateLimitError)) error = await failureOf(login());
    expect(error).toMatchObject({ status: 429, code: 'rate_limited' });
    expect(error.retryAfter).toBeGreaterThan(0);
    expect(error.retryAfter).toBeLessThanOrEqual(300);
  });
});
