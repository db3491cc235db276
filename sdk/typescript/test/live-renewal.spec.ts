import { until } from '../../../test/support/uploads.js';
import { localStorageTokens, memoryTokens, type Tokens } from '../src/index.js';
import { Log, range, reaches, read, sequences, watch } from './live-support.js';
import { TestServer } from './support.js';

/** Renewed a fifth of it and a second before its end: more than a busy machine stands still. */
const TTL_S = 15;
const LIFETIMES = 2;

describe(`access tokens of ${TTL_S} seconds`, () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await TestServer.start({ JWT_ACCESS_TTL: String(TTL_S), SOCKET_EVENT_RATE: '10000/10' });
  });
  afterAll(() => server?.stop());

  it(`misses nothing over ${LIFETIMES} lifetimes, by one connection that stays and a stream that comes back`, async () => {
    const storage = memoryTokens();
    const kept = new Log<Tokens>();
    const tokens = {
      get: () => storage.get(),
      set: (next: Tokens | null) => {
        if (next) kept.push(next);
        return storage.set(next);
      },
    };
    const { api } = await server.user({ tokens });
    const admin = await server.admin();
    const live = api.broadcasting.connect();
    const states: string[] = [];
    live.on('state', (state, cause) => states.push(`${state} ${cause?.reason ?? ''}`));
    const { subscription, messages } = read(live, 'news', { after: 0 });
    const stream = watch(api, 'news', { after: 0 });
    await subscription.ready;
    const end = Date.now() + TTL_S * LIFETIMES * 1000;
    let count = 0;
    while (Date.now() < end) {
      await admin.broadcasting.publish({ channel: 'news', event: 'said', data: ++count });
      await until(() => stream.messages.items.length >= count, 'the stream');
    }
    await Promise.all([messages.atLeast(count), stream.messages.atLeast(count)]);
    expect(sequences(messages)).toEqual(range(1, count));
    expect(sequences(stream.messages)).toEqual(range(1, count));
    // It was renewed in time, each time.
    expect(states).toEqual(['connected ']);
    expect(kept.items.length).toBeGreaterThan(LIFETIMES);
    expect(stream.events.items.filter(({ type }) => type === 'subscribed').length).toBeGreaterThanOrEqual(LIFETIMES);
    await api.auth.logout();
    expect(live.closed?.reason).toBe('logged_out');
    await stream.end;
    expect(stream.events.items.at(-1)).toEqual({ type: 'ended', reason: 'logged_out' });
  });

  it('comes back when the token expired while the program stood still, as on a machine that slept', async () => {
    const { api } = await server.user();
    const live = api.broadcasting.connect();
    const { subscription } = read(live, 'news');
    await subscription.ready;
    const causes: unknown[] = [];
    live.on('state', (_state, cause) => causes.push(cause?.reason));
    // Nothing runs here meanwhile.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, TTL_S * 1000 + 500);
    await until(() => causes.length > 0, 'the end of the connection');
    expect(causes[0]).toBe('token_expired');
    await reaches(live, 'connected');
    live.close();
  });

  it('shares what another tab has renewed', async () => {
    const items = new Map<string, string>();
    const storage = {
      getItem: (key: string) => items.get(key) ?? null,
      setItem: (key: string, value: string) => void items.set(key, value),
      removeItem: (key: string) => void items.delete(key),
    };
    Object.assign(globalThis, { localStorage: storage });
    const tabs = [
      await server.user({ tokens: localStorageTokens() }),
      { api: server.client({ tokens: localStorageTokens() }) },
    ];
    const lives = tabs.map(({ api }) => api.broadcasting.connect());
    const states = lives.map((live) => {
      const seen: string[] = [];
      live.on('state', (state) => seen.push(state));
      return seen;
    });
    const before = items.get('gatehouse.tokens');
    await Promise.all(lives.map((live) => reaches(live, 'connected')));
    const end = Date.now() + TTL_S * 2_500;
    await until(() => Date.now() > end, 'two lifetimes');
    expect(states).toEqual([['connected'], ['connected']]);
    expect(items.get('gatehouse.tokens')).not.toBe(before);
    await tabs[0].api.auth.logout();
    await reaches(lives[1], 'closed');
    expect(lives[1].closed?.reason).toBe('logged_out');
    delete (globalThis as { localStorage?: unknown }).localStorage;
  });
});
