import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { extname, join, normalize } from 'node:path';
import { type Browser, chromium, type Page } from 'playwright-core';
import { ADMIN, TestServer, type TestUser } from './support.js';

const ROOT = join(__dirname, '../../..');
const EXAMPLE = join(ROOT, 'examples/notice-board');
const CHROMIUM = process.env.CHROMIUM_PATH ?? '/usr/bin/chromium';
const hasBrowser = existsSync(CHROMIUM);
if (!hasBrowser)
  process.stderr.write(`the notice board is not opened: there is no Chromium at ${CHROMIUM} (CHROMIUM_PATH)\n`);

const TYPES: Record<string, string> = { '.html': 'text/html', '.mjs': 'text/javascript', '.js': 'text/javascript' };
const CLIENT = '/node_modules/@gatehouse/client/dist/';

/** What a server of static files serves after `npm install` in the example's folder. */
function serve(compiled: string): Server {
  const fileOf = (path: string) => {
    if (path.startsWith(CLIENT)) return join(compiled, path.slice(CLIENT.length));
    return join(path.startsWith('/node_modules/') ? ROOT : EXAMPLE, path === '/' ? 'index.html' : path);
  };
  return createServer((request, response) => {
    const file = fileOf(normalize(new URL(request.url ?? '/', 'http://x').pathname));
    if (!existsSync(file)) return void response.writeHead(404).end();
    response.setHeader('Content-Type', TYPES[extname(file)] ?? 'text/plain').end(readFileSync(file));
  });
}

(hasBrowser ? describe : describe.skip)('the notice board in Chromium', () => {
  const compiled = mkdtempSync(join(tmpdir(), 'gatehouse-client-'));
  let pages: Server;
  let origin: string;
  let server: TestServer;
  let ann: TestUser;
  let browser: Browser;
  const faults: string[] = [];

  const open = async (): Promise<Page> => {
    const context = await browser.newContext();
    const page = await context.newPage();
    page.on('pageerror', (error) => faults.push(error.message));
    page.on('request', (request) => {
      const isKnown = [origin, server.url, 'data:'].some((known) => request.url().startsWith(known));
      if (!isKnown || /eyJ/.test(request.url())) faults.push(request.url());
    });
    await page.goto(`${origin}/`);
    return page;
  };

  /** By keyboard alone. */
  const signIn = async (page: Page, name: string, password: string) => {
    await page.getByLabel('Server').fill(server.url);
    await page.getByLabel('Email or username').focus();
    await page.keyboard.type(name);
    await page.keyboard.press('Tab');
    await page.keyboard.type(password);
    await page.keyboard.press('Enter');
    await state(page, 'live');
  };
  const state = (page: Page, text: string) => page.locator('#state', { hasText: text }).waitFor();
  const post = async (page: Page, text: string) => {
    // It comes with the channel, and is emptied when what was posted before has been acknowledged.
    await page.getByLabel('New notice').waitFor();
    await page.waitForFunction(`document.getElementById('text').value === ''`);
    await page.getByLabel('New notice').focus();
    await page.keyboard.insertText(text);
    await page.keyboard.press('Control+Enter');
  };
  const shown = async (page: Page, text: string) => page.getByText(text, { exact: true }).waitFor();
  const notices = (page: Page) => page.locator('#notices p').allTextContents();

  beforeAll(async () => {
    const compiler = require.resolve('typescript/bin/tsc');
    execFileSync(process.execPath, [compiler, '-p', join(ROOT, 'sdk/typescript'), '--outDir', compiled]);
    pages = serve(compiled);
    await new Promise<void>((resolve) => pages.listen(0, '127.0.0.1', resolve));
    origin = `http://localhost:${(pages.address() as AddressInfo).port}`;
    server = await TestServer.start({ CORS_ORIGINS: origin });
    ann = await server.user();
    browser = await chromium.launch({
      executablePath: CHROMIUM,
      args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-component-update'],
    });
  });
  afterAll(async () => {
    await browser?.close();
    pages?.close();
    await server?.stop();
    rmSync(compiled, { recursive: true, force: true });
  });

  it('says so when the password is wrong', async () => {
    const page = await open();
    await page.getByLabel('Server').fill(server.url);
    await page.getByLabel('Email or username').fill(ann.username);
    await page.getByLabel('Password').fill('not it');
    await page.keyboard.press('Enter');
    expect(await page.getByRole('alert').textContent({ timeout: 10_000 })).not.toBe('');
    await page.getByRole('alert').waitFor();
    await page.context().close();
  });

  it('shows in one page what is posted in another, once and in order, over a kill of the server and after a reload', async () => {
    const [writer, reader] = [await open(), await open()];
    await signIn(writer, ADMIN.email, ADMIN.password);
    await signIn(reader, ann.username, ann.password);
    // Only admins post, as it is.
    expect(await reader.getByLabel('New notice').isVisible()).toBe(false);
    await shown(reader, 'Nothing has been posted yet.');

    const markup = '<img src=x onerror="document.title=1"> & <b>bold</b>';
    await post(writer, 'Water is off on Monday');
    await shown(reader, 'Water is off on Monday');
    await post(writer, markup);
    await shown(reader, markup);

    await server.kill();
    await Promise.all([writer, reader].map((page) => state(page, 'connecting again')));
    // It waits for the server.
    await post(writer, 'Posted in the dark');
    await server.restart();
    await Promise.all([writer, reader].map((page) => shown(page, 'Posted in the dark')));
    await post(writer, 'And after it');
    const expected = ['And after it', 'Posted in the dark', markup, 'Water is off on Monday'];
    for (const page of [writer, reader]) {
      await shown(page, 'And after it');
      expect(await notices(page)).toEqual(expected);
    }
    await reader.reload();
    await shown(reader, 'And after it');
    await state(reader, 'live');
    expect(await notices(reader)).toEqual(expected);
    expect(await reader.title()).toBe('Notice board');

    const admin = await server.admin();
    await admin.broadcasting.channels.update('notices', { publish_policy: 'members' });
    await reader.reload();
    await post(reader, 'Thank you');
    await shown(writer, 'Thank you');
    expect(await writer.locator('#notices footer').first().textContent()).toContain(ann.username);

    await writer.getByRole('button', { name: 'Sign out' }).click();
    await writer.getByLabel('Password').waitFor();
    expect(await notices(writer)).toEqual([]);
    await admin.admin.users.revokeSessions(ann.id);
    await reader.getByLabel('Password').waitFor();
    expect(faults).toEqual([]);
  });
});
