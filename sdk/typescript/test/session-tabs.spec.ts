import type { Browser, BrowserContext, Page } from 'playwright-core';
import { inBrowser, launchBrowser, startPages } from './browser.js';
import { LocalServer, PASSWORD, TestServer } from './support.js';

const REFRESH = '/api/v1/auth/refresh';
const ROUNDS = 5;

/** What the page has made for the test. */
declare const api: import('../src/index.js').Gatehouse;

inBrowser('Tabs that share a session')('two tabs with one localStorage', () => {
  let pages: Awaited<ReturnType<typeof startPages>>;
  let server: TestServer;
  let proxy: LocalServer;
  let browser: Browser;
  let context: BrowserContext;
  let beforeRefresh: () => Promise<unknown>;

  beforeAll(async () => {
    pages = await startPages();
    server = await TestServer.start({ CORS_ORIGINS: pages.origin });
    proxy = await LocalServer.proxy(server.url, async ({ method, url }) => {
      if (method === 'POST' && url === REFRESH) await beforeRefresh();
      return false;
    });
    browser = await launchBrowser();
  });
  beforeEach(async () => {
    context = await browser.newContext();
    beforeRefresh = () => Promise.resolve();
  });
  afterEach(() => context.close());
  afterAll(async () => {
    await browser?.close();
    await proxy?.stop();
    await server?.stop();
    await pages?.stop();
  });

  const open = async (): Promise<Page> => {
    const page = await context.newPage();
    await page.goto(pages.origin);
    await page.evaluate(
      `import('@gatehouse/client').then(({ Gatehouse, localStorageTokens }) => {
        globalThis.api = new Gatehouse({ baseURL: '${proxy.url}', tokens: localStorageTokens() });
      })`,
    );
    return page;
  };
  const signIn = async (page: Page) => {
    const { email } = await server.user();
    await page.evaluate((input) => api.auth.login(input).then(() => undefined), { email, password: PASSWORD });
  };
  /** The access token is about to end, as both tabs see it. */
  const age = async (one: Page, two: Page) => {
    const aged = await one.evaluate(() => {
      const tokens = JSON.parse(localStorage.getItem('gatehouse.tokens') ?? '');
      const text = JSON.stringify({ ...tokens, expires_at: Date.now() });
      localStorage.setItem('gatehouse.tokens', text);
      return text;
    });
    await two.waitForFunction((text) => localStorage.getItem('gatehouse.tokens') === text, aged);
  };
  const askTenTimes = (page: Page) =>
    page.evaluate(() => Promise.all(Array.from({ length: 10 }, () => api.users.me())).then((users) => users.length));

  /** Both ask at once, again and again, and always the token is at its end. @returns how often it was renewed */
  const race = async (hasLocks: boolean): Promise<number> => {
    const [one, two] = [await open(), await open()];
    await signIn(one);
    if (hasLocks) {
      // Both want to renew it by then.
      const isAwaited = () => navigator.locks.query().then(({ pending }) => pending?.length === 1);
      beforeRefresh = () => one.waitForFunction(isAwaited, undefined, { timeout: 5_000 }).catch(() => undefined);
    }
    proxy.asked.length = 0;
    for (let round = 0; round < ROUNDS; round++) {
      await age(one, two);
      expect(await Promise.all([askTenTimes(one), askTenTimes(two)])).toEqual([10, 10]);
    }
    expect(proxy.asked.filter(({ status }) => status >= 400)).toEqual([]);
    return proxy.asked.filter(({ method, path }) => method === 'POST' && path === REFRESH).length;
  };

  it('with Web Locks the session is renewed once', async () => {
    let refreshes = await race(true);
    // A tab that a stalled browser shows the tokens late asks once more, and gets the same again.
    for (let again = 0; again < 2 && refreshes !== ROUNDS; again++) refreshes = await race(true);
    expect(refreshes).toBe(ROUNDS);
  });

  it('without Web Locks nobody is signed out either', async () => {
    await context.addInitScript(() => Object.defineProperty(navigator, 'locks', { value: undefined }));
    const refreshes = await race(false);
    expect(refreshes).toBeGreaterThanOrEqual(ROUNDS);
    expect(refreshes).toBeLessThanOrEqual(2 * ROUNDS);
  });

  it('a page that is loaded again is still signed in, and a logout holds for both', async () => {
    const [one, two] = [await open(), await open()];
    await signIn(one);
    await one.close();
    const again = await open();
    expect(await askTenTimes(again)).toBe(10);
    await again.evaluate(() => api.auth.logout());
    await two.waitForFunction(() => localStorage.getItem('gatehouse.tokens') === null);
    expect(await two.evaluate(() => api.auth.isSignedIn())).toBe(false);
    expect(await two.evaluate(() => api.users.me().catch(({ name, status }) => [name, status]))).toEqual([
      'AuthenticationError',
      401,
    ]);
  });

  it('errors say what the server said, also from another origin', async () => {
    const page = await open();
    const login = { email: 'nobody@example.com', password: 'x' };
    const seen = await page.evaluate(
      (input) => api.auth.login(input).catch(({ name, code, requestId }) => ({ name, code, requestId })),
      login,
    );
    expect(seen).toEqual({
      name: 'AuthenticationError',
      code: 'login_failed',
      requestId: expect.stringMatching(/^[0-9a-f-]{36}$/),
    });
  });
});
