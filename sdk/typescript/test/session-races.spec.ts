import { inspect } from 'node:util';
import { Gatehouse, localStorageTokens, memoryTokens, type Tokens, type TokenStorage } from '../src/index.js';
import { failureOf, fault, type Handler, json, LocalServer } from './support.js';

const USER = { id: 'u' };
const LOGIN = { email: 'a@example.com', password: 'x' };
const pair = (name: string) => ({
  access_token: `access-${name}`,
  refresh_token: `refresh-${name}`,
  token_type: 'bearer',
  expires_in: 900,
});

const raise = () => {
  throw new Error('SecurityError');
};

/** As a database or a cookie store of another process: everything takes a while. */
function slowTokens(): TokenStorage {
  const tokens = memoryTokens();
  const soon = () => new Promise((resolve) => setTimeout(resolve, 5));
  return {
    get: () => soon().then(() => tokens.get()),
    set: (value) => soon().then(() => tokens.set(value)),
  };
}

describe('what happens while tokens are renewed', () => {
  let local: LocalServer;
  /** The name of the next login's tokens. */
  let next: string;
  /** The refresh that waits for its answer. */
  let held: { answer(status: number, body: unknown): void }[];
  let others: Handler;
  beforeEach(async () => {
    [next, held, others] = ['1', [], json(200, USER)];
    local = await LocalServer.start((...call) => {
      const [{ url }] = call;
      if (url === '/api/v1/auth/login') return json(200, pair(next))(...call);
      if (url === '/api/v1/auth/logout') return json(204, undefined)(...call);
      if (url === '/api/v1/auth/refresh')
        return void held.push({ answer: (status, body) => json(status, body)(...call) });
      return others(...call);
    });
  });
  afterEach(() => local.stop());

  const until = async (condition: () => boolean) => {
    while (!condition()) await new Promise((resolve) => setTimeout(resolve, 1));
  };
  const refreshIsHeld = () => until(() => held.length > 0);
  const tokensSent = () =>
    local.asked.filter(({ path }) => path === '/api/v1/users/me').map(({ headers }) => headers.authorization);

  for (const [kind, storage] of [
    ['in memory', memoryTokens],
    ['slow', slowTokens],
  ] as const) {
    describe(`with a storage ${kind}`, () => {
      const signIn = async () => {
        const tokens = storage();
        const api = new Gatehouse({ baseURL: local.url, tokens, maxRetries: 0 });
        await api.auth.login(LOGIN);
        return { api, tokens };
      };

      it('a logout stands: the renewed tokens are not kept', async () => {
        const { api, tokens } = await signIn();
        const told: string[] = [];
        api.auth.onChange((event) => told.push(event));
        const refreshing = failureOf(api.auth.refresh());
        await refreshIsHeld();
        await api.auth.logout();
        held[0].answer(200, pair('late'));
        expect(await refreshing).toMatchObject({ name: 'AuthenticationError', code: 'not_authenticated' });
        expect(await tokens.get()).toBeNull();
        expect(told).toEqual(['signed_out']);
      });

      it('a logout while the renewed tokens are written stands', async () => {
        const { api, tokens } = await signIn();
        const refreshing = api.auth.refresh().catch(() => undefined);
        await refreshIsHeld();
        held[0].answer(200, pair('late'));
        await Promise.all([api.auth.logout(), refreshing]);
        expect(await tokens.get()).toBeNull();
      });

      it.each([
        [200, pair('late')],
        [401, fault(401, 'invalid_refresh_token')],
      ])('a login stands, whatever the refresh brings (%i)', async (status, body) => {
        const { api, tokens } = await signIn();
        const refreshing = api.auth.refresh().catch(() => undefined);
        await refreshIsHeld();
        next = '2';
        await api.auth.login(LOGIN);
        held[0].answer(status, body);
        await refreshing;
        expect(await tokens.get()).toMatchObject({ access_token: 'access-2', refresh_token: 'refresh-2' });
        expect(await api.users.me()).toEqual(USER);
      });
    });
  }

  it('what one user began is not done as another', async () => {
    const tokens = memoryTokens();
    const api = new Gatehouse({ baseURL: local.url, tokens });
    await api.auth.login(LOGIN);
    // Refused, and waiting for another token.
    others = json(401, fault(401, 'invalid_token'));
    const refused = failureOf(api.users.me());
    await refreshIsHeld();
    next = '2';
    await api.auth.login(LOGIN);
    held[0].answer(200, pair('late'));
    expect(await refused).toMatchObject({ name: 'AuthenticationError', code: 'not_authenticated' });
    // Waiting for another attempt.
    others = json(503, fault(503, 'unavailable'), { 'Retry-After': '5' });
    const waiting = failureOf(api.users.me());
    await until(() => tokensSent().length === 2);
    next = '3';
    await api.auth.login(LOGIN);
    expect(await waiting).toMatchObject({ name: 'AuthenticationError' });
    expect(tokensSent()).toEqual(['Bearer access-1', 'Bearer access-2']);
  });

  it('a session without tokens is not renewed', async () => {
    const api = new Gatehouse({ baseURL: local.url });
    await expect(api.auth.refresh()).rejects.toMatchObject({ code: 'not_authenticated', message: 'Not signed in' });
    others = json(401, fault(401, 'not_authenticated'));
    await expect(api.users.me()).rejects.toMatchObject({ status: 401 });
    await api.auth.logout();
    expect(local.asked.map(({ path }) => path)).toEqual(['/api/v1/users/me']);
  });

  describe('a logout', () => {
    it('is heard of before the server is told, and holds for what is called after it', async () => {
      const tokens = memoryTokens();
      const api = new Gatehouse({ baseURL: local.url, tokens, maxRetries: 0 });
      await api.auth.login(LOGIN);
      const told: string[] = [];
      api.auth.onChange((event) => told.push(`${event} after ${local.count('/api/v1/auth/logout')}`));
      const leaving = api.auth.logout();
      const after = api.users.me();
      expect(await api.auth.isSignedIn()).toBe(false);
      await Promise.all([leaving, after]);
      expect(told).toEqual(['signed_out after 0']);
      expect(tokensSent()).toEqual([undefined]);
      const [{ headers }] = local.asked.filter(({ path }) => path === '/api/v1/auth/logout');
      expect(headers.authorization).toBe('Bearer access-1');
      await api.auth.logout();
      expect(local.count('/api/v1/auth/logout')).toBe(1);
    });

    it('that the server did not hear of is thrown after it', async () => {
      const api = new Gatehouse({ baseURL: local.url, maxRetries: 0 });
      await api.auth.login(LOGIN);
      await local.stop();
      const leaving = failureOf(api.auth.logoutAll());
      expect(await api.auth.isSignedIn()).toBe(false);
      expect(await leaving).toMatchObject({ name: 'ConnectionError' });
    });
  });

  describe.each(['at once', 'later'])('a storage that throws %s', (when) => {
    let full: Error | null;
    let memory: TokenStorage;
    let api: Gatehouse;
    beforeEach(() => {
      full = null;
      memory = memoryTokens();
      const set = (value: Tokens | null) => {
        if (full) throw full;
        void memory.set(value);
      };
      const tokens = {
        get: () => memory.get(),
        set: when === 'later' ? async (value: Tokens | null) => set(value) : set,
      };
      api = new Gatehouse({ baseURL: local.url, tokens, maxRetries: 0 });
    });
    const renewed = async (name: string) => {
      const refreshing = api.auth.refresh();
      const count = held.length;
      await until(() => held.length > count);
      held[count].answer(200, pair(name));
      await refreshing;
    };

    it('fails a login, and no later one', async () => {
      full = new Error('the disk is full');
      await expect(api.auth.login(LOGIN)).rejects.toBe(full);
      expect(await api.auth.isSignedIn()).toBe(false);
      full = null;
      await api.auth.login(LOGIN);
      expect(await api.auth.isSignedIn()).toBe(true);
    });

    it('does not fail a refresh: memory has the tokens until it takes some again', async () => {
      await api.auth.login(LOGIN);
      full = new Error('the disk is full');
      await renewed('2');
      await api.users.me();
      await renewed('3');
      await api.users.me();
      expect(tokensSent()).toEqual(['Bearer access-2', 'Bearer access-3']);
      expect(local.asked.at(-2)?.body).toContain('refresh-2');
      expect(await memory.get()).toMatchObject({ access_token: 'access-1' });
      full = null;
      await renewed('4');
      expect(await memory.get()).toMatchObject({ access_token: 'access-4' });
    });

    it('has the last word when somebody else has changed it', async () => {
      await api.auth.login(LOGIN);
      full = new Error('the disk is full');
      await renewed('2');
      await memory.set({
        access_token: 'theirs',
        refresh_token: 'r',
        expires_at: Date.now() + 900_000,
        expires_in: 900,
      });
      await api.users.me();
      await memory.set(null);
      expect(await api.auth.isSignedIn()).toBe(false);
      expect(tokensSent()).toEqual(['Bearer theirs']);
    });

    it('at a logout is told after the server', async () => {
      await api.auth.login(LOGIN);
      full = new Error('the disk is full');
      await expect(api.auth.logout()).rejects.toBe(full);
      expect(local.count('/api/v1/auth/logout')).toBe(1);
      expect(await api.auth.isSignedIn()).toBe(false);
    });
  });

  it.each([undefined, {}, 'x', { access_token: 'a' }])('a storage that has %j has nobody', async (found) => {
    const api = new Gatehouse({ baseURL: local.url, tokens: { get: () => found as any, set: () => {} } });
    expect(await api.auth.isSignedIn()).toBe(false);
    expect(await api.users.me()).toEqual(USER);
    expect(tokensSent()).toEqual([undefined]);
  });

  it('a client that has renewed its tokens prints none', async () => {
    const kept = memoryTokens();
    let isFull = false;
    const set = (value: Tokens | null) => {
      if (isFull) throw new Error('full');
      void kept.set(value);
    };
    const api = new Gatehouse({ baseURL: local.url, tokens: { get: () => kept.get(), set } });
    const shown = () => `${inspect(api, { depth: null, showHidden: true })} ${JSON.stringify(api)}`;
    await api.auth.login(LOGIN);
    for (isFull of [false, true]) {
      const refreshing = api.auth.refresh();
      await refreshIsHeld();
      expect(shown()).not.toMatch(/(access|refresh)-\w/);
      held.pop()?.answer(200, pair('2'));
      await refreshing;
      expect(shown()).not.toMatch(/(access|refresh)-\w/);
    }
  });

  it('a listener that throws hinders nobody; its error counts as uncaught', async () => {
    const uncaught: (() => void)[] = [];
    const queued = jest.spyOn(globalThis, 'queueMicrotask').mockImplementation((task) => void uncaught.push(task));
    try {
      const api = new Gatehouse({ baseURL: local.url });
      const told: string[] = [];
      api.auth.onChange(() => {
        throw new Error('of the listener');
      });
      api.auth.onChange((event) => told.push(event));
      await api.auth.login(LOGIN);
      await api.auth.logout();
      expect(told).toEqual(['signed_in', 'signed_out']);
      const own = uncaught.filter((task) => `${task}`.includes('throw error'));
      expect(own).toHaveLength(2);
      expect(own[0]).toThrow('of the listener');
    } finally {
      queued.mockRestore();
    }
  });

  it('localStorageTokens: without localStorage they are in memory', async () => {
    const some: Tokens = { access_token: 'a', refresh_token: 'r', expires_at: 1, expires_in: 1 };
    const absent = [{ value: undefined }, { get: () => raise() }];
    for (const how of absent) {
      Object.defineProperty(globalThis, 'localStorage', { ...how, configurable: true });
      const tokens = localStorageTokens();
      expect(await tokens.get()).toBeNull();
      await tokens.set(some);
      expect(await tokens.get()).toEqual(some);
    }
  });

  it('localStorageTokens: nothing, what is not JSON, and what are no tokens is nobody', async () => {
    const items = new Map<string, string>();
    const fake = {
      getItem: (key: string) => items.get(key) ?? null,
      setItem: (key: string, value: string) => void items.set(key, value),
      removeItem: (key: string) => void items.delete(key),
    };
    Object.defineProperty(globalThis, 'localStorage', { value: fake, configurable: true });
    const tokens = localStorageTokens();
    for (const text of [null, '{', 'null', '7', '"x"', '[]', '{}']) {
      if (text === null) items.clear();
      else items.set('gatehouse.tokens', text);
      expect([text, await tokens.get()]).toEqual([text, null]);
    }
    const some: Tokens = { access_token: 'a', refresh_token: 'r', expires_at: 1, expires_in: 1 };
    await tokens.set(some);
    expect(await tokens.get()).toEqual(some);
    expect(await localStorageTokens('another').get()).toBeNull();
    await tokens.set(null);
    expect(items.size).toBe(0);
  });
});
