import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { type Browser, chromium } from 'playwright-core';
import supertest from 'supertest';
import { Program, temporaryDataDir } from '../support/program.js';
import { freePort } from '../support/uploads.js';

const EXAMPLES = join(__dirname, '../../examples');
const ADMIN = { ADMIN_EMAIL: 'admin@example.com', ADMIN_PASSWORD: 'Correct-Horse-1' };
const READER = { email: 'ann@example.com', username: 'ann', password: 'SecurePass123!' };
/** Short, so that every client has to renew its token while it is watched; a quarter of it is more than a machine stalls. */
const ACCESS_TTL = 20;

const CHROMIUM = process.env.CHROMIUM_PATH ?? '/usr/bin/chromium';
/** Debian's, which knows Debian's packages. */
const PYTHON = '/usr/bin/python3';
const hasPython = spawnSync(PYTHON, ['-c', 'import socketio, requests, websocket']).status === 0;
const hasBrowser = existsSync(CHROMIUM);
if (!hasPython) process.stderr.write('subscribe.py is not run: there is no python-socketio\n');
if (!hasBrowser)
  process.stderr.write(`stream.html is not opened: there is no Chromium at ${CHROMIUM} (CHROMIUM_PATH)\n`);

/** Resolves when it holds; what has taken so long never will. */
async function until(condition: () => boolean | Promise<boolean>, describe: () => unknown): Promise<void> {
  const end = Date.now() + 60_000;
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(`waited in vain: ${JSON.stringify(describe())}`);
    await delay(100);
  }
}

/** An example as it is started by hand. */
class Example {
  stdout = '';
  stderr = '';
  code: number | null = null;
  private readonly child;

  constructor(command: string, args: string[], environment: Record<string, string>) {
    this.child = spawn(command, args, {
      cwd: join(EXAMPLES, '..'),
      env: { PATH: process.env.PATH ?? '', ...environment },
    });
    this.child.stdout.on('data', (chunk: Buffer) => (this.stdout += chunk.toString()));
    this.child.stderr.on('data', (chunk: Buffer) => (this.stderr += chunk.toString()));
    this.child.on('close', (code) => (this.code = code));
  }

  says(stream: 'stdout' | 'stderr', text: string): Promise<void> {
    return until(
      () => this[stream].includes(text),
      () => [text, this.stdout, this.stderr],
    );
  }

  exits(): Promise<void> {
    return until(
      () => this.code !== null,
      () => [this.stdout, this.stderr],
    );
  }

  stop(): void {
    this.child.kill('SIGKILL');
  }
}

describe('the examples', () => {
  const data = temporaryDataDir();
  let program: Program;
  let url: string;
  let admin: { Authorization: string };
  let readerId: string;
  const examples: Example[] = [];

  const start = async (port: string, environment: Record<string, string>) => {
    program = new Program({
      PORT: port,
      DATA_DIR: data.path,
      RATE_LIMIT_ENABLED: 'false',
      JWT_ACCESS_TTL: String(ACCESS_TTL),
      ...ADMIN,
      ...environment,
    });
    [, url] = await program.says(/listening on (http:\S+)/);
  };

  const signInAsAdmin = async () => {
    const login = { username: ADMIN.ADMIN_EMAIL, password: ADMIN.ADMIN_PASSWORD };
    const { body } = await supertest(url).post('/api/v1/auth/login').send(login).expect(200);
    admin = { Authorization: `Bearer ${body.access_token}` };
  };

  const publish = async (channel: string, text: string, more: object = {}) => {
    await signInAsAdmin();
    await supertest(url)
      .post('/api/v1/broadcasting/messages')
      .set(admin)
      .send({ channel, event: 'said', data: text, ...more })
      .expect(201);
  };

  const restart = async (signal: NodeJS.Signals, environment: Record<string, string>) => {
    program.signal(signal);
    await program.exit();
    await start(new URL(url).port, environment);
  };

  /** Idempotent. */
  const deleteReader = async () => {
    await signInAsAdmin();
    await supertest(url).delete(`/api/v1/users/${readerId}`).set(admin);
  };

  const run = (command: string, args: string[]): Example => {
    const environment = {
      GATEHOUSE_URL: url,
      GATEHOUSE_USER: READER.username,
      GATEHOUSE_PASSWORD: READER.password,
    };
    const example = new Example(command, args, environment);
    examples.push(example);
    return example;
  };

  beforeEach(async () => {
    await start(String(await freePort()), {});
    await signInAsAdmin();
    const { body } = await supertest(url).post('/api/v1/auth/register').send(READER).expect(201);
    readerId = body.id;
  });
  afterEach(async () => {
    for (const example of examples.splice(0)) example.stop();
    await deleteReader();
    program.signal('SIGTERM');
    await program.exit();
  });
  afterAll(() => data.remove());

  /** What every client is to do, whatever the language. */
  const readsOn = async (example: Example, channel: string) => {
    await example.says('stderr', `${channel}: reading after 0`);
    await publish(channel, 'one');
    await publish(channel, 'lost in a moment', { durable: false });
    await example.says('stdout', 'lost in a moment');
    // The access token that it began with has expired by then.
    await delay((ACCESS_TTL + 2) * 1000);
    await publish(channel, 'two');
    await example.says('stdout', 'two');
    // It was renewed in time, on the same connection.
    expect(example.stderr).toBe(`${channel}: reading after 0\n`);
    await restart('SIGKILL', {});
    await publish(channel, 'three');
    await example.says('stdout', 'three');
    await publish(channel, 'four');
    await example.says('stdout', 'four');
    expect(example.stdout.trim().split('\n')).toEqual([
      `${channel} 1 said "one"`,
      `${channel} - said "lost in a moment"`,
      `${channel} 2 said "two"`,
      `${channel} 3 said "three"`,
      `${channel} 4 said "four"`,
    ]);
    await deleteReader();
    await example.exits();
    expect(example.code).toBe(1);
    // On a machine that is held up its token may just have expired: then it is told when it comes back.
    expect(example.stderr).toMatch(
      /the connection ends: account_deleted\n(.*\n)*there is nothing left to read\n|: login_failed\n/,
    );
  };

  const isAwayForGood = async (example: Example, channel: string) => {
    await example.says('stderr', `${channel}: reading after 0`);
    const { port } = new URL(url);
    program.signal('SIGTERM');
    await program.exit();
    await start(String(await freePort()), {});
    await deleteReader();
    program.signal('SIGTERM');
    await program.exit();
    await start(port, {});
    await example.exits();
    expect(example.code).toBe(1);
    expect(example.stderr).toContain(': login_failed\n');
  };

  it('subscribe.mjs misses nothing and stops when its account is deleted', async () => {
    await readsOn(run(process.execPath, ['examples/subscribe.mjs', 'news']), 'news');
  });

  it('subscribe.mjs stops when its account was deleted while it was away', async () => {
    await isAwayForGood(run(process.execPath, ['examples/subscribe.mjs', 'away']), 'away');
  });

  it('subscribe.mjs says when messages are not kept any more, and refuses what makes no sense', async () => {
    const path = '/api/v1/broadcasting/channels/brief';
    await signInAsAdmin();
    await supertest(url).put(path).set(admin).send({ retention_count: 1 }).expect(200);
    for (const text of ['one', 'two', 'three']) await publish('brief', text);
    await until(
      async () => {
        await signInAsAdmin();
        return (await supertest(url).get(path).set(admin)).body.first_sequence === 3;
      },
      () => 'retention',
    );
    const example = run(process.execPath, ['examples/subscribe.mjs', 'brief@1', `private-user.${'0'.repeat(8)}`]);
    await example.says('stdout', 'three');
    expect(example.stdout).toBe('brief 3 said "three"\n');
    expect(example.stderr).toContain('brief: some messages are not kept any more; it goes on with 3\n');
    await example.says('stderr', 'invalid_channel\n');
    const without = run(process.execPath, ['examples/subscribe.mjs']);
    await without.exits();
    expect(without.stderr).toMatch(/^usage: /);
  });

  (hasPython ? it : it.skip)('subscribe.py misses nothing and stops when its account is deleted', async () =>
    readsOn(run(PYTHON, ['examples/subscribe.py', 'python']), 'python'),
  );

  (hasPython ? it : it.skip)('subscribe.py stops when its account was deleted while it was away', async () =>
    isAwayForGood(run(PYTHON, ['examples/subscribe.py', 'far']), 'far'),
  );

  (hasBrowser ? it : it.skip)('stream.html shows what is published, also after a restart', async () => {
    let browser: Browser | null = null;
    let pages: Server | null = null;
    try {
      pages = createServer((_request, response) =>
        response.setHeader('Content-Type', 'text/html').end(readFileSync(join(EXAMPLES, 'stream.html'))),
      ).listen(0);
      const origin = `http://localhost:${(pages.address() as AddressInfo).port}`;
      await restart('SIGTERM', { CORS_ORIGINS: origin });
      browser = await chromium.launch({
        executablePath: CHROMIUM,
        args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-component-update'],
      });
      const page = await browser.newPage();
      const strangers: string[] = [];
      page.on('request', (request) => {
        if (![origin, url].some((known) => request.url().startsWith(known))) strangers.push(request.url());
      });
      await page.goto(origin);
      for (const [field, value] of Object.entries({
        url,
        username: READER.username,
        password: READER.password,
        channel: 'page',
      }))
        await page.fill(`#${field}`, value);
      await page.click('button');
      const shows = (text: string) => page.getByText(text).waitFor();
      await shows('Reading after 0');
      await publish('page', 'one');
      await shows('1 said "one"');
      await restart('SIGKILL', { CORS_ORIGINS: origin });
      await publish('page', 'two');
      await shows('2 said "two"');
      expect(await page.locator('li:not(.note)').allTextContents()).toEqual(['1 said "one"', '2 said "two"']);
      expect(strangers).toEqual([]);
    } finally {
      await browser?.close();
      pages?.close();
    }
  });
});
