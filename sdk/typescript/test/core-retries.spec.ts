import { until } from '../../../test/support/uploads.js';
import { ConnectionError, Gatehouse, type GatehouseOptions, TimeoutError } from '../src/index.js';
import { failureOf, fault, type Handler, json, LocalServer, reset } from './support.js';

const USER = { id: 'u' };
const unavailable = json(503, fault(503, 'unavailable'), { 'Retry-After': '0' });
const limited = json(429, fault(429, 'rate_limit_exceeded'), { 'Retry-After': '0' });
const gateway: Handler = (_request, response) => void response.writeHead(502).end('<html>');
const silent: Handler = () => {};
/** The headers and the beginning of the body, and then nothing more. */
const cutOff: Handler = (incoming, response) => {
  response.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': '100' }).write('{"id":');
  setImmediate(() => incoming.socket.destroy());
};

describe('retries, time-outs and aborts', () => {
  let local: LocalServer;
  let api: Gatehouse;
  afterEach(() => local.stop());

  const answering = async (answers: Handler[], options: Partial<GatehouseOptions> = {}) => {
    local = await LocalServer.answering(...answers);
    api = new Gatehouse({ baseURL: local.url, ...options });
  };

  it.each([
    ['503', unavailable],
    ['429', limited],
    ['502 of a proxy', gateway],
    ['a broken connection', reset],
    ['a body that breaks off', cutOff],
  ])('after %s the same call is made again, twice at most', async (_name, answer) => {
    await answering([answer, answer, json(200, USER)]);
    expect(await api.users.updateMe({ bio: 'x' })).toEqual(USER);
    const [first, ...others] = local.asked.map(({ method, path, body }) => ({ method, path, body }));
    expect(first).toEqual({ method: 'PATCH', path: '/api/v1/users/me', body: '{"bio":"x"}' });
    expect(others).toEqual([first, first]);
    await local.stop();
    await answering([answer]);
    await failureOf(api.users.me());
    expect(local.asked).toHaveLength(3);
  });

  it.each([400, 401, 403, 404, 409, 413, 422, 500, 507])('%i is not tried again', async (status) => {
    await answering([json(status, fault(status, 'x'))]);
    await expect(api.users.me()).rejects.toMatchObject({ status });
    expect(local.asked).toHaveLength(1);
  });

  const once: Record<string, (api: Gatehouse) => Promise<unknown>> = {
    'auth.register': (api) => api.auth.register({ email: 'a@b.c', password: 'x' }),
    'auth.login': (api) => api.auth.login({ email: 'a@b.c', password: 'x' }),
    'auth.changePassword': (api) => api.auth.changePassword({ current_password: 'x', new_password: 'y' }),
    'auth.forgotPassword': (api) => api.auth.forgotPassword('a@b.c'),
    'auth.mfa.setup': (api) => api.auth.mfa.setup({ password: 'x' }),
    'users.apiKeys.create': (api) => api.users.apiKeys.create({ name: 'x' }),
    'users.deleteMe': (api) => api.users.deleteMe('x'),
    'a volatile publish': (api) => api.broadcasting.publish({ channel: 'c', event: 'e', durable: false }),
  };
  it.each(Object.keys(once))('%s is sent once only', async (name) => {
    for (const answer of [reset, unavailable, limited, cutOff]) {
      await answering([answer]);
      await failureOf(once[name](api));
      expect(local.asked).toHaveLength(1);
      await local.stop();
    }
  });

  it('a durable message has a key, so that it may be sent again', async () => {
    await answering([reset, unavailable, json(201, { id: 'm' })]);
    await api.broadcasting.publish({ channel: 'c', event: 'e', data: null });
    const bodies = local.asked.map(({ body }) => body);
    expect(new Set(bodies).size).toBe(1);
    expect(JSON.parse(bodies[0])).toEqual({
      channel: 'c',
      event: 'e',
      data: null,
      idempotency_key: expect.stringMatching(/^[0-9a-f]{32}$/),
    });
    await api.broadcasting.publish({ channel: 'c', event: 'e', idempotency_key: 'mine' });
    expect(JSON.parse(local.asked[3].body).idempotency_key).toBe('mine');
    await api.broadcasting.publish({ channel: 'c', event: 'e', idempotency_key: undefined });
    expect(JSON.parse(local.asked[4].body).idempotency_key).toMatch(/^[0-9a-f]{32}$/);
  });

  describe('DELETE', () => {
    const gone = json(404, fault(404, 'user_not_found'));

    it.each([
      ['a broken connection', reset],
      ['a body that breaks off', cutOff],
      ['504 of a proxy', json(504, '')],
    ])('answered 404 after %s is done', async (_name, lost) => {
      await answering([lost, gone]);
      await expect(api.users.delete('u')).resolves.toBeUndefined();
      expect(local.asked).toHaveLength(2);
    });

    it.each([
      ['at once', [gone]],
      ['after 503, which did nothing', [unavailable, gone]],
    ])('answered 404 %s is not found', async (_name, answers) => {
      await answering(answers);
      await expect(api.users.delete('u')).rejects.toMatchObject({ code: 'user_not_found' });
    });
  });

  it('maxRetries: 0 tries once', async () => {
    await answering([unavailable], { maxRetries: 0 });
    await failureOf(api.users.me());
    expect(local.asked).toHaveLength(1);
  });

  it('Retry-After is obeyed, and one of more than a minute is told at once', async () => {
    await answering([json(429, fault(429, 'x'), { 'Retry-After': '1' }), json(200, USER)]);
    const began = Date.now();
    await api.users.me();
    expect(Date.now() - began).toBeGreaterThanOrEqual(990);
    await local.stop();
    await answering([json(503, fault(503, 'x'), { 'Retry-After': '61' })]);
    await expect(api.users.me()).rejects.toMatchObject({ retryAfter: 61 });
    expect(local.asked).toHaveLength(1);
  });

  it('a time-out holds for each attempt, and is tried again', async () => {
    await answering([silent, silent, json(200, USER)], { timeout: 3_000 });
    expect(await api.users.me()).toEqual(USER);
    await local.stop();
    await answering([silent], { maxRetries: 0 });
    await expect(api.users.me({ timeout: 50 })).rejects.toThrow(TimeoutError);
    await local.stop();
    const slowBody: Handler = (_request, response) => void response.writeHead(200).write('{');
    await answering([slowBody], { timeout: 100, maxRetries: 0 });
    await expect(api.users.me()).rejects.toThrow(TimeoutError);
  });

  it('timeout: 0 waits', async () => {
    const late: Handler = (incoming, response) => void setTimeout(() => json(200, USER)(incoming, response, ''), 200);
    await answering([late], { timeout: 50, maxRetries: 0 });
    expect(await api.users.me({ timeout: 0 })).toEqual(USER);
  });

  describe('a token that has to be renewed', () => {
    const REFRESH = '/api/v1/auth/refresh';
    const ended = { access_token: 'a', refresh_token: 'r', expires_at: 0, expires_in: 900 };
    const renewing = async (refresh: Handler, options: Partial<GatehouseOptions> = {}) => {
      local = await LocalServer.start((...call) => (call[0].url === REFRESH ? refresh : json(200, USER))(...call));
      api = new Gatehouse({ baseURL: local.url, tokens: { get: () => ended, set: () => {} }, ...options });
    };

    it('has to be there within the time of the call', async () => {
      await renewing(silent);
      await expect(api.users.me({ timeout: 100 })).rejects.toThrow('No answer within 0.1 s');
      // It goes on for whoever else waits for it, and may arrive later.
      await until(() => local.asked.length > 0, 'the renewal');
      expect(local.asked.map(({ path }) => path)).toEqual([REFRESH]);
    });

    it.each([
      ['503', unavailable],
      ['a broken connection', reset],
    ])('and is not, after %s, has had its attempts', async (_name, answer) => {
      await renewing(answer);
      await failureOf(api.users.me());
      expect(local.asked.map(({ path }) => path)).toEqual([REFRESH, REFRESH, REFRESH]);
    });

    it('a storage that never answers does not hold a call for longer', async () => {
      await renewing(silent, { tokens: { get: () => new Promise(() => {}), set: () => {} } });
      await expect(api.users.me({ timeout: 50 })).rejects.toThrow(TimeoutError);
      expect(local.asked).toEqual([]);
    });
  });

  describe('a redirect', () => {
    let other: LocalServer;
    beforeEach(async () => (other = await LocalServer.start(json(200, USER))));
    afterEach(() => other.stop());
    const elsewhere =
      (status: number): Handler =>
      ({ url }, response) =>
        void response.writeHead(status, { Location: `${other.url}${url}` }).end();

    it.each([301, 302, 303, 307, 308])('%i is not followed by what writes', async (status) => {
      const kept = { access_token: 'a', refresh_token: 'r', expires_at: 0, expires_in: 900 };
      await answering([elsewhere(status)], { tokens: { get: () => kept, set: () => {} } });
      const calls: [string, () => Promise<unknown>][] = [
        ['/api/v1/auth/login', () => api.auth.login({ email: 'a@b.c', password: 'secret' })],
        ['/api/v1/auth/refresh', () => api.users.me()],
      ];
      for (const [path, call] of calls) {
        local.asked.length = 0;
        const error = await failureOf(call());
        expect(error).toBeInstanceOf(ConnectionError);
        expect(error.message).toBe(`POST ${local.url}${path}: The server redirects; is baseURL right (https)?`);
        expect(local.asked).toHaveLength(1);
      }
      const guest = new Gatehouse({ baseURL: local.url });
      for (const write of [
        () => guest.users.updateMe({ bio: 'x' }),
        () => guest.users.delete('u'),
        () => guest.uploads.create(new File(['x'], 'x')),
      ])
        await expect(write()).rejects.toThrow('The server redirects');
      expect(other.asked).toEqual([]);
    });

    it('is followed by what reads, without credentials', async () => {
      await answering([elsewhere(307)], { apiKey: 'gh_key' });
      expect(await api.users.me()).toEqual(USER);
      expect(local.asked[0].headers.authorization).toBe('Bearer gh_key');
      expect(other.asked[0].headers.authorization).toBeUndefined();
    });
  });

  it('many calls may share one signal, of whose listeners Node.js would warn', async () => {
    const kept = { access_token: 'a', refresh_token: 'r', expires_at: Infinity, expires_in: 900 };
    const tokens = { get: () => new Promise<typeof kept>((resolve) => setImmediate(resolve, kept)), set: () => {} };
    await answering([unavailable, json(200, USER)], { tokens });
    const { signal } = new AbortController();
    const listened = jest.spyOn(signal, 'addEventListener');
    await Promise.all(Array.from({ length: 30 }, () => api.users.me({ signal })));
    expect(local.asked.length).toBeGreaterThan(30);
    expect(listened).not.toHaveBeenCalled();
  });

  describe('abort', () => {
    const reason = new Error('enough');

    it('before, while waiting for an answer, and while waiting to try again', async () => {
      await answering([silent]);
      await expect(api.users.me({ signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
      expect(local.asked).toEqual([]);
      const waiting = new AbortController();
      const call = failureOf(api.users.me({ signal: waiting.signal }));
      while (local.asked.length === 0) await new Promise(setImmediate);
      waiting.abort(reason);
      expect(await call).toBe(reason);
      await local.stop();

      await answering([json(503, fault(503, 'x'), { 'Retry-After': '50' })]);
      const between = new AbortController();
      const retried = failureOf(api.users.me({ signal: between.signal }));
      while (local.asked.length === 0) await new Promise(setImmediate);
      setTimeout(() => between.abort(reason), 100);
      expect(await retried).toBe(reason);
      expect(local.asked).toHaveLength(1);
    });

    it('while the body comes', async () => {
      await answering([(_request, response) => void response.writeHead(200).write('{')]);
      const controller = new AbortController();
      const call = failureOf(api.users.me({ signal: controller.signal }));
      while (local.asked.length === 0) await new Promise(setImmediate);
      setTimeout(() => controller.abort(), 50);
      expect((await call).name).toBe('AbortError');
    });

    it('while somebody else’s refresh is awaited, which goes on', async () => {
      const pair = { access_token: 'a', refresh_token: 'r', token_type: 'bearer', expires_in: 900 };
      let finish = () => {};
      const refresh: Handler = (...call) => {
        finish = () => json(200, { ...pair, access_token: 'b', refresh_token: 's' })(...call);
      };
      await answering([json(200, pair), refresh, json(200, USER)]);
      await api.auth.login({ email: 'a@b.c', password: 'x' });
      const refreshing = api.auth.refresh();
      while (local.asked.length < 2) await new Promise(setImmediate);
      const kept = { access_token: 'a', refresh_token: 'r', expires_at: 0, expires_in: 900 };
      const other = new Gatehouse({ baseURL: local.url, tokens: { get: () => kept, set: () => {} } });
      const controller = new AbortController();
      const call = failureOf(other.users.me({ signal: controller.signal }));
      controller.abort(reason);
      expect(await call).toBe(reason);
      finish();
      await refreshing;
    });

    it('ends the iteration over pages', async () => {
      const page = { items: [USER], total: 300, page: 1, size: 100, pages: 3, skip: 0, limit: 100 };
      await answering([json(200, page)]);
      const controller = new AbortController();
      const seen: unknown[] = [];
      const read = async () => {
        for await (const user of api.users.iterate({}, { signal: controller.signal })) {
          seen.push(user);
          controller.abort(reason);
        }
      };
      await expect(read()).rejects.toBe(reason);
      expect(seen).toEqual([USER]);
    });
  });

  it('a page is asked for when it is needed', async () => {
    const page = (page: number) => ({ items: [page], total: 3, page, size: 1, pages: 3, skip: 0, limit: 1 });
    await answering([json(200, page(1)), json(200, page(2)), json(200, page(3))]);
    for await (const item of api.users.iterate({ search: 'x y' })) if ((item as unknown) === 2) break;
    expect(local.asked.map(({ path }) => path)).toEqual([
      '/api/v1/users?search=x+y&page=1&size=100',
      '/api/v1/users?search=x+y&page=2&size=100',
    ]);
  });

  it('errors of other kinds come as they are', async () => {
    await answering([json(200, USER)]);
    const failing = { get: () => Promise.reject(reset), set: () => {} };
    await expect(new Gatehouse({ baseURL: local.url, tokens: failing }).users.me()).rejects.toBe(reset);
    const own = new Gatehouse({ baseURL: local.url, maxRetries: 0, fetch: () => Promise.reject(new TypeError('no')) });
    await expect(own.users.me()).rejects.toThrow(ConnectionError);
  });
});
