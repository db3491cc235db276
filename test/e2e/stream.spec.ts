import { once } from 'node:events';
import { existsSync } from 'node:fs';
import http, { type IncomingMessage, type ServerResponse } from 'node:http';
import net from 'node:net';
import { StringDecoder } from 'node:string_decoder';
import { setTimeout as delay } from 'node:timers/promises';
import { JwtService } from '@nestjs/jwt';
import { type Browser, chromium } from 'playwright-core';
import { AccessTokens } from '../../src/auth/tokens/access-tokens.js';
import { type LiveConnection, LiveConnections } from '../../src/broadcasting/connections/live-connections.js';
import { LocalAudience } from '../../src/broadcasting/delivery/local-audience.js';
import { claimsOf, forgeJwt } from '../security/tools.js';
import { aSignedInUser, anAdmin, type SignedIn } from '../support/builders.js';
import { Program, temporaryDataDir } from '../support/program.js';
import { startTestApp, type TestApp } from '../support/test-app.js';
import { createTestDatabase } from '../support/test-database.js';

const SECRET = 'the secret that signs the tokens of this file: 77c2';
const STREAM = '/api/v1/broadcasting/stream';
const CHROMIUM = process.env.CHROMIUM_PATH ?? '/usr/bin/chromium';
const inBrowser = existsSync(CHROMIUM) ? describe : describe.skip;

interface Frame {
  event: string;
  data: any;
  /** What a client that is cut off now sends as `Last-Event-ID`. */
  lastEventId: string;
}

/** What a browser makes of the bytes of an event stream (WHATWG HTML, section 9.2.6). */
class FrameParser {
  readonly frames: Frame[] = [];
  readonly comments: string[] = [];
  retry: number | null = null;
  lastEventId = '';
  private readonly decoder = new StringDecoder('utf8');
  private rest = '';
  private event = '';
  private data: string[] = [];

  feed(bytes: Buffer): void {
    const lines = (this.rest + this.decoder.write(bytes)).split('\n');
    this.rest = lines.pop() ?? '';
    for (const line of lines) this.take(line);
  }

  private take(line: string): void {
    if (line === '') return this.dispatch();
    const [, name, value] = /^([^:]*):? ?(.*)$/.exec(line) as RegExpExecArray;
    if (name === '') this.comments.push(value);
    else if (name === 'event') this.event = value;
    else if (name === 'data') this.data.push(value);
    else if (name === 'id') this.lastEventId = value;
    else if (name === 'retry') this.retry = Number(value);
    else throw new Error(`a line that says nothing: ${line}`);
  }

  private dispatch(): void {
    if (this.data.length > 0)
      this.frames.push({ event: this.event, data: JSON.parse(this.data.join('\n')), lastEventId: this.lastEventId });
    this.event = '';
    this.data = [];
  }
}

/** A client that reads a stream as curl does. */
class StreamReader extends FrameParser {
  readonly bytes: Buffer[] = [];
  readonly ended: Promise<void>;
  isOver = false;
  private advanced: () => void = () => undefined;

  private constructor(readonly response: IncomingMessage) {
    super();
    response.on('data', (chunk: Buffer) => {
      this.bytes.push(chunk);
      this.feed(chunk);
      this.advanced();
    });
    // Being cut off is one way to end.
    response.on('error', () => undefined);
    this.ended = new Promise((resolve) =>
      response.once('close', () => {
        this.isOver = true;
        this.advanced();
        resolve();
      }),
    );
  }

  static async open(url: string, path: string, headers: Record<string, string> = {}): Promise<StreamReader> {
    const request = http.get(url + path, { headers, agent: false });
    const [response] = (await once(request, 'response')) as [IncomingMessage];
    return new StreamReader(response);
  }

  get sequences(): number[] {
    return this.frames.filter(({ event }) => event === 'message').map(({ data }) => data.sequence as number);
  }

  async until(isReached: (reader: this) => boolean): Promise<void> {
    while (!isReached(this)) {
      if (this.isOver) throw new Error(`ended before: ${Buffer.concat(this.bytes).toString()}`);
      await new Promise<void>((resolve) => (this.advanced = resolve));
    }
  }

  async next(event: string): Promise<any> {
    await this.until(({ frames }) => frames.some((frame) => frame.event === event));
    return this.frames.find((frame) => frame.event === event)?.data;
  }

  close(): Promise<void> {
    this.response.destroy();
    return this.ended;
  }
}

/** A stream from within. */
interface ServerSide extends LiveConnection {
  readonly isBusy: boolean;
  readonly response: ServerResponse;
  close(): void;
}

const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i);

let channels = 0;
const aChannel = (prefix = '') => `${prefix}stream-${++channels}`;

describe('event streams', () => {
  let app: TestApp;
  let admin: SignedIn;
  let user: SignedIn;
  const readers: StreamReader[] = [];

  const publishTo = async (channel: string, data: unknown = null, more: object = {}) => {
    const message = { channel, event: 'test', data, ...more };
    const { body } = await app.http.post('/api/v1/broadcasting/messages').set(admin.auth).send(message).expect(201);
    return body;
  };

  const publishMany = async (channel: string, count: number) => {
    for (let n = 1; n <= count; n++) await publishTo(channel, n);
  };

  const open = async (query: string, headers: Record<string, string> = user.auth) => {
    const reader = await StreamReader.open(app.url, `${STREAM}?${query}`, headers);
    readers.push(reader);
    return reader;
  };

  const ticketFor = async (signedIn: SignedIn): Promise<string> => {
    const { body } = await app.http.post(`${STREAM}/ticket`).set(signedIn.auth).expect(201);
    return body.ticket;
  };

  const streamsOf = (signedIn: SignedIn) => app.app.get(LiveConnections).ofUser(signedIn.id) as ServerSide[];

  /** What happens in the server after the client has gone is told to nobody. */
  const eventually = async (isSo: () => boolean) => {
    while (!isSo()) await delay(10);
  };

  beforeAll(async () => {
    app = await startTestApp({ JWT_SECRET: SECRET, SOCKET_CONNECTIONS: '5', SOCKET_BUFFER: '65536' });
    admin = await anAdmin(app);
  });
  beforeEach(async () => {
    user = await aSignedInUser(app);
  });
  afterEach(() => Promise.all(readers.splice(0).map((reader) => reader.close())));
  afterAll(() => app.close());

  describe('what is read', () => {
    it('is the answer to the subscription and then the messages of the channel, in their order', async () => {
      const [channel, other] = [aChannel(), aChannel()];
      const reader = await open(`channel=${channel}`);
      const subscribed = await reader.next('subscribed');
      expect(subscribed).toEqual({ channel, epoch: expect.any(String), sequence: 0, recovered: true });
      expect(reader.retry).toBe(2000);
      const text = 'two\nlines: “ü” 🚪';
      const published = [await publishTo(channel, { text }), await publishTo(channel, [1, null])];
      await publishTo(other);
      published.push(await publishTo(channel));
      await reader.until(({ frames }) => frames.length === 4);
      expect(reader.frames.slice(1)).toEqual(
        published.map((data, i) => ({ event: 'message', data, lastEventId: String(i + 1) })),
      );
      expect(published[0]).toMatchObject({ data: { text }, epoch: subscribed.epoch, sender_id: admin.id });
    });

    it('is the same wherever the bytes are split', async () => {
      const channel = aChannel();
      const reader = await open(`channel=${channel}`);
      const published = await publishTo(channel, '€ “🚪” \r\n data: x');
      await reader.next('message');
      const parser = new FrameParser();
      for (const byte of Buffer.concat(reader.bytes)) parser.feed(Buffer.from([byte]));
      expect(parser.frames).toEqual(reader.frames);
      expect(parser.frames[1].data).toEqual(published);
    });

    it('comes with the headers of a stream, and those of every answer', async () => {
      const { response } = await open(`channel=${aChannel()}`);
      expect([response.statusCode, response.headers]).toEqual([
        200,
        expect.objectContaining({
          'content-type': 'text/event-stream; charset=utf-8',
          'cache-control': 'no-store',
          'x-accel-buffering': 'no',
          'x-request-id': expect.stringMatching(/^[0-9a-f-]{36}$/),
          'x-content-type-options': 'nosniff',
        }),
      ]);
      expect(response.rawHeaders.filter((name) => name.toLowerCase() === 'cache-control')).toHaveLength(1);
    });

    it('has no place for a message that is not durable', async () => {
      const channel = aChannel();
      const reader = await open(`channel=${channel}`);
      await publishTo(channel);
      const published = await publishTo(channel, 'now', { durable: false });
      await reader.until(({ frames }) => frames.length === 3);
      expect(reader.frames[2]).toEqual({ event: 'message', data: published, lastEventId: '1' });
      expect(published.sequence).toBeNull();
      expect(Buffer.concat(reader.bytes).toString().match(/^id:/gm)).toHaveLength(2);
    });

    it('tells who comes and goes in a presence channel', async () => {
      const channel = aChannel('presence-');
      const reader = await open(`channel=${channel}`);
      expect((await reader.next('subscribed')).members).toEqual([
        { id: user.id, username: user.username, full_name: null },
      ]);
      const other = await aSignedInUser(app);
      const come = await open(`channel=${channel}`, other.auth);
      const shown = { channel, user: { id: other.id, username: other.username, full_name: null } };
      expect(await reader.next('presence:joined')).toEqual(shown);
      await come.close();
      expect(await reader.next('presence:left')).toEqual(shown);
      expect(reader.lastEventId).toBe('0');
    });

    it('has a heartbeat', async () => {
      jest.useFakeTimers({
        doNotFake: ['Date', 'hrtime', 'nextTick', 'performance', 'queueMicrotask', 'setImmediate', 'clearImmediate']
          .concat(['setTimeout', 'clearTimeout'])
          .map((name) => name as 'Date'),
      });
      try {
        const reader = await open(`channel=${aChannel()}`);
        await reader.next('subscribed');
        jest.advanceTimersByTime(30_000);
        await reader.until(({ comments }) => comments.length === 2);
        expect(reader.comments).toEqual(['ping', 'ping']);
      } finally {
        jest.useRealTimers();
      }
    });

    it('is read by a client of HTTP/1.0 too', async () => {
      const channel = aChannel();
      const socket = net.connect(app.port, '127.0.0.1');
      socket.write(`GET ${STREAM}?channel=${channel} HTTP/1.0\r\nAuthorization: ${user.auth.Authorization}\r\n\r\n`);
      let received = '';
      socket.on('data', (chunk: Buffer) => (received += chunk.toString()));
      while (!received.includes('event: subscribed')) await once(socket, 'data');
      await publishTo(channel, 'hello');
      while (!received.includes('"hello"')) await once(socket, 'data');
      socket.destroy();
      expect(received).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
      expect(received).not.toMatch(/transfer-encoding/i);
    });

    it('is not begun by HEAD', async () => {
      const { headers } = await app.http.head(`${STREAM}?channel=${aChannel()}`).set(user.auth).expect(200);
      expect(headers['content-type']).toBe('text/event-stream; charset=utf-8');
      await app.http.head(`${STREAM}?channel=private-user.${admin.id}`).set(user.auth).expect(403);
      expect(streamsOf(user)).toEqual([]);
    });
  });

  describe('coming back', () => {
    it('misses nothing and repeats nothing, while messages go on being published', async () => {
      const channel = aChannel();
      await publishMany(channel, 130);
      const publishing = publishMany(channel, 150);
      const byParameter = await open(`channel=${channel}&after=7`);
      const byHeader = await open(`channel=${channel}&after=3`, { ...user.auth, 'Last-Event-ID': '20' });
      await byHeader.until(({ sequences }) => sequences.length >= 115);
      const { lastEventId, sequences } = byHeader;
      await byHeader.close();
      const again = await open(`channel=${channel}&after=3`, { ...user.auth, 'Last-Event-ID': lastEventId });
      await publishing;
      await again.until((reader) => reader.sequences.at(-1) === 280);
      await byParameter.until((reader) => reader.sequences.at(-1) === 280);
      expect(byParameter.sequences).toEqual(range(8, 280));
      expect([...sequences, ...again.sequences]).toEqual(range(21, 280));
      expect(again.frames[0].data).toMatchObject({ recovered: true });
    });

    it('misses nothing when it was cut off before the first message', async () => {
      const channel = aChannel();
      await publishMany(channel, 2);
      const first = await open(`channel=${channel}`);
      await first.next('subscribed');
      expect(first.lastEventId).toBe('2');
      await first.close();
      const replayed = await open(`channel=${channel}&after=0`);
      await replayed.next('subscribed');
      expect(replayed.frames[0].lastEventId).toBe('0');
      await publishTo(channel);
      const again = await open(`channel=${channel}`, { ...user.auth, 'Last-Event-ID': first.lastEventId });
      await again.next('message');
      expect(again.sequences).toEqual([3]);
    });

    it('is told when what it asks for is not kept, and gets what is', async () => {
      const channel = aChannel();
      await publishMany(channel, 5);
      await app.pool.query(
        `WITH c AS (UPDATE channels SET first_sequence = 4 WHERE name = $1 RETURNING id)
         DELETE FROM messages USING c WHERE channel_id = c.id AND sequence < 4`,
        [channel],
      );
      const reader = await open(`channel=${channel}&after=1`);
      expect(await reader.next('subscribed')).toMatchObject({ recovered: false, first_sequence: 4, sequence: 5 });
      expect(reader.frames[0].lastEventId).toBe('3');
      await reader.until(({ sequences }) => sequences.length === 2);
      expect(reader.sequences).toEqual([4, 5]);
      const ahead = await open(`channel=${channel}`, { ...user.auth, 'Last-Event-ID': '77' });
      expect(await ahead.next('subscribed')).toMatchObject({ recovered: false, first_sequence: 4 });
    });
  });

  describe('refusals come before the first byte, as every error does', () => {
    it.each(['x', '-1', '1.5', '1e3', '0x10', '9'.repeat(16), '1, 2'])('Last-Event-ID: %s is 422', async (given) => {
      const { body } = await app.http
        .get(`${STREAM}?channel=news`)
        .set(user.auth)
        .set('Last-Event-ID', given)
        .expect(422);
      expect(body).toMatchObject({
        error_code: 'validation_error',
        detail: [{ loc: ['header', 'Last-Event-ID'], type: 'type_error.integer' }],
        field_errors: { 'Last-Event-ID': [expect.any(String)] },
      });
    });

    it.each(['', 'channel=', 'channel=a%20b', 'channel=news&after=-1', 'channel=news&after=x', 'channel=news&more=1'])(
      '?%s is 422',
      async (query) => {
        const { body } = await app.http.get(`${STREAM}?${query}`).set(user.auth).expect(422);
        expect(body.error_code).toBe('validation_error');
      },
    );

    it('a name that names no channel is 422', async () => {
      const { body } = await app.http.get(`${STREAM}?channel=private-user.nobody`).set(user.auth).expect(422);
      expect(body.error_code).toBe('invalid_channel');
    });

    it('the private channel of another is 403, for admins too; their own is open', async () => {
      const channel = `private-user.${user.id}`;
      for (const { auth } of [admin, await aSignedInUser(app)]) {
        const { body } = await app.http.get(`${STREAM}?channel=${channel}`).set(auth).expect(403);
        expect(body.error_code).toBe('channel_forbidden');
      }
      const reader = await open(`channel=${channel}`);
      await reader.next('subscribed');
      expect(streamsOf(user)).toHaveLength(1);
    });

    it('without credentials, or with bad ones, it is 401', async () => {
      const guest = await app.http.get(`${STREAM}?channel=news`).expect(401);
      expect(guest.body.error_code).toBe('not_authenticated');
      const bad = await app.http.get(`${STREAM}?channel=news`).set('Authorization', 'Bearer x').expect(401);
      expect(bad.body.error_code).toBe('invalid_token');
    });

    it('one more than a user may have is 429, until one of them goes', async () => {
      const five = await Promise.all(range(1, 5).map(() => open(`channel=${aChannel()}`)));
      const { body, headers } = await app.http.get(`${STREAM}?channel=news`).set(user.auth).expect(429);
      expect(body.error_code).toBe('too_many_connections');
      expect(headers['retry-after']).toMatch(/^\d+$/);
      await five[0].close();
      await eventually(() => streamsOf(user).length === 4);
      expect((await open(`channel=${aChannel()}`)).response.statusCode).toBe(200);
    });

    it('leave no connection behind', async () => {
      await app.http.get(`${STREAM}?channel=private-user.${admin.id}`).set(user.auth).expect(403);
      expect(streamsOf(user)).toEqual([]);
    });
  });

  describe('tickets', () => {
    const openWith = (ticket: string) => app.http.get(`${STREAM}?channel=news&ticket=${ticket}`);

    it('open a stream without a header, for a minute', async () => {
      const { body } = await app.http.post(`${STREAM}/ticket`).set(user.auth).expect(201);
      expect(body).toEqual({ ticket: expect.any(String), expires_in: 60 });
      const claims = claimsOf(body.ticket) as Record<string, number>;
      expect(claims).toMatchObject({ sub: user.id, role: 'user', aud: 'gatehouse-stream', iss: 'gatehouse' });
      expect(claims.exp - claims.iat).toBe(60);
      const channel = `private-user.${user.id}`;
      const reader = await open(`channel=${channel}&ticket=${body.ticket}`, {});
      const published = await publishTo(channel);
      expect(await reader.next('message')).toEqual(published);
      // It lasts as an access token would.
      expect(streamsOf(user)[0].claims.exp - claims.iat).toBeGreaterThanOrEqual(900);
    });

    it('are not given without credentials, nor for a ticket', async () => {
      await app.http.post(`${STREAM}/ticket`).expect(401);
      await app.http.post(`${STREAM}/ticket?ticket=${await ticketFor(user)}`).expect(401);
    });

    it('are good for nothing else', async () => {
      const ticket = await ticketFor(user);
      for (const path of ['/api/v1/users/me', `${STREAM}?channel=news`]) {
        const { body } = await app.http.get(path).set('Authorization', `Bearer ${ticket}`).expect(401);
        expect(body.error_code).toBe('invalid_token');
      }
      await app.http.get(`/api/v1/users/me?ticket=${ticket}`).expect(401);
      await app.http.get(`/api/v1/broadcasting/messages?channel=news&ticket=${ticket}`).expect(401);
    });

    it('are not tokens: an access or refresh token in the URL is refused', async () => {
      for (const token of [user.accessToken, user.refreshToken, 'x', '', 'x'.repeat(4_000)]) {
        const { body } = await openWith(token).expect(401);
        expect(body.error_code).toBe('invalid_token');
      }
    });

    it('do not help a bad header', async () => {
      await openWith(await ticketFor(user))
        .set('Authorization', 'Bearer x')
        .expect(401);
    });

    it('of another key, algorithm, purpose or time are refused', async () => {
      const good = claimsOf(await ticketFor(user));
      const header = { alg: 'HS256', typ: 'JWT' };
      const now = Math.floor(Date.now() / 1000);
      for (const forged of [
        forgeJwt(header, good, 'another secret'),
        forgeJwt({ alg: 'none', typ: 'JWT' }, good, SECRET, ''),
        forgeJwt({ alg: 'HS512', typ: 'JWT' }, good, SECRET),
        forgeJwt(header, { ...good, aud: 'gatehouse-api' }, SECRET),
        forgeJwt(header, { ...good, iss: 'another' }, SECRET),
        forgeJwt(header, { ...good, exp: now - 1 }, SECRET),
        forgeJwt(header, { ...good, sid: claimsOf(admin.accessToken).sid }, SECRET),
      ])
        await openWith(forged).expect(401);
      const expired = app.app
        .get(JwtService, { strict: false })
        .sign({ sid: good.sid, role: 'user' }, { subject: user.id, audience: 'gatehouse-stream', expiresIn: -1 });
      const { body } = await openWith(expired).expect(401);
      expect(body.error_code).toBe('invalid_token');
    });

    it('end with their session', async () => {
      const ticket = await ticketFor(user);
      await app.http.post('/api/v1/auth/logout').set(user.auth).expect(204);
      const { body } = await openWith(ticket).expect(401);
      expect(body.error_code).toBe('invalid_token');
    });

    it('are in no line of the log', async () => {
      const ticket = await ticketFor(user);
      const reader = await open(`channel=news&ticket=${ticket}`, {});
      await reader.next('subscribed');
      await reader.close();
      await openWith(`${ticket}x`).expect(401);
      expect(app.log.join('')).not.toContain(ticket);
    });

    it('count for their user, in the limits', async () => {
      const limited = await startTestApp({ RATE_LIMIT_ENABLED: 'true', RATE_LIMIT_USER: '20/60' });
      const somebody = await aSignedInUser(limited);
      const { body } = await limited.http.post(`${STREAM}/ticket`).set(somebody.auth).expect(201);
      const { headers } = await limited.http.head(`${STREAM}?channel=news&ticket=${body.ticket}`).expect(200);
      await limited.close();
      expect(headers).toMatchObject({ 'x-ratelimit-limit': '20', 'x-ratelimit-remaining': '18' });
    });
  });

  describe('the end', () => {
    it.each([
      ['logged_out', () => app.http.post('/api/v1/auth/logout').set(user.auth).expect(204)],
      ['account_disabled', () => app.pool.query('UPDATE users SET is_active = false WHERE id = $1', [user.id])],
      ['role_changed', () => app.pool.query("UPDATE users SET role = 'admin' WHERE id = $1", [user.id])],
    ])('comes with what the access rests on: %s', async (reason, change) => {
      const reader = await open(`channel=${aChannel()}`);
      await reader.next('subscribed');
      await change();
      expect(await reader.next('session:ended')).toEqual({ reason });
      await reader.ended;
      expect(reader.response.complete).toBe(true);
      await eventually(() => streamsOf(user).length === 0);
    });

    it('comes when the access token expires', async () => {
      const claims = { ...claimsOf(user.accessToken), exp: Math.ceil(Date.now() / 1000) + 5 };
      const token = forgeJwt({ alg: 'HS256', typ: 'JWT' }, claims, SECRET);
      const reader = await open(`channel=${aChannel()}`, { Authorization: `Bearer ${token}` });
      expect(await reader.next('session:ended')).toEqual({ reason: 'token_expired' });
      await reader.ended;
    });

    it('comes when the user is no member any more', async () => {
      const channel = aChannel('private-');
      const path = `/api/v1/broadcasting/channels/${channel}/members/${user.id}`;
      await app.http.put(path).set(admin.auth).expect(204);
      const reader = await open(`channel=${channel}`);
      await reader.next('subscribed');
      await app.http.delete(path).set(admin.auth).expect(204);
      expect(await reader.next('unsubscribed')).toEqual({ channel, reason: 'membership_removed' });
      await reader.ended;
    });

    it('of the client leaves nothing in the server', async () => {
      const channel = aChannel();
      const reader = await open(`channel=${channel}`);
      await reader.next('subscribed');
      await reader.close();
      await eventually(() => streamsOf(user).length === 0);
      await publishTo(channel);
    });

    it('that comes while it is being opened is a 401, not a stream', async () => {
      const tokens = app.app.get(AccessTokens);
      const claims = tokens.verify(user.accessToken);
      // As if the logout had come between the guard and the controller.
      jest.spyOn(tokens, 'claimsOf').mockImplementation((request) => {
        if (!request.principal) return claims;
        return { ...claims, sid: '00000000-0000-7000-8000-000000000000' } as typeof claims;
      });
      try {
        await app.http.get(`${STREAM}?channel=news`).set(user.auth).expect(401);
      } finally {
        jest.restoreAllMocks();
      }
      expect(streamsOf(user)).toEqual([]);
    });

    it('of the server does not wait for the readers', async () => {
      const own = await startTestApp();
      const { auth } = await aSignedInUser(own);
      const reader = await StreamReader.open(own.url, `${STREAM}?channel=news`, auth);
      await reader.next('subscribed');
      await own.close();
      await reader.ended;
      expect(reader.response.complete).toBe(true);
      expect(reader.frames.map(({ event }) => event)).toEqual(['subscribed']);
    });

    it('of the process does not wait for the readers either', async () => {
      const database = await createTestDatabase();
      const data = temporaryDataDir();
      const { user: name, password, host, port, database: db } = database.connection;
      const credentials = { email: 'first@example.com', password: 'SecurePass123!' };
      const program = new Program({
        PORT: '0',
        HOST: '127.0.0.1',
        DATA_DIR: data.path,
        BCRYPT_COST: '10',
        DATABASE_URL: `postgres://${name}:${encodeURIComponent(password)}@localhost:${port}/${db}?host=${encodeURIComponent(host)}`,
        ADMIN_EMAIL: credentials.email,
        ADMIN_PASSWORD: credentials.password,
      });
      try {
        const client = await program.http();
        const [, url] = await program.says(/listening on (http:\S+)/);
        const { body } = await client.post('/api/v1/auth/login').send(credentials).expect(200);
        const auth = { Authorization: `Bearer ${body.access_token}` };
        const reader = await StreamReader.open(url, `${STREAM}?channel=news`, auth);
        await reader.next('subscribed');
        program.signal('SIGTERM');
        await reader.ended;
        expect(reader.response.complete).toBe(true);
        // After the 25 s of a drain that is held up it would be 1.
        expect(await program.exit()).toEqual({ code: 0, signal: null });
      } finally {
        await program.kill();
        data.remove();
        await database.drop();
      }
    });
  });

  describe('a reader that does not read', () => {
    const KILOBYTES_60 = 'x'.repeat(60_000);

    const stuckReader = async (channel: string) => {
      const socket = net.connect(app.port, '127.0.0.1');
      socket.on('error', () => undefined);
      socket.write(
        `GET ${STREAM}?channel=${channel} HTTP/1.1\r\nHost: x\r\nAuthorization: ${user.auth.Authorization}\r\n\r\n`,
      );
      await once(socket, 'data');
      socket.pause();
      return socket;
    };

    it('is cut, and the server keeps no more for it than it may', async () => {
      const channel = aChannel();
      const socket = await stuckReader(channel);
      const [stream] = streamsOf(user);
      let waiting = 0;
      while (stream.isOpen) {
        await publishTo(channel, KILOBYTES_60);
        waiting = Math.max(waiting, stream.response.writableLength);
      }
      expect(waiting).toBeLessThan(4 * 65_536 + 2 * 61_000);
      const atTheCut = stream.response.writableLength;
      for (let n = 0; n < 5; n++) await publishTo(channel, KILOBYTES_60);
      expect(stream.response.writableLength).toBeLessThanOrEqual(atTheCut);
      await eventually(() => streamsOf(user).length === 0);
      socket.destroy();
    });

    it('is told why when it reads on in time', async () => {
      const channel = aChannel();
      const socket = await stuckReader(channel);
      const [stream] = streamsOf(user);
      while (stream.isOpen) await publishTo(channel, KILOBYTES_60);
      let received = '';
      socket.on('data', (chunk: Buffer) => (received = (received + chunk.toString()).slice(-200)));
      socket.resume();
      await once(socket, 'end');
      expect(received).toContain('event: session:ended\ndata: {"reason":"slow_reader"}\n\n');
    });

    it('is not whoever gets more at once than may wait: a replay, a burst', async () => {
      const channel = aChannel();
      for (let n = 0; n < 20; n++) await publishTo(channel, KILOBYTES_60);
      const reader = await open(`channel=${channel}&after=0`);
      await reader.until(({ sequences }) => sequences.length === 20);
      await Promise.all(range(1, 20).map(() => publishTo(channel, KILOBYTES_60)));
      await reader.until(({ sequences }) => sequences.length === 40);
      expect(reader.sequences).toEqual(range(1, 40));
    });

    it('gets nothing that its own user is not to be told', async () => {
      const channel = aChannel();
      const reader = await open(`channel=${channel}`);
      await reader.next('subscribed');
      const audience = app.app.get(LocalAudience);
      audience.emit(channel, 'message', { sequence: null, data: 'not for this user' }, { exceptUserId: user.id });
      audience.emit(channel, 'message', { sequence: null, data: 'got' });
      expect(await reader.next('message')).toEqual({ sequence: null, data: 'got' });
    });
  });

  inBrowser('EventSource', () => {
    let browser: Browser;
    beforeAll(async () => {
      browser = await chromium.launch({
        executablePath: CHROMIUM,
        args: ['--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking'],
      });
    });
    afterAll(() => browser.close());

    it('opens with a ticket, comes back by itself, and misses nothing', async () => {
      const channel = aChannel();
      const page = await browser.newPage();
      await page.goto(`${app.url}/docs`);
      const path = `${STREAM}?channel=${channel}&ticket=${await ticketFor(user)}`;
      await page.evaluate((url) => {
        const seen: { opened: number; sequences: number[] } = { opened: 0, sequences: [] };
        Object.assign(globalThis, { seen });
        const source = new EventSource(url);
        source.addEventListener('subscribed', () => seen.opened++);
        source.onmessage = ({ data }) => seen.sequences.push((JSON.parse(data) as { sequence: number }).sequence);
      }, path);
      // The page's policy forbids `waitForFunction()`, which evaluates.
      const seen = async (check: string) => {
        while (!(await page.evaluate(check))) await delay(20);
      };
      await seen('seen.opened === 1');
      // Cut off before its first message, and again after some.
      streamsOf(user)[0].response.destroy();
      await publishMany(channel, 3);
      await seen('seen.sequences.length === 3');
      streamsOf(user)[0].close();
      await publishMany(channel, 3);
      await seen('seen.opened === 3 && seen.sequences.length === 6');
      expect(await page.evaluate('seen.sequences')).toEqual(range(1, 6));
      await page.close();
    });
  });
});
