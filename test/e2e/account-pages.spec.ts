import { existsSync } from 'node:fs';
import { type Browser, type BrowserContext, chromium, type Page, type Request } from 'playwright-core';
import { aSignedInUser, aUser, signIn, type TestUser } from '../support/builders.js';
import { ADDRESS_CHANGED, Mailboxes, RESET, settle, VERIFY } from '../support/mailboxes.js';
import { startTestApp, type TestApp } from '../support/test-app.js';

const CHROMIUM = process.env.CHROMIUM_PATH ?? '/usr/bin/chromium';
const hasBrowser = existsSync(CHROMIUM);
const inBrowser = hasBrowser ? describe : describe.skip;
if (!hasBrowser)
  process.stderr.write(`The pages are not tested: there is no Chromium at ${CHROMIUM} (CHROMIUM_PATH)\n`);

const PAGES = ['/account/verify', '/account/reset', '/account/undo'];
const NEW_PASSWORD = 'Another-Horse-2';
/** Where pictures of all states go, for whoever wants to look at them. */
const PICTURES = process.env.ACCOUNT_PAGES_PICTURES;

describe('account pages', () => {
  let app: TestApp;
  let mailboxes: Mailboxes;

  beforeAll(async () => {
    mailboxes = await Mailboxes.start();
    app = await startTestApp({ ...mailboxes.settings, PRODUCT_NAME: 'Tea <& "Pot"' });
  });
  afterAll(async () => {
    await app.close();
    await mailboxes.stop();
  });

  it.each(PAGES)('%s is a page of its own, which nothing keeps and nothing else may load', async (path) => {
    for (const url of [path, `${path}/`, `${path}?token=x`]) {
      const { headers, text } = await app.http.get(url).expect(200);
      expect(headers['content-type']).toBe('text/html; charset=utf-8');
      expect(headers['cache-control']).toBe('no-store');
      expect(headers['referrer-policy']).toBe('no-referrer');
      expect(headers['x-content-type-options']).toBe('nosniff');
      expect(headers['x-frame-options'].toUpperCase()).toBe('DENY');
      expect(headers['content-security-policy']).toMatch(/^default-src 'none';script-src 'self';/);
      expect(headers['content-security-policy']).not.toContain('unsafe');
      expect(text).not.toMatch(/<script(?![^>]* src=)|<style|\son\w+=|https?:/i);
      expect(text).toContain('Tea &lt;&amp; &quot;Pot&quot;');
      expect(text).not.toContain('<& "Pot"');
    }
    await app.http.head(path).expect(200);
    await app.http.post(path).expect(405);
  });

  it('are below the path of PUBLIC_URL', async () => {
    const below = await startTestApp({ PUBLIC_URL: 'https://example.com/tea/' });
    const { text } = await below.http.get('/account/undo').expect(200);
    await below.close();
    expect([...text.matchAll(/(?:src|href|data-api)="(\/[^"]*)"/g)].map(([, url]) => url).sort()).toEqual(
      ['/tea/account/page.css', '/tea/account/page.js', '/tea/account/reset', '/tea/api/v1/auth/'].sort(),
    );
  });

  it('GET changes nothing, however often a link is opened', async () => {
    const user = await aUser(app);
    await app.http.post('/api/v1/auth/resend-verification').send({ email: user.email }).expect(202);
    const { link } = await mailboxes.last(app, user.email, VERIFY);
    for (let i = 0; i < 3; i++) {
      await app.http.get(`${link?.pathname}${link?.search}`).expect(200);
      await app.http.head(`${link?.pathname}${link?.search}`).expect(200);
    }
    await app.http.get(`/api/v1/auth/verify-email${link?.search}`).expect(405);
    const token = link?.searchParams.get('token');
    await app.http.post('/api/v1/auth/verify-email').send({ token }).expect(200);
  });

  inBrowser('in a browser', () => {
    let browser: Browser;
    let context: BrowserContext;
    let page: Page;
    let complaints: string[];
    let requests: Request[];

    beforeAll(async () => {
      browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox'] });
    });
    beforeEach(async () => {
      context = await browser.newContext({ viewport: { width: 360, height: 740 } });
      page = await context.newPage();
      [complaints, requests] = [[], []];
      page.on('pageerror', (error) => complaints.push(error.message));
      page.on('console', (message) => {
        // Chromium reports each answer that is not 2xx.
        if (message.type() === 'error' && !/Failed to load resource/.test(message.text()))
          complaints.push(message.text());
      });
      page.on('request', (request) => requests.push(request));
    });
    afterEach(async () => {
      const isWide = await page.evaluate<boolean>('document.documentElement.scrollWidth > window.innerWidth');
      await context.close();
      expect(complaints).toEqual([]);
      expect(isWide).toBe(false);
      expect(requests.map((request) => new URL(request.url()).origin).filter((origin) => origin !== app.url)).toEqual(
        requests.filter((request) => request.url() === 'data:,').map(() => 'null'),
      );
    });
    afterAll(() => browser.close());

    const open = async (link: URL | string | null) => {
      const path = typeof link === 'string' ? link : `${link?.pathname}${link?.search}`;
      await page.goto(app.url + path);
    };
    const heading = () => page.locator('section:not([hidden]) h1').innerText();
    const button = () => page.locator('section:not([hidden]) button[type=submit]');
    const errors = () => page.locator('section:not([hidden]) .errors li').allInnerTexts();
    const picture = async (name: string) => {
      if (!PICTURES) return;
      for (const colorScheme of ['light', 'dark'] as const) {
        await page.emulateMedia({ colorScheme });
        await page.screenshot({ path: `${PICTURES}/${name}-${colorScheme}.png`, fullPage: true });
      }
      await page.emulateMedia({ colorScheme: null });
    };
    const arrivesAt = async (title: string, name: string) => {
      await page.locator('section:not([hidden]) h1', { hasText: title }).waitFor();
      expect(await page.title()).toBe(`${await heading()} – Tea <& "Pot"`);
      await picture(name);
    };
    const resetLink = async ({ email }: TestUser) => {
      await app.http.post('/api/v1/auth/forgot-password').send({ email }).expect(202);
      return (await mailboxes.last(app, email, RESET)).link;
    };

    it('an address is verified by a button', async () => {
      const user = await aUser(app);
      await app.http.post('/api/v1/auth/resend-verification').send({ email: user.email }).expect(202);
      const { link } = await mailboxes.last(app, user.email, VERIFY);
      await open(link);
      await arrivesAt('Confirm your email address', 'verify-ready');
      expect(new URL(page.url()).search).toBe('');
      await page.reload();
      await button().click();
      await arrivesAt('Address confirmed', 'verify-done');
      const { rows } = await app.pool.query('SELECT is_verified FROM users WHERE id = $1', [user.id]);
      expect(rows).toEqual([{ is_verified: true }]);
      // What is used up is not kept.
      await page.reload();
      await arrivesAt('Confirm your email address', 'verify-empty');
      expect(await page.locator('section:not([hidden]) input[type=email]').count()).toBe(1);
    });

    it('a link that was used asks for the address, and another comes', async () => {
      const user = await aUser(app);
      await open('/account/verify?token=used');
      await button().click();
      await arrivesAt('This link no longer works', 'verify-stale');
      await button().click();
      await page.locator('section:not([hidden]) .errors li').first().waitFor();
      expect(await errors()).toEqual(['Please enter an email address.']);
      await picture('verify-stale-wrong');
      await page.getByLabel('Your email address').filter({ visible: true }).fill(user.email);
      await page.keyboard.press('Enter');
      await arrivesAt('Look into your mailbox', 'verify-sent');
      expect(await mailboxes.subjects(app, user.email)).toEqual([expect.stringMatching(VERIFY)]);
    });

    it('a new password is set; one that is refused can be mended', async () => {
      const user = await aUser(app);
      await open(await resetLink(user));
      await arrivesAt('Set a new password', 'reset-ready');
      await page.getByLabel('New password').fill('zqy x');
      await button().click();
      await page.locator('.errors li').first().waitFor();
      expect(await errors()).toEqual([
        'Password must be at least 8 characters long',
        'Password must contain an upper-case letter',
        'Password must contain a digit',
      ]);
      expect(await page.getByLabel('New password').getAttribute('aria-invalid')).toBe('');
      await picture('reset-refused');
      await page.getByRole('button', { name: 'Show' }).click();
      expect(await page.getByLabel('New password').getAttribute('type')).toBe('text');
      await page.getByLabel('New password').fill(NEW_PASSWORD);
      await page.keyboard.press('Enter');
      await arrivesAt('Your password is set', 'reset-done');
      await signIn(app, { ...user, password: NEW_PASSWORD });
    });

    it('without a link the page sends one', async () => {
      const user = await aUser(app);
      await open('/account/reset');
      await arrivesAt('Set a new password', 'reset-empty');
      await page.getByLabel('Your email address').filter({ visible: true }).fill(user.email);
      await button().click();
      await arrivesAt('Look into your mailbox', 'reset-sent');
      expect(await mailboxes.subjects(app, user.email)).toEqual([expect.stringMatching(RESET)]);
    });

    it('a change of address is undone', async () => {
      const user = await aSignedInUser(app);
      const email = `new.${user.email}`;
      await app.http.patch('/api/v1/users/me').set(user.auth).send({ email }).expect(200);
      const { link } = await mailboxes.last(app, user.email, ADDRESS_CHANGED);
      await open(link);
      await arrivesAt('Take your account back', 'undo-ready');
      await button().click();
      await arrivesAt('The account is yours again', 'undo-done');
      expect(await page.locator('section:not([hidden]) .answer').innerText()).toMatch(/signed out\.$/);
      await signIn(app, user);
      await settle(app);
      await open(link);
      await button().click();
      await arrivesAt('This link no longer works', 'undo-stale');
      await open('/account/undo');
      await arrivesAt('Take your account back', 'undo-empty');
      expect(await button().count()).toBe(0);
    });

    it('says so when the address is taken, the limit is reached, or the server is away', async () => {
      const answers: [object, string, string][] = [
        [{ status: 409, json: { error_code: 'email_taken' } }, 'h1', 'The address is taken'],
        [
          { status: 429, headers: { 'retry-after': '42' }, json: {} },
          'li',
          'Too many attempts. Please try again in 42 seconds.',
        ],
        [
          { status: 429, headers: { 'retry-after': '600' }, json: {} },
          'li',
          'Too many attempts. Please try again in 10 minutes.',
        ],
        [
          { status: 503, body: 'not JSON' },
          'li',
          'The server cannot do this at the moment. Please try again in a minute.',
        ],
      ];
      for (const [answer, where, sentence] of answers) {
        await page.route('**/api/v1/auth/*', (route) => route.fulfill(answer));
        await open('/account/undo?token=x');
        await button().click();
        await page.locator(`section:not([hidden]) ${where}`, { hasText: sentence }).waitFor();
        await picture(`undo-${sentence.replace(/\W+/g, '-').slice(0, 30)}`);
        await page.unroute('**/api/v1/auth/*');
      }
      await open('/account/undo?token=x');
      await context.setOffline(true);
      await button().click();
      await page.locator('.errors li', { hasText: 'The server cannot be reached.' }).waitFor();
      await context.setOffline(false);
      await button().click();
      await page.locator('section:not([hidden]) h1', { hasText: 'This link no longer works' }).waitFor();
    });

    it('a double click sends once', async () => {
      const user = await aUser(app);
      await open(await resetLink(user));
      await page.getByLabel('New password').fill(NEW_PASSWORD);
      await button().dblclick();
      await arrivesAt('Your password is set', 'reset-twice');
      expect(requests.filter((request) => request.method() === 'POST').length).toBe(1);
    });
  });

  inBrowser('without JavaScript', () => {
    it('say what is missing, and offer nothing that cannot work', async () => {
      const browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox'] });
      const page = await browser.newPage({ javaScriptEnabled: false });
      for (const path of PAGES) {
        await page.goto(`${app.url}${path}?token=x`);
        expect(await page.locator('noscript').innerText()).toMatch(/needs JavaScript/);
        expect(await page.locator('form:visible').count()).toBe(0);
      }
      await browser.close();
    });
  });
});
