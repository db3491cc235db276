import { once } from 'node:events';
import http from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ArgumentsHost, Catch, type ExceptionFilter, Logger, Module, UseFilters } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { Ack, MessageBody, type OnGatewayInit, SubscribeMessage, WebSocketGateway } from '@nestjs/websockets';
import { EMPTY, of } from 'rxjs';
import type { Namespace } from 'socket.io';
import { io, type Socket } from 'socket.io-client';
import { SocketServerAdapter } from '../../src/broadcasting/gateway/socket-server.adapter.js';
import { loadConfig } from '../../src/config/load-config.js';
import type { VariableName } from '../../src/config/variables.js';
import { createHttpAdapter } from '../../src/server/http-server.js';

type Callback = (response: unknown) => void;

/** As the gateway's own: the acknowledgement tells what went wrong. */
@Catch()
class AnsweringFilter implements ExceptionFilter {
  catch(error: Error, host: ArgumentsHost): void {
    if (error.message === 'unanswerable') throw error;
    const ack = host.getArgs().find((argument) => typeof argument === 'function') as Callback | undefined;
    ack?.({ ok: false, error: error.message });
  }
}

@WebSocketGateway({ namespace: '/broadcasting' })
@UseFilters(AnsweringFilter)
class TestGateway implements OnGatewayInit {
  readonly received: unknown[] = [];

  afterInit(namespace: Namespace): void {
    namespace.use(({ handshake: { auth, headers } }, next) =>
      next([auth.token, headers.authorization].includes('secret') ? undefined : new Error('no token')),
    );
  }

  @SubscribeMessage('echo')
  echo(@MessageBody() data: unknown): unknown {
    this.received.push(data);
    return { ok: true, data };
  }

  @SubscribeMessage('later')
  later(@MessageBody() data: unknown): Promise<unknown> {
    return Promise.resolve({ ok: true, data });
  }

  @SubscribeMessage('observable')
  observable(@MessageBody() data: unknown): unknown {
    return data === 'empty' ? EMPTY : of({ ok: true, data });
  }

  @SubscribeMessage('named')
  named(): unknown {
    return { event: 'other', data: 1 };
  }

  @SubscribeMessage('falsy')
  falsy(): unknown {
    return 0;
  }

  @SubscribeMessage('nothing')
  nothing(): void {
    this.received.push('nothing');
  }

  @SubscribeMessage('manual')
  manual(@Ack() ack: Callback): unknown {
    ack('by hand');
    return 'not this';
  }

  @SubscribeMessage('throws')
  throws(@MessageBody() message: string): void {
    throw new Error(message);
  }

  @SubscribeMessage('rejects')
  rejects(@MessageBody() message: string): Promise<void> {
    return Promise.reject(new Error(message));
  }
}

@Module({ providers: [TestGateway] })
class TestModule {}

interface Answer {
  status: number;
  headers: http.IncomingHttpHeaders;
  body: any;
}

async function read(response: http.IncomingMessage): Promise<Answer> {
  const text = (await response.toArray()).join('');
  const isJson = /json/.test(response.headers['content-type'] ?? '');
  return { status: response.statusCode ?? 0, headers: response.headers, body: isJson ? JSON.parse(text) : text };
}

const SECRET = 'a secret for tests that is long enough: 0123456789';
const PATH = '/socket.io/?EIO=4&transport=';
const CLOSE_PACKET = '1';
const UPGRADE = {
  Connection: 'Upgrade',
  Upgrade: 'websocket',
  'Sec-WebSocket-Version': '13',
  'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
};

describe('the Socket.IO server', () => {
  const clients: Socket[] = [];
  const apps: NestFastifyApplication[] = [];
  let logged: { warn: jest.SpyInstance; error: jest.SpyInstance };

  beforeEach(() => {
    const silence = (level: 'warn' | 'error') =>
      jest.spyOn(Logger.prototype, level).mockImplementation(() => undefined);
    logged = { warn: silence('warn'), error: silence('error') };
  });
  afterEach(async () => {
    for (const client of clients.splice(0)) client.disconnect();
    await Promise.all(apps.splice(0).map((app) => app.close()));
    jest.restoreAllMocks();
  });

  async function start(environment: Partial<Record<VariableName, string>> = {}, port = 0): Promise<number> {
    const DATA_DIR = join(tmpdir(), 'gatehouse-unused');
    const config = loadConfig({ NODE_ENV: 'test', DATA_DIR, JWT_SECRET: SECRET, ...environment });
    const app = await NestFactory.create<NestFastifyApplication>(TestModule, createHttpAdapter(config), {
      logger: false,
    });
    app.useWebSocketAdapter(await SocketServerAdapter.create(app, config));
    await app.listen(port, '127.0.0.1');
    apps.push(app);
    return (app.getHttpServer().address() as AddressInfo).port;
  }

  function client(port: number, options: object = {}, namespace = '/broadcasting'): Socket {
    const socket = io(`http://127.0.0.1:${port}${namespace}`, {
      auth: { token: 'secret' },
      forceNew: true,
      reconnectionDelay: 10,
      reconnectionDelayMax: 50,
      ...options,
    });
    clients.push(socket);
    return socket;
  }

  async function connected(port: number, options?: object): Promise<Socket> {
    const socket = client(port, options);
    await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('connect_error', reject));
    return socket;
  }

  const failure = (socket: Socket) =>
    new Promise<Error & { data?: unknown }>((resolve) => socket.once('connect_error', resolve));
  const disconnection = (socket: Socket) => new Promise<string>((resolve) => socket.once('disconnect', resolve));

  /** A request as no client makes it. An upgrade that succeeds is 101 and is over at once. */
  function ask(port: number, path: string, options: http.RequestOptions = {}, body?: string): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const request = http.request({ port, host: '127.0.0.1', path, agent: false, ...options });
      request.on('upgrade', ({ headers }, socket) => {
        socket.destroy();
        resolve({ status: 101, headers, body: null });
      });
      request.on('response', (response) => void read(response).then(resolve, reject));
      request.on('error', reject).end(body);
    });
  }

  async function openSession(port: number): Promise<string> {
    const { body } = await ask(port, `${PATH}polling`);
    return JSON.parse((body as string).slice(1)).sid;
  }

  describe('origins', () => {
    const KNOWN = {
      CORS_ORIGINS: 'https://app.example.com, https://two.example.com',
      PUBLIC_URL: 'https://gate.example.org/x',
    };
    const allowed: [string, Record<string, string>, object?][] = [
      ['none', {}],
      ['its own', { Host: 'gate.test:8000', Origin: 'http://gate.test:8000' }],
      ['its own, by TLS of a proxy', { Host: 'gate.test', Origin: 'https://gate.test' }],
      ['its own, with the port of the scheme', { Host: 'gate.test:443', Origin: 'https://gate.test' }],
      ['its own, in other letters', { Host: 'Gate.Test', Origin: 'https://gate.test' }],
      ['its public address', { Origin: 'https://gate.example.org' }],
      ['listed', { Origin: 'https://two.example.com' }],
      [
        'its own as a trusted proxy tells',
        { 'X-Forwarded-Host': 'a.test, gate.test', Origin: 'https://gate.test' },
        { TRUST_PROXY: '1' },
      ],
    ];
    const refused: [string, Record<string, string>, object?][] = [
      ['foreign', { Origin: 'https://evil.example' }],
      ['null', { Origin: 'null' }],
      ['empty', { Origin: '' }],
      ['of another scheme', { Origin: 'http://app.example.com' }],
      ['of another port', { Host: 'gate.test:8000', Origin: 'http://gate.test:8001' }],
      ['that begins like a listed one', { Origin: 'https://app.example.com.evil.example' }],
      ['that is no origin but an address', { Origin: 'https://app.example.com/' }],
      ['of an extension', { Host: 'gate.test', Origin: 'chrome-extension://gate.test' }],
      ['its own as anybody tells', { 'X-Forwarded-Host': 'gate.test', Origin: 'https://gate.test' }],
      [
        'other than a trusted proxy tells',
        { 'X-Forwarded-Host': 'evil.example, gate.test', Origin: 'https://evil.example' },
        { TRUST_PROXY: '1' },
      ],
    ];

    /** Each way in which a browser gets to the engine. */
    async function tryAll(headers: Record<string, string>, environment: object): Promise<Answer[]> {
      const port = await start({ ...KNOWN, ...environment });
      const [one, two] = [await openSession(port), await openSession(port)];
      return Promise.all([
        ask(port, `${PATH}polling`, { headers }),
        ask(port, `${PATH}polling&sid=${one}`, { method: 'POST', headers }, '40/broadcasting,{"token":"secret"}'),
        ask(port, `${PATH}websocket`, { headers: { ...UPGRADE, ...headers } }),
        ask(port, `${PATH}websocket&sid=${two}`, { headers: { ...UPGRADE, ...headers } }),
      ]);
    }

    it.each(allowed)('lets a request in whose origin is %s', async (_what, headers, environment = {}) => {
      const answers = await tryAll(headers, environment);
      expect(answers.map(({ status }) => status)).toEqual([200, 200, 101, 101]);
      expect(logged.warn).not.toHaveBeenCalled();
    });

    it.each(refused)('refuses an origin %s', async (_what, headers, environment = {}) => {
      const answers = await tryAll(headers, environment);
      for (const { status, headers, body } of answers) {
        expect(status).toBe(403);
        expect(body).toEqual({
          detail: 'Connections from this origin are not allowed',
          status: 'error',
          code: 403,
          error_code: 'origin_not_allowed',
          request_id: headers['x-request-id'],
        });
        expect(headers).toMatchObject({
          'content-type': 'application/json; charset=utf-8',
          'x-content-type-options': 'nosniff',
          'cache-control': 'no-store',
        });
        expect(headers['access-control-allow-origin']).toBeUndefined();
        expect(logged.warn).toHaveBeenCalledWith(expect.stringContaining(body.request_id));
      }
    });

    it('tells browsers of listed origins that they may read', async () => {
      const port = await start(KNOWN);
      const headers = { Origin: 'https://two.example.com', 'Access-Control-Request-Method': 'POST' };
      for (const method of ['GET', 'OPTIONS']) {
        const answer = await ask(port, `${PATH}polling`, { method, headers });
        expect(answer.headers['access-control-allow-origin']).toBe('https://two.example.com');
        expect(answer.headers['access-control-allow-credentials']).toBeUndefined();
      }
      const preflight = { method: 'OPTIONS', headers: { ...headers, Origin: 'https://evil.example' } };
      expect((await ask(port, `${PATH}polling`, preflight)).headers['access-control-allow-origin']).toBeUndefined();
    });
  });

  describe('requests', () => {
    it('answers polls that nobody keeps and nobody takes for a page', async () => {
      const port = await start();
      const sid = await openSession(port);
      const [handshake, post] = [
        await ask(port, `${PATH}polling`),
        await ask(port, `${PATH}polling&sid=${sid}`, { method: 'POST' }, '40/broadcasting,'),
      ];
      for (const { status, headers } of [handshake, post]) {
        expect(status).toBe(200);
        expect(headers).toMatchObject({ 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' });
        expect(headers['set-cookie']).toBeUndefined();
      }
    });

    it.each([
      ['a session that is not there', 'GET', `${PATH}polling&sid=guessed`, 400, 'malformed_request'],
      ['an unknown transport', 'GET', `${PATH}carrier-pigeon`, 400, 'malformed_request'],
      ['an old protocol', 'GET', '/socket.io/?EIO=3&transport=polling&token=secret', 400, 'malformed_request'],
      ['another method', 'PUT', `${PATH}polling`, 405, 'method_not_allowed'],
    ])('answers %s with the body of all errors', async (_what, method, path, status, error_code) => {
      const answer = await ask(await start(), path, { method });
      expect(answer).toMatchObject({ status, body: { status: 'error', code: status, error_code } });
      expect(answer.headers).toMatchObject({
        'content-type': 'application/json; charset=utf-8',
        'x-content-type-options': 'nosniff',
        'x-request-id': answer.body.request_id,
      });
    });

    it('leaves the other paths to the application, and serves no client', async () => {
      const port = await start();
      for (const path of ['/socket.io/socket.io.js', '/other'])
        expect((await ask(port, path)).status).toBe(path === '/other' ? 404 : 400);
    });

    it('cuts a request whose body does not come', async () => {
      const port = await start({ REQUEST_TIMEOUT: '1' });
      const sid = await openSession(port);
      const poll = ask(port, `${PATH}polling&sid=${sid}`);
      const socket = connect(port, '127.0.0.1');
      socket.write(`POST ${PATH}polling&sid=${sid} HTTP/1.1\r\nHost: gate.test\r\nContent-Length: 100\r\n\r\n40`);
      await once(socket.resume(), 'close');
      expect(await poll).toMatchObject({ status: 200, body: CLOSE_PACKET });
    });
  });

  describe('namespaces', () => {
    it.each(['polling', 'websocket'])('takes nobody into the main one, by %s', async (transport) => {
      const error = await failure(client(await start(), { transports: [transport] }, '/'));
      expect(error.message).toBe('Not found');
      expect(error.data).toEqual({
        detail: 'Not found',
        status: 'error',
        code: 404,
        error_code: 'not_found',
        request_id: expect.stringMatching(/^[\da-f-]{36}$/),
      });
    });

    it('knows no other', async () => {
      expect(await failure(client(await start(), {}, '/other'))).toMatchObject({ message: 'Invalid namespace' });
    });

    it.each([
      ['auth', { auth: { token: 'secret' } }],
      ['the header', { auth: {}, extraHeaders: { authorization: 'secret' } }],
    ])('takes a token from %s', async (_where, options) => {
      expect((await connected(await start(), options)).connected).toBe(true);
    });

    it.each(['token', 'access_token', 'auth', 'auth[token]', 'authorization'])(
      'takes no token from the URL, as %s',
      async (name) => {
        const error = await failure(client(await start(), { auth: {}, query: { [name]: 'secret' } }));
        expect(error.message).toBe('no token');
      },
    );
  });

  describe('asking to be let in', () => {
    it('has an end on each connection', async () => {
      const port = await start();
      const sid = await openSession(port);
      const askTimes = (times: number) =>
        ask(port, `${PATH}polling&sid=${sid}`, { method: 'POST' }, Array(times).fill('40/broadcasting,').join('\x1e'));
      expect(await askTimes(10)).toMatchObject({ status: 200 });
      expect(await ask(port, `${PATH}polling&sid=${sid}`)).toMatchObject({ status: 200 });
      await askTimes(1);
      expect(await ask(port, `${PATH}polling&sid=${sid}`)).toMatchObject({ status: 400 });
    });
  });

  describe('messages', () => {
    it.each([
      ['one value', 'echo', [{ a: 1 }], { ok: true, data: { a: 1 } }],
      ['no value', 'echo', [], { ok: true }],
      ['null', 'echo', [null], { ok: true, data: null }],
      ['a list', 'echo', [[1, 2]], { ok: true, data: [1, 2] }],
      ['several values', 'echo', [1, 'two'], { ok: true, data: [1, 'two'] }],
      ['a promise', 'later', [1], { ok: true, data: 1 }],
      ['an observable', 'observable', [1], { ok: true, data: 1 }],
      ['a response that looks like an event', 'named', [], { event: 'other', data: 1 }],
      ['a falsy response', 'falsy', [], 0],
      ['an acknowledgement by hand', 'manual', [], 'by hand'],
      ['a handler that throws', 'throws', ['on purpose'], { ok: false, error: 'on purpose' }],
      ['a handler that rejects', 'rejects', ['on purpose'], { ok: false, error: 'on purpose' }],
    ])('answers %s in the acknowledgement', async (_what, event, given, expected) => {
      const socket = await connected(await start());
      expect(await socket.emitWithAck(event, ...given)).toEqual(expected);
      expect(logged.error).not.toHaveBeenCalled();
    });

    it('sends nothing to a client that wants no acknowledgement', async () => {
      const port = await start();
      const socket = await connected(port);
      const heard: unknown[] = [];
      socket.onAny((...message) => heard.push(message));
      for (const event of ['echo', 'later', 'observable', 'named', 'manual']) socket.emit(event, 'unanswered');
      expect(await socket.emitWithAck('echo', 'last')).toEqual({ ok: true, data: 'last' });
      expect(apps[0].get(TestGateway).received).toEqual(['unanswered', 'last']);
      expect(heard).toEqual([]);
    });

    it.each([
      ['nothing', undefined],
      ['observable', 'empty'],
    ])('does not answer when there is no response: %s', async (event, data) => {
      const socket = await connected(await start());
      const answered = jest.fn();
      socket.emit(event, data, answered);
      await socket.emitWithAck('echo');
      expect(answered).not.toHaveBeenCalled();
    });

    it('logs what its filter lets through, and goes on', async () => {
      const socket = await connected(await start());
      socket.emit('throws', 'unanswerable', () => undefined);
      expect(await socket.emitWithAck('echo', 1)).toEqual({ ok: true, data: 1 });
      expect(logged.error).toHaveBeenCalledWith(
        'A handler of a socket event failed',
        expect.stringContaining('unanswerable'),
      );
    });

    it('takes a message that is too large for a channel, so that it can be answered', async () => {
      const socket = await connected(await start(), { transports: ['websocket'] });
      const data = 'x'.repeat(200 * 1024);
      expect(await socket.emitWithAck('echo', data)).toEqual({ ok: true, data });
    });

    it('cuts a connection that sends more, and that one only', async () => {
      const port = await start();
      const [sender, other] = [await connected(port, { transports: ['websocket'] }), await connected(port)];
      const cut = disconnection(sender);
      sender.emit('echo', 'x'.repeat(300 * 1024));
      expect(await cut).toMatch(/^transport (close|error)$/);
      expect(await other.emitWithAck('echo', 1)).toEqual({ ok: true, data: 1 });
      const sid = await openSession(port);
      const body = `40/broadcasting,{"token":"${'x'.repeat(300 * 1024)}"}`;
      expect(await ask(port, `${PATH}polling&sid=${sid}`, { method: 'POST' }, body)).toMatchObject({ status: 413 });
      expect(apps[0].get(TestGateway).received).toEqual([1]);
    });
  });

  describe('at the end', () => {
    it.each(['websocket', 'polling'])(
      'closes its clients’ transports (%s), and they come back to the next',
      async (transport) => {
        const port = await start();
        const sockets = await Promise.all(
          Array.from({ length: 20 }, () => connected(port, { transports: [transport] })),
        );
        const idle = new http.Agent({ keepAlive: true });
        await ask(port, '/other', { agent: idle });
        const reasons = sockets.map(disconnection);
        const returns = sockets.map(
          (socket) => new Promise((resolve) => socket.once('connect', resolve as () => void)),
        );
        await apps.pop()?.close();
        expect(new Set(await Promise.all(reasons))).toEqual(new Set(['transport close']));
        await start({}, port);
        await Promise.all(returns);
        idle.destroy();
      },
    );

    it('waits for nobody who does not answer, and lets nobody in meanwhile', async () => {
      const port = await start();
      const deaf = http.request({ port, host: '127.0.0.1', path: `${PATH}websocket`, headers: UPGRADE, agent: false });
      deaf.end();
      const [, silent] = await once(deaf, 'upgrade');
      silent.pause();
      const socket = await connected(port, { transports: ['websocket'], reconnection: false });
      const over = disconnection(socket);
      const closing = apps.pop()?.close();
      expect(await over).toBe('transport close');
      for (const answer of [
        await ask(port, `${PATH}polling`),
        await ask(port, `${PATH}websocket`, { headers: UPGRADE }),
      ]) {
        expect(answer).toMatchObject({ status: 503, body: { error_code: 'service_unavailable' } });
        expect(answer.headers.connection).toBe('close');
      }
      await closing;
      silent.destroy();
    });
  });
});
