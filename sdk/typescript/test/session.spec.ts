import { request } from 'node:http';
import { until } from '../../../test/support/uploads.js';
import { AuthenticationError, ConnectionError, Gatehouse, memoryTokens, type Tokens } from '../src/index.js';
import { failureOf, fault, json, LocalServer, PASSWORD, TestServer, type Watch } from './support.js';

const REFRESH = '/api/v1/auth/refresh';

describe('the session', () => {
  let server: TestServer;
  let proxy: LocalServer;
  /** Answers a request in place of the server by returning true. */
  let intercept: Watch | undefined;
  beforeAll(async () => {
    server = await TestServer.start({ JWT_ACCESS_TTL: '6' });
    proxy = await LocalServer.proxy(server.url, (...call) => intercept?.(...call) ?? false);
  });
  beforeEach(() => {
    intercept = undefined;
  });
  afterAll(async () => {
    await proxy.stop();
    await server.stop();
  });

  /** Signed in through the proxy, which has forgotten what has been asked so far. */
  const signedIn = async () => {
    const tokens = memoryTokens();
    const user = await server.user({ tokens, baseURL: proxy.url });
    proxy.asked.length = 0;
    return { ...user, tokens };
  };
  const kept = async (tokens: ReturnType<typeof memoryTokens>) => (await tokens.get()) as Tokens;
  const refreshes = () => proxy.count(REFRESH);
  const together = (count: number, call: () => Promise<unknown>) => Promise.all(Array.from({ length: count }, call));

  it('lasts over the ends of its tokens', async () => {
    const { api, tokens } = await signedIn();
    const { expires_at, expires_in } = await kept(tokens);
    // Not later than the token, whose times are whole seconds.
    expect(expires_at).toBeLessThanOrEqual(Date.now() + (expires_in - 1) * 1000);
    while (refreshes() < 3) await api.users.me();
    await api.users.me();
  });

  it.each([
    [900, 29_000, 1],
    [900, 60_000, 0],
    [10, 1_500, 1],
    [10, 8_000, 0],
  ])('of %i s with %i ms left, is renewed %i times', async (expires_in, left, times) => {
    const { api, tokens } = await signedIn();
    await tokens.set({ ...(await kept(tokens)), expires_in, expires_at: Date.now() + left });
    await api.users.me();
    expect(proxy.asked.map(({ path }) => path)).toEqual([...Array(times).fill(REFRESH), '/api/v1/users/me']);
  });

  it('is renewed once for 20 calls at the end of the token', async () => {
    const { api, tokens } = await signedIn();
    await tokens.set({ ...(await kept(tokens)), expires_at: Date.now() });
    await together(20, () => api.users.me());
    expect(refreshes()).toBe(1);
    expect(proxy.asked).toHaveLength(21);
  });

  it('is renewed once for 20 calls that were refused, which are made again', async () => {
    const { api, tokens } = await signedIn();
    const end = Date.now() + 3_600_000;
    await tokens.set({ ...(await kept(tokens)), access_token: 'not.a.token', expires_at: end, expires_in: 3600 });
    await together(20, () => api.users.updateMe({ bio: 'x' }));
    expect(refreshes()).toBe(1);
    expect(proxy.asked.filter(({ status }) => status === 401)).toHaveLength(20);
    expect(proxy.asked).toHaveLength(41);
  });

  it('that was ended elsewhere is forgotten, and listeners are told once', async () => {
    const { api, email, tokens } = await signedIn();
    const told: string[] = [];
    api.auth.onChange((event) => told.push(event));
    const other = server.client();
    await other.auth.login({ email, password: PASSWORD });
    await other.auth.logoutAll();
    const errors = await together(5, () => failureOf(api.users.me()));
    for (const error of errors) expect(error).toBeInstanceOf(AuthenticationError);
    expect(errors).toContainEqual(expect.objectContaining({ code: 'invalid_refresh_token' }));
    expect(await tokens.get()).toBeNull();
    expect(told).toEqual(['signed_out']);
    expect(refreshes()).toBe(1);
    await expect(api.users.me()).rejects.toMatchObject({ code: 'not_authenticated' });
  });

  it('outlives a server that is away', async () => {
    const { api, tokens, id } = await signedIn();
    const before = await kept(tokens);
    await tokens.set({ ...before, expires_at: Date.now() - 1 });
    await server.kill();
    await expect(api.users.me()).rejects.toThrow(ConnectionError);
    expect((await kept(tokens)).refresh_token).toBe(before.refresh_token);
    await server.restart();
    expect((await api.users.me()).id).toBe(id);
    expect((await kept(tokens)).refresh_token).not.toBe(before.refresh_token);
  });

  it('goes on with a token that still holds while it cannot be renewed', async () => {
    const { api, tokens } = await signedIn();
    intercept = (incoming, response) => {
      if (incoming.url === REFRESH) json(503, fault(503, 'unavailable'))(incoming, response, '');
      return incoming.url === REFRESH;
    };
    // By this clock it is about to end; the server gives it longer.
    await tokens.set({ ...(await kept(tokens)), expires_in: 3600, expires_at: Date.now() + 29_000 });
    await api.users.me({ timeout: 5_000 });
    expect(refreshes()).toBe(3);
    await tokens.set({ ...(await kept(tokens)), expires_at: Date.now() - 1 });
    await expect(api.users.me()).rejects.toMatchObject({ code: 'unavailable' });
    expect(await tokens.get()).not.toBeNull();
  });

  /** How it goes on after a refresh of which the server's answer does not arrive. */
  async function loseRefresh(lose: 'break' | 'hold') {
    const { api, tokens, id } = await signedIn();
    let isLost = false;
    intercept = (incoming, response, body) => {
      if (incoming.url !== REFRESH || isLost) return false;
      isLost = true;
      const { method, headers } = incoming;
      // The server has renewed the token; nobody hears of it.
      request(`${server.url}${REFRESH}`, { method, headers }, (answer) => {
        answer.resume();
        if (lose === 'break') response.destroy();
      }).end(body);
      return true;
    };
    await tokens.set({ ...(await kept(tokens)), expires_at: Date.now() - 1 });
    const began = performance.now();
    const outcome = await api.users.me().then(
      (me) => me.id === id,
      (error: unknown) => error,
    );
    return { isLost, outcome, tookMs: performance.now() - began };
  }

  it.each(['break', 'hold'] as const)('goes on when the answer of a refresh was lost (%s)', async (lose) => {
    let seen = await loseRefresh(lose);
    // The server takes the former token for ten seconds, and the client waits for eight: a machine that is held up between shows nothing.
    while (seen.tookMs > 9_500) seen = await loseRefresh(lose);
    expect(seen).toMatchObject({ isLost: true, outcome: true });
  });

  it('is shared by two clients on one storage', async () => {
    const { api, tokens } = await signedIn();
    const other = new Gatehouse({ baseURL: proxy.url, tokens });
    for (let round = 0; round < 5; round++) {
      await tokens.set({ ...(await kept(tokens)), expires_at: Date.now() - 1 });
      await Promise.all([together(5, () => api.users.me()), together(5, () => other.users.me())]);
    }
    expect(refreshes()).toBeGreaterThanOrEqual(5);
    expect(refreshes()).toBeLessThanOrEqual(10);
    expect(proxy.asked.map(({ status }) => status).filter((status) => status !== 200)).toEqual([]);
    await api.auth.logout();
    expect(await other.auth.isSignedIn()).toBe(false);
    await expect(other.users.me()).rejects.toThrow(AuthenticationError);
  });

  it('ends by logout also when the server is away, and after the token’s end', async () => {
    const { api, tokens, email } = await signedIn();
    await until(async () => (await kept(tokens)).expires_at < Date.now(), 'the end of the token');
    await api.auth.logout();
    expect(proxy.asked.map(({ path, status }) => [path, status])).toEqual([
      [REFRESH, 200],
      ['/api/v1/auth/logout', 204],
    ]);
    await api.auth.login({ email, password: PASSWORD });
    intercept = (incoming) => !!incoming.socket.destroy();
    await expect(api.auth.logout()).rejects.toThrow(ConnectionError);
    expect(await tokens.get()).toBeNull();
  });
});
