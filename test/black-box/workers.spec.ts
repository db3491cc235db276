import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { io, type Socket } from 'socket.io-client';
import { Program, temporaryDataDir } from '../support/program.js';
import { until } from '../support/uploads.js';

const ADMIN = { ADMIN_EMAIL: 'admin@example.com', ADMIN_PASSWORD: 'Correct-Horse-1' };
const WORKERS = 3;

/** The processes that a process has started, by the system's own list. */
const childrenOf = (pid: number): number[] =>
  execFileSync('ps', ['-o', 'pid=,args=', '--ppid', String(pid)], { encoding: 'utf8' })
    .split('\n')
    .filter((line) => /cli\.js start/.test(line))
    .map((line) => Number.parseInt(line, 10));
const isAlive = (pid: number) => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};

describe('workers on one port', () => {
  const data = temporaryDataDir();
  let program: Program;
  let url: string;
  let token: string;
  const sockets: Socket[] = [];

  const start = async (environment: Record<string, string> = {}) => {
    program = new Program({
      ...{ PORT: '0', HOST: '127.0.0.1', DATA_DIR: data.path, BCRYPT_COST: '10', WEB_CONCURRENCY: String(WORKERS) },
      ...{ RATE_LIMIT_ENABLED: 'false', METRICS_TOKEN: 'let me see all of it' },
      ...ADMIN,
      ...environment,
    });
    [, url] = await program.says(/listening on (http:\S+)/);
    token = (await post('/auth/login', { email: ADMIN.ADMIN_EMAIL, password: ADMIN.ADMIN_PASSWORD })).access_token;
  };
  /** On a connection of its own, so that any worker gets it. */
  const ask = (path: string, init: RequestInit = {}) =>
    // What was handed to a worker in the moment of its end is never answered.
    fetch(url + path, {
      signal: AbortSignal.timeout(60_000),
      ...init,
      headers: { Connection: 'close', ...init.headers },
    });
  const post = async (path: string, body: object): Promise<any> => {
    const headers = { 'Content-Type': 'application/json', ...(token && { Authorization: `Bearer ${token}` }) };
    return (await ask(`/api/v1${path}`, { method: 'POST', headers, body: JSON.stringify(body) })).json();
  };
  const publish = (channel: string, text: string) =>
    post('/broadcasting/messages', { channel, event: 'said', data: text });

  const metrics = async () =>
    (await ask('/metrics', { headers: { Authorization: 'Bearer let me see all of it' } })).text();
  const published = async () =>
    Number(/^gatehouse_messages_published_total\{kind="durable"\} (\d+)$/m.exec(await metrics())?.[1]);

  /** A subscriber that comes back with what it has seen last. */
  async function subscriber(channel: string, transports: string[], upgrade: boolean) {
    const socket = io(`${url}/broadcasting`, {
      auth: { token },
      transports,
      upgrade,
      forceNew: true,
      reconnectionDelay: 100,
    });
    sockets.push(socket);
    const seen: string[] = [];
    const kept = { after: 0, disconnects: [] as unknown[] };
    socket.on('disconnect', (reason, details) => kept.disconnects.push([reason, details]));
    socket.on('message', (message) => {
      seen.push(message.data);
      kept.after = message.sequence;
    });
    await new Promise<void>((resolve, reject) => {
      socket.on('connect', () => {
        socket.emit('subscribe', { channel, after: kept.after }, (answer: any) =>
          answer.ok ? resolve() : reject(new Error(JSON.stringify(answer.error))),
        );
      });
    });
    return { socket, seen, kept };
  }

  beforeAll(() => start());
  afterEach(() => sockets.splice(0).forEach((socket) => socket.close()));
  afterAll(async () => {
    await program.kill();
    data.remove();
  });

  it('keep the sessions of sockets together, by polling, by WebSocket, and from one to the other', async () => {
    expect(childrenOf(program.pid)).toHaveLength(WORKERS);
    const kinds: [string[], boolean][] = [
      [['polling'], false],
      [['polling', 'websocket'], true],
      [['websocket'], false],
    ];
    const readers = await Promise.all(
      Array.from({ length: 4 }, () =>
        kinds.map(([transports, upgrade]) => subscriber('news', transports, upgrade)),
      ).flat(),
    );
    const texts = Array.from({ length: 20 }, (_, at) => `message ${at} ${'x'.repeat(at * 500)}`);
    for (const text of texts) await publish('news', text);
    for (const { seen, kept } of readers) {
      await until(() => seen.length === texts.length, 'all messages');
      expect(seen).toEqual(texts);
      expect(kept.disconnects).toEqual([]);
    }
    const owners = new Set(readers.map(({ socket }) => (socket.io.engine as any).id.split('.').pop()));
    expect(owners.size).toBeGreaterThan(1);
  });

  it('do not come up on a port that is taken, and say why once', async () => {
    const port = new URL(url).port;
    const other = temporaryDataDir();
    const second = new Program({ PORT: port, HOST: '127.0.0.1', DATA_DIR: other.path, WEB_CONCURRENCY: '2', ...ADMIN });
    const { code } = await second.exit();
    other.remove();
    expect(code).toBe(1);
    expect(second.stderr.match(/is in use by another program/g)).toHaveLength(1);
  });

  it('lose a worker that is killed, and nothing else: another one takes its place', async () => {
    const reader = await subscriber('kills', ['websocket'], false);
    const [victim] = childrenOf(program.pid);
    await Promise.all(Array.from({ length: 12 }, (_, at) => publish('kills', `before ${at}`)));
    // A sum that fell would look like a new beginning to whoever reads it.
    let before = NaN;
    await until(async () => (before = await published()) >= 12, 'all workers to be heard of');
    const acknowledged: string[] = [];
    for (let at = 0; at < 60; at++) {
      if (at === 20) process.kill(victim, 'SIGKILL');
      const sent = await publish('kills', `message ${at}`).catch(() => null);
      if (sent?.id) acknowledged.push(sent.data);
    }
    await until(() => acknowledged.every((text) => reader.seen.includes(text)), 'every acknowledged message');
    expect(acknowledged.length).toBeGreaterThan(55);
    await until(() => childrenOf(program.pid).length === WORKERS, 'another worker');
    expect(childrenOf(program.pid)).not.toContain(victim);
    await program.says(/A worker has ended \(SIGKILL\), starting another one/);
    expect(await published()).toBeGreaterThanOrEqual(before);
  });

  it('are replaced at SIGHUP without a failed request or a missing message', async () => {
    const before = childrenOf(program.pid);
    const readers = await Promise.all([
      subscriber('reload', ['websocket'], false),
      subscriber('reload', ['polling'], false),
    ]);
    const failures: unknown[] = [];
    const acknowledged: string[] = [];
    let isOver = false;
    const load = Promise.all(
      [1, 2, 3, 4].map(async (publisher) => {
        for (let at = 0; !isOver; at++) {
          const sent = await publish('reload', `${publisher}: ${at}`).catch((error: unknown) => ({ error }));
          if ('id' in sent) acknowledged.push(sent.data);
          else failures.push(sent);
          // New workers need the processors, too.
          await delay(20);
        }
      }),
    );
    program.signal('SIGHUP');
    await program.says(/The workers are replaced/);
    await until(() => before.every((pid) => !isAlive(pid)), 'the end of the old workers');
    isOver = true;
    await load;
    expect(failures).toEqual([]);
    expect(childrenOf(program.pid)).toHaveLength(WORKERS);
    for (const { seen } of readers) {
      await until(() => seen.length >= acknowledged.length, 'every message');
      expect([...seen].sort()).toEqual([...acknowledged].sort());
    }
  });

  it('are as many as before when all of them are killed during a reload', async () => {
    const before = childrenOf(program.pid);
    const said = program.stdout.length;
    program.signal('SIGHUP');
    await until(() => program.stdout.slice(said).includes('replacing the workers'), 'the reload');
    // A busy machine may have replaced one by now.
    for (const pid of before.filter(isAlive)) process.kill(pid, 'SIGKILL');
    await until(() => program.stdout.slice(said).includes('The workers are replaced'), 'its end');
    await until(() => childrenOf(program.pid).length === WORKERS, 'as many workers');
    const after = childrenOf(program.pid);
    expect(after.filter((pid) => before.includes(pid))).toEqual([]);
    await until(
      () =>
        ask('/api/v1/health', { signal: AbortSignal.timeout(5_000) }).then(
          ({ ok }) => ok,
          () => false,
        ),
      'an answer on the same port',
    );
  });

  it('end with SIGTERM, and with a primary that is killed', async () => {
    const [first, ...others] = childrenOf(program.pid);
    // As a supervisor does that signals every process, in the middle of a request.
    const slow = request(`${url}/api/v1/auth/login`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', Expect: '100-continue' },
    });
    const answered = once(slow, 'response') as Promise<[IncomingMessage]>;
    slow.flushHeaders();
    await once(slow, 'continue');
    for (const pid of [first, ...others, program.pid]) process.kill(pid, 'SIGTERM');
    await until(() => /finishing the requests in flight/.test(program.stdout), 'the stop');
    slow.end(JSON.stringify({ email: ADMIN.ADMIN_EMAIL, password: ADMIN.ADMIN_PASSWORD }));
    expect((await answered)[0].statusCode).toBe(200);
    expect(await program.exit()).toEqual({ code: 0, signal: null });
    expect([first, ...others].filter(isAlive)).toEqual([]);
    await start();
    const workers = childrenOf(program.pid);
    await program.kill();
    await until(() => !workers.some(isAlive), 'the end of the workers');
  });

  it('find all in order at the next start; count limits together, and are measured together', async () => {
    await start({ RATE_LIMIT_ENABLED: 'true', RATE_LIMIT_ANONYMOUS: '20/60' });
    const answers = await Promise.all(Array.from({ length: 30 }, () => ask('/nowhere')));
    const [found, refused] = [404, 429].map((status) => answers.filter((answer) => answer.status === status));
    const left = found.map(({ headers }) => Number(headers.get('x-ratelimit-remaining')));
    expect(left.sort((a, b) => a - b)).toEqual(Array.from({ length: 20 }, (_, at) => at));
    expect(refused).toHaveLength(10);
    for (const { headers } of refused) {
      expect(Number(headers.get('retry-after'))).toBeGreaterThan(0);
      expect(Number(headers.get('retry-after'))).toBeLessThanOrEqual(60);
    }
    await until(async () => {
      const text = await metrics();
      return /^gatehouse_database_pool_max 30$/m.test(text) && /^gatehouse_database_up 1$/m.test(text);
    }, 'the metrics of all workers');
  });

  it('lock an account together', async () => {
    process.kill(program.pid, 'SIGTERM');
    await program.exit();
    await start({ LOGIN_LOCKOUT: '4/900' });
    const login = async (password: string): Promise<number> => {
      const headers = { 'Content-Type': 'application/json' };
      const body = JSON.stringify({ email: ADMIN.ADMIN_EMAIL, password });
      return (await ask('/api/v1/auth/login', { method: 'POST', headers, body })).status;
    };
    for (let guess = 0; guess < 4; guess++) expect(await login('Wrong-One-1')).toBe(401);
    for (let worker = 0; worker < WORKERS; worker++) expect(await login(ADMIN.ADMIN_PASSWORD)).toBe(429);
  });
});
