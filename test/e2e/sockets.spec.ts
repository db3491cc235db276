import { JwtService } from '@nestjs/jwt';
import { DataSource } from 'typeorm';
import { v7 as uuidv7 } from 'uuid';
import { SocketTransport } from '../../src/broadcasting/gateway/socket-transport.js';
import { DomainEvents } from '../../src/common/events/domain-events.js';
import { UserDisabledEvent } from '../../src/users/users.events.js';
import { aSignedInUser, anAdmin, aUser, PASSWORD, type SignedIn, signIn } from '../support/builders.js';
import { closeSockets, connect, publishMany, range, refusal, type TestSocket } from '../support/sockets.js';
import { startTestApp, type TestApp } from '../support/test-app.js';

const UUID = expect.stringMatching(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
const TIME = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
const KIB = 1024;

const sidOf = ({ accessToken }: SignedIn): string =>
  JSON.parse(Buffer.from(accessToken.split('.')[1], 'base64url').toString()).sid;

/** A token of the user's session as the program makes them, that ends in so many seconds. */
const tokenFor = (app: TestApp, user: SignedIn, expiresIn: number): string =>
  app.app.get(JwtService).sign({ sid: sidOf(user), role: 'user' }, { subject: user.id, expiresIn });

const errorBody = (code: number, error_code: string) => ({
  detail: expect.anything(),
  status: 'error',
  code,
  error_code,
  request_id: UUID,
});

/** An event as its sender's library would not write it. */
const sendText = (client: TestSocket, text: string): Promise<any> =>
  new Promise((resolve) => {
    const { acks, io } = client.socket as any;
    acks[7_777] = resolve;
    io.engine.write(`2/broadcasting,7777${text}`);
  });

describe('sockets', () => {
  let app: TestApp;
  let user: SignedIn;
  let admin: SignedIn;
  let names = 0;
  const channelName = (prefix = 'room') => `${prefix}-${++names}`;

  beforeAll(async () => {
    app = await startTestApp({ SOCKET_EVENT_RATE: '100000/10', SOCKET_CONNECTIONS: '1000' });
    [user, admin] = [await aSignedInUser(app, { fullName: 'Jo Doe' }), await anAdmin(app)];
  });
  afterEach(() => closeSockets());
  afterAll(() => app.close());

  describe('connecting', () => {
    const bearer = () => ({ Authorization: `Bearer ${user.accessToken}` });

    it.each<[where: string, options: () => object]>([
      ['auth.token', () => ({})],
      ['auth.token, as a header would have it', () => ({ auth: { token: `Bearer ${user.accessToken}` } })],
      ['the Authorization header', () => ({ auth: {}, extraHeaders: bearer() })],
      ['auth.token, before a bad header', () => ({ extraHeaders: { Authorization: 'Bearer nonsense' } })],
      [
        'auth.token, over polling that goes on as a WebSocket',
        () => ({ transports: ['polling', 'websocket'], auth: { token: user.accessToken } }),
      ],
      ['the Authorization header, over polling', () => ({ auth: {}, transports: ['polling'], extraHeaders: bearer() })],
    ])('takes a token from %s, and welcomes its user', async (_where, options) => {
      const client = await connect(app, user, options());
      const { exp } = JSON.parse(Buffer.from(user.accessToken.split('.')[1], 'base64url').toString());
      expect(client.events.map(({ name, payload }) => [name, payload])).toEqual([
        [
          'connected',
          {
            socket_id: client.socket.id,
            user: { id: user.id, username: user.username, full_name: 'Jo Doe' },
            expires_at: new Date(exp * 1000).toISOString(),
          },
        ],
      ]);
    });

    it.each<[what: string, token: () => unknown, code: string]>([
      ['no token', () => undefined, 'not_authenticated'],
      ['an empty token', () => '', 'not_authenticated'],
      ['a list for a token', () => [user.accessToken], 'not_authenticated'],
      ['an object for a token', () => ({ toString: user.accessToken }), 'not_authenticated'],
      ['nonsense', () => 'nonsense', 'invalid_token'],
      ['an expired token', () => tokenFor(app, user, -1), 'invalid_token'],
      [
        'a token that was altered',
        () => user.accessToken.replace(/.{12}$/, (end) => [...end].reverse().join('')),
        'invalid_token',
      ],
      ['a refresh token', () => user.refreshToken, 'invalid_token'],
      [
        'a token without a session',
        () => app.app.get(JwtService).sign({ role: 'admin' }, { subject: user.id }),
        'invalid_token',
      ],
      [
        'a token of a session that never was',
        () => app.app.get(JwtService).sign({ sid: uuidv7(), role: 'admin' }, { subject: user.id }),
        'invalid_token',
      ],
      ['an overlong token', () => 'x'.repeat(100_000), 'invalid_token'],
    ])('refuses %s with the body of all errors', async (_what, token, code) => {
      const body = await refusal(app, null, { auth: { token: token() } });
      expect(body).toEqual(errorBody(401, code));
      expect(body.detail).toBe(code === 'not_authenticated' ? 'Not authenticated' : 'Could not validate credentials');
    });

    it.each<[what: string, end: (who: SignedIn) => Promise<unknown>]>([
      ['who has logged out', (who) => app.http.post('/api/v1/auth/logout').set(who.auth).expect(204)],
      [
        'whose account is disabled',
        ({ id }) => app.pool.query('UPDATE users SET is_active = false WHERE id = $1', [id]),
      ],
      [
        'whose account is deleted',
        (who) => app.http.delete('/api/v1/users/me').set(who.auth).send({ password: PASSWORD }).expect(204),
      ],
    ])('refuses one %s', async (_what, end) => {
      const who = await aSignedInUser(app);
      await end(who);
      expect(await refusal(app, who)).toEqual(errorBody(401, 'invalid_token'));
    });

    it('refuses a stream’s ticket', async () => {
      const { body } = await app.http.post('/api/v1/broadcasting/stream/ticket').set(user.auth).expect(201);
      expect(await refusal(app, { accessToken: body.ticket })).toEqual(errorBody(401, 'invalid_token'));
    });

    it('is refused by a bad header when there is no other token', async () => {
      for (const Authorization of ['Bearer nonsense', `Bearer ${tokenFor(app, user, -1)}`])
        expect(await refusal(app, null, { extraHeaders: { Authorization } })).toEqual(errorBody(401, 'invalid_token'));
      const Authorization = `Basic ${Buffer.from('a:b').toString('base64')}`;
      expect(await refusal(app, null, { extraHeaders: { Authorization } })).toEqual(
        errorBody(401, 'not_authenticated'),
      );
    });
  });

  describe('events', () => {
    let client: TestSocket;
    beforeEach(async () => {
      client = await connect(app, admin);
    });

    it('subscribe answers where the channel is', async () => {
      const channel = channelName();
      expect(await client.subscribe(channel)).toEqual({
        ok: true,
        channel,
        epoch: UUID,
        sequence: 0,
        recovered: true,
      });
      await publishMany(app, channel, 3);
      expect(await client.subscribe(channel)).toMatchObject({ sequence: 3, recovered: true });
    });

    it('subscribe to a presence channel answers its members too', async () => {
      const answer = await client.subscribe(channelName('presence'));
      expect(answer.members).toEqual([{ id: admin.id, username: admin.username, full_name: null }]);
    });

    it('publish answers the message with its place, and every subscriber gets the same', async () => {
      const channel = channelName();
      const [reader, other] = [await connect(app, user), await connect(app, user, { transports: ['polling'] })];
      for (const subscriber of [client, reader, other]) await subscriber.subscribe(channel);
      const data = { title: 'Grüße', list: [1, null, { deep: true }] };
      const { ok, ...message } = await client.publish(channel, 'article.published', data);
      expect(ok).toBe(true);
      expect(message).toEqual({
        id: UUID,
        channel,
        sequence: 1,
        epoch: UUID,
        event: 'article.published',
        data,
        sender_id: admin.id,
        created_at: TIME,
      });
      for (const subscriber of [client, reader, other])
        expect(await subscriber.messages(channel, 1)).toEqual([message]);
    });

    it('what is published over REST arrives as it was answered', async () => {
      const channel = channelName();
      await client.subscribe(channel);
      const { body } = await app.http
        .post('/api/v1/broadcasting/messages')
        .set(admin.auth)
        .send({ channel, event: 'e', data: [1] })
        .expect(201);
      expect(await client.messages(channel, 1)).toEqual([body]);
    });

    it('publish with the same key answers the first message, and sends it once', async () => {
      const channel = channelName();
      await client.subscribe(channel);
      const [first, second] = [
        await client.publish(channel, 'e', { a: 1, b: 2 }, { idempotency_key: 'k' }),
        await client.publish(channel, 'e', { b: 2, a: 1 }, { idempotency_key: 'k' }),
      ];
      expect(second).toEqual(first);
      expect(await client.publish(channel, 'e', { a: 2 }, { idempotency_key: 'k' })).toEqual({
        ok: false,
        error: { ...errorBody(409, 'idempotency_conflict'), field_errors: { idempotency_key: [expect.any(String)] } },
      });
      await client.publish(channel, 'last');
      expect((await client.messages(channel, 2)).map(({ event }) => event)).toEqual(['e', 'last']);
    });

    it('a message that is not durable has no place in the channel and is sent all the same', async () => {
      const channel = channelName();
      await client.subscribe(channel);
      const { ok, ...message } = await client.publish(channel, 'typing', { who: 1 }, { durable: false });
      expect([ok, message.sequence]).toEqual([true, null]);
      expect(await client.messages(channel, 1)).toEqual([message]);
      expect((await client.publish(channel, 'e')).sequence).toBe(1);
    });

    it('unsubscribe stops the messages, and may be said again', async () => {
      const [channel, other] = [channelName(), channelName()];
      for (const name of [channel, other]) await client.subscribe(name);
      await client.publish(channel, 'before');
      await client.messages(channel, 1);
      for (let i = 0; i < 2; i++) expect(await client.unsubscribe(channel)).toEqual({ ok: true, channel });
      await client.publish(channel, 'after');
      await client.publish(other, 'last');
      await client.messages(other, 1);
      expect(client.strays).toEqual([]);
    });

    it('subscribing twice does not double the messages; with `after` it begins there again', async () => {
      const channel = channelName();
      await publishMany(app, channel, 5);
      await client.subscribe(channel, { after: 5 });
      await client.subscribe(channel);
      await publishMany(app, channel, 2, { first: 6 });
      expect((await client.messages(channel, 2)).map(({ sequence }) => sequence)).toEqual([6, 7]);
      expect(await client.subscribe(channel, { after: 3 })).toMatchObject({ sequence: 7, recovered: true });
      await publishMany(app, channel, 1, { first: 8 });
      await client.messages(channel, 5);
      expect(client.sequences(channel)).toEqual([4, 5, 6, 7, 8]);
      expect(client.strays).toEqual([]);
    });

    it('what is asked of one channel without waiting for the answers is done in its order', async () => {
      const channel = channelName();
      await publishMany(app, channel, 200);
      const asked = [0, 50, 100, 150, 180].map((after) => client.ask('subscribe', { channel, after }));
      const left = client.ask('unsubscribe', { channel });
      const joined = client.subscribe(channel, { after: 190 });
      const published = range(1, 20).map((n) => client.publish(channel, 'own', n));
      for (const answer of await Promise.all(asked)) expect(answer).toMatchObject({ ok: true, recovered: true });
      expect(await left).toEqual({ ok: true, channel });
      expect(await joined).toMatchObject({ ok: true, sequence: 200 });
      expect((await Promise.all(published)).map(({ sequence }) => sequence)).toEqual(range(201, 220));
      await client.messages(channel, 30);
      expect(client.sequences(channel)).toEqual(range(191, 220));
      expect(
        client
          .log(channel)
          .slice(10)
          .map(({ data }) => data),
      ).toEqual(range(1, 20));
    });

    it('who leaves while the replay is under way is sent nothing more', async () => {
      const [channel, other] = [channelName(), channelName()];
      await publishMany(app, channel, 1_000, { bytes: 1_000 });
      await client.subscribe(other);
      for (let i = 0; i < 10; i++) {
        client.subscribe(channel, { after: 0 }).catch(() => undefined);
        await client.unsubscribe(channel);
        await publishMany(app, channel, 1);
        await client.publish(other, 'last', i);
        await client.messages(other, i + 1);
        expect(client.strays.filter(({ sequence }) => (sequence ?? 0) > 1_000)).toEqual([]);
      }
    });

    it('ping answers the time', async () => {
      expect(await client.ask('ping')).toEqual({ ok: true, time: TIME });
    });

    it('who wants no acknowledgement gets none, and the messages all the same', async () => {
      const channel = channelName();
      client.socket.emit('subscribe', { channel });
      client.socket.emit('publish', { channel, event: 'one', data: 1 });
      for (const [event, ...payload] of [
        ['subscribe', { channel: 'not a name' }],
        ['subscribe'],
        ['publish', null],
        ['nonsense', { channel }],
        ['nonsense'],
      ] as [string, ...unknown[]][])
        client.socket.emit(event, ...payload);
      await client.publish(channel, 'two');
      await client.next('message', ({ event }) => event === 'two');
      expect(client.events.map(({ name }) => name)).toEqual(['connected', 'message', 'message']);
    });

    it.each<[event: string, payloads: unknown[], fields: string[]]>([
      ['subscribe', [], ['channel']],
      ['subscribe', [null], ['channel']],
      ['subscribe', [{}], ['channel']],
      ['subscribe', ['news'], ['body']],
      ['subscribe', [7], ['body']],
      ['subscribe', [false], ['body']],
      ['subscribe', [[]], ['body']],
      ['subscribe', [['news']], ['body']],
      ['subscribe', [{ channel: 'news' }, 'more'], ['body']],
      ['subscribe', [{ channel: null }], ['channel']],
      ['subscribe', [{ channel: ['news'] }], ['channel']],
      ['subscribe', [{ channel: { name: 'news' } }], ['channel']],
      ['subscribe', [{ channel: { $ne: '' } }], ['channel']],
      ['subscribe', [{ channel: '' }], ['channel']],
      ['subscribe', [{ channel: 'two words' }], ['channel']],
      ['subscribe', [{ channel: 'new\u0000s' }], ['channel']],
      ['subscribe', [{ channel: 'news\n' }], ['channel']],
      ['subscribe', [{ channel: 'x'.repeat(129) }], ['channel']],
      ['subscribe', [{ channel: 'news', after: -1 }], ['after']],
      ['subscribe', [{ channel: 'news', after: 1.5 }], ['after']],
      ['subscribe', [{ channel: 'news', after: '1' }], ['after']],
      ['subscribe', [{ channel: 'news', after: null }], ['after']],
      ['subscribe', [{ channel: 'news', after: 2 ** 53 }], ['after']],
      ['subscribe', [{ channel: 'news', epoch: 'x' }], ['epoch']],
      ['subscribe', [{ channel: 'news', limit: 1 }], ['limit']],
      ['subscribe', [JSON.parse('{"channel":"news","__proto__":{"after":1}}')], ['__proto__']],
      ['subscribe', [{ channel: 'news', constructor: { prototype: {} } }], ['constructor']],
      ['unsubscribe', [{}], ['channel']],
      ['unsubscribe', [{ channel: 1 }], ['channel']],
      ['publish', [{}], ['channel', 'event']],
      ['publish', [{ channel: 'news' }], ['event']],
      ['publish', [{ channel: 'news', event: '' }], ['event']],
      ['publish', [{ channel: 'news', event: 'x'.repeat(129) }], ['event']],
      ['publish', [{ channel: 'news', event: 'a\nb' }], ['event']],
      ['publish', [{ channel: 'news', event: '\ud800' }], ['event']],
      ['publish', [{ channel: 'news', event: 'e', durable: 'no' }], ['durable']],
      ['publish', [{ channel: 'news', event: 'e', idempotency_key: '' }], ['idempotency_key']],
      ['publish', [{ channel: 'news', event: 'e', sender_id: null }], ['sender_id']],
      ['publish', [[{ channel: 'news', event: 'e' }]], ['body']],
      ['authenticate', [{}], ['token']],
      ['authenticate', [{ token: null }], ['token']],
      ['authenticate', [{ token: ['x'] }], ['token']],
    ])('%s %j is answered with the faulty fields', async (event, payloads, fields) => {
      const answer = await client.ask(event, ...payloads);
      expect(answer).toEqual({
        ok: false,
        error: { ...errorBody(422, 'validation_error'), field_errors: expect.any(Object) },
      });
      expect(Object.keys(answer.error.field_errors).sort()).toEqual(fields);
      expect(answer.error.detail).toEqual(
        expect.arrayContaining([
          { loc: expect.arrayContaining([]), msg: expect.any(String), type: expect.any(String) },
        ]),
      );
      expect(await client.ask('ping')).toMatchObject({ ok: true });
    });

    it.each<[event: string, payload: object, code: number, error_code: string]>([
      ['subscribe', { channel: 'private-user.7' }, 422, 'invalid_channel'],
      ['subscribe', { channel: 'private-role.king' }, 422, 'invalid_channel'],
      ['subscribe', { channel: 'presence-' }, 422, 'invalid_channel'],
      ['publish', { channel: 'private-', event: 'e' }, 422, 'invalid_channel'],
      ['publish', { channel: `private-user.${uuidv7()}`, event: 'e' }, 404, 'channel_not_found'],
      [
        'publish',
        { channel: 'news', event: 'e', durable: false, idempotency_key: 'k' },
        422,
        'idempotency_not_possible',
      ],
      ['subscribe', { channel: `private-user.${uuidv7()}` }, 403, 'channel_forbidden'],
      ['authenticate', { token: 'nonsense' }, 401, 'invalid_token'],
    ])('%s %j is refused with %i %s', async (event, payload, code, error_code) => {
      const { ok, error } = await client.ask(event, payload);
      expect([ok, error.code, error.error_code]).toEqual([false, code, error_code]);
    });

    it.each(['nonsense', 'message', 'session:ended', 'presence:joined', 'toString', '__proto__', '', 'SUBSCRIBE'])(
      'an event %j that there is not is answered so',
      async (event) => {
        expect(await client.ask(event, { channel: 'news' })).toEqual({
          ok: false,
          error: { ...errorBody(404, 'unknown_event'), detail: 'There is no such event' },
        });
      },
    );

    it('binary data is no JSON', async () => {
      const answer = await client.publish(channelName(), 'e', { picture: Buffer.from('png') });
      const refused = { ok: false, error: errorBody(400, 'malformed_request') };
      expect(answer).toEqual(refused);
      for (const durable of [true, false])
        expect(await client.publish(channelName(), 'e', Buffer.from('png'), { durable })).toEqual(refused);
      expect(await client.ask('subscribe', Buffer.from('png'))).toEqual(refused);
    });

    it.each([
      ['publish', (value: string) => `{"channel":"deep","event":"e","data":${value}}`],
      ['subscribe', (value: string) => `{"channel":${value}}`],
      ['nonsense', (value: string) => value],
    ])('%s: what is nested too deeply or has too many values is refused at once', async (event, payload) => {
      for (const [value, code] of [
        [`${'['.repeat(60_000)}${']'.repeat(60_000)}`, 400],
        [`${'{"a":'.repeat(30_000)}1${'}'.repeat(30_000)}`, 400],
        [`[${'[],'.repeat(60_000)}1]`, 413],
      ] as const) {
        const start = process.cpuUsage();
        const answer = await sendText(client, `["${event}",${payload(value)}]`);
        if (event === 'nonsense') expect(answer).toMatchObject({ error: { code: 404 } });
        else expect(answer).toEqual({ ok: false, error: errorBody(code, 'body_too_complex') });
        // Processor time, so that whatever else runs on the machine does not matter; a walk that copies paths takes many seconds.
        expect(process.cpuUsage(start).user / 1000).toBeLessThan(2_000);
      }
      const nested = JSON.parse(`${'['.repeat(60)}${']'.repeat(60)}`);
      expect(await client.publish('deep', 'e', nested)).toMatchObject({ ok: true, data: nested });
    });
  });

  describe('joining', () => {
    it('20 clients that come and go while 2,000 messages are published each get every one once and in order', async () => {
      const channel = channelName();
      const TOTAL = 2_000;
      await publishMany(app, channel, 500);
      const clients = await Promise.all(
        Array.from({ length: 20 }, (_, i) =>
          connect(app, user, i % 5 === 0 ? { transports: ['polling', 'websocket'] } : {}),
        ),
      );
      let published = 500;
      const publishing = (async () => {
        while (published < TOTAL) {
          const count = Math.min(1 + Math.floor(Math.random() * 40), TOTAL - published);
          await publishMany(app, channel, count, { first: published + 1 });
          published += count;
        }
      })();
      /** Reads on from `after` until something like `count` more has come, and leaves; where it came to. */
      const stay = async (client: TestSocket, after: number, count: number): Promise<number> => {
        const answer = await client.subscribe(channel, { after });
        expect(answer).toMatchObject({ ok: true, recovered: true });
        const enough = Math.min(count, TOTAL - after);
        await client.until(() => client.log(channel).length >= enough);
        const log = client.log(channel);
        await client.unsubscribe(channel);
        const sequences = log.map(({ sequence }) => sequence);
        expect(sequences).toEqual(range(after + 1, after + log.length));
        expect(log.map(({ data }) => (data as { n: number }).n)).toEqual(sequences);
        return after + log.length;
      };
      await Promise.all(
        clients.map(async (client) => {
          let at = Math.floor(Math.random() * 500);
          while (at < TOTAL) {
            const reached = await stay(client, at, 1 + Math.floor(Math.random() * 300));
            // Sometimes what was read is read again.
            at = Math.random() < 0.2 ? Math.max(0, reached - 20) : reached;
          }
          expect(client.strays).toEqual([]);
        }),
      );
      await publishing;
      expect(published).toBe(TOTAL);
    });

    it('10,000 messages are replayed, and what is published meanwhile follows', async () => {
      const channel = channelName();
      await publishMany(app, channel, 9_990);
      const [client, other] = [await connect(app, user), await connect(app, user, { transports: ['polling'] })];
      const answers = await Promise.all([
        client.subscribe(channel, { after: 0 }),
        other.subscribe(channel, { after: 0 }),
        publishMany(app, channel, 10, { first: 9_991 }),
      ]);
      expect(answers[0]).toMatchObject({ ok: true, recovered: true });
      for (const reader of [client, other]) {
        await reader.messages(channel, 10_000);
        expect(reader.sequences(channel)).toEqual(range(1, 10_000));
      }
    });

    it('large messages are replayed in order to a reader that takes its time', async () => {
      const channel = channelName();
      await publishMany(app, channel, 60, { bytes: 60_000 });
      const client = await connect(app, user);
      const { _socket } = (client.socket.io.engine.transport as any).ws;
      await client.subscribe(channel, { after: 0 });
      for (let i = 1; i <= 5; i++) {
        _socket.pause();
        await publishMany(app, channel, 1, { first: 60 + i, bytes: 60_000 });
        _socket.resume();
      }
      await client.messages(channel, 65);
      expect(client.sequences(channel)).toEqual(range(1, 65));
      expect(client.disconnections).toEqual([]);
    });

    it.each(['polling', 'websocket'])('subscribe, publish and replay work over %s alone', async (transport) => {
      const channel = channelName();
      const client = await connect(app, admin, { transports: [transport], upgrade: false });
      await publishMany(app, channel, 250);
      await client.subscribe(channel, { after: 0 });
      expect(await client.publish(channel, 'own', 'ö'.repeat(1_000))).toMatchObject({ ok: true, sequence: 251 });
      await client.messages(channel, 251);
      expect(client.sequences(channel)).toEqual(range(1, 251));
      expect(client.log(channel)[250].data).toBe('ö'.repeat(1_000));
      expect(client.socket.io.engine.transport.name).toBe(transport);
    });

    it('a client that comes back with `after` misses nothing', async () => {
      const channel = channelName();
      const client = await connect(app, user, { reconnection: true });
      await client.subscribe(channel);
      await publishMany(app, channel, 5);
      await client.messages(channel, 5);
      client.socket.io.engine.close();
      await client.disconnected();
      await publishMany(app, channel, 5, { first: 6 });
      await client.welcomed(2);
      await client.subscribe(channel, { after: client.everSent(channel).at(-1) as number });
      await client.messages(channel, 5);
      expect(client.everSent(channel)).toEqual(range(1, 10));
    });
  });

  describe('expiry', () => {
    /** Long enough for what has to be done before, on a machine that stalls. */
    const SHORT_SECONDS = 6;
    const shortLived = async (seconds = SHORT_SECONDS) => {
      const who = await aSignedInUser(app);
      return { who, client: await connect(app, { accessToken: tokenFor(app, who, seconds) }, { reconnection: true }) };
    };

    it('ends the socket with its token', async () => {
      const { client } = await shortLived();
      expect(await client.ended()).toBe('token_expired');
    });

    it('does not end a socket that `authenticate` has renewed, also with a token of another session', async () => {
      const { who, client } = await shortLived();
      const { body } = await app.http
        .post('/api/v1/auth/refresh')
        .send({ refresh_token: who.refreshToken })
        .expect(200);
      const { exp } = JSON.parse(Buffer.from(body.access_token.split('.')[1], 'base64url').toString());
      expect(await client.ask('authenticate', { token: body.access_token })).toEqual({
        ok: true,
        expires_at: new Date(exp * 1000).toISOString(),
      });
      const { who: second, client: other } = await shortLived();
      const again = await signIn(app, second);
      expect(await other.ask('authenticate', { token: again.accessToken })).toMatchObject({ ok: true });
      // A third one tells that the time of the first two has passed.
      const { client: watch } = await shortLived(SHORT_SECONDS + 1);
      expect(await watch.ended()).toBe('token_expired');
      for (const renewed of [client, other]) {
        expect(await renewed.ask('ping')).toMatchObject({ ok: true });
        expect(renewed.disconnections).toEqual([]);
      }
      await app.http.post('/api/v1/auth/logout').set(again.auth).expect(204);
      expect(await other.ended()).toBe('logged_out');
    });

    it('a token that is refused renews nothing', async () => {
      const { who, client } = await shortLived();
      for (const token of [user.accessToken, who.refreshToken, tokenFor(app, who, -1), '', 'Bearer'])
        expect(await client.ask('authenticate', { token })).toMatchObject({
          ok: false,
          error: errorBody(401, 'invalid_token'),
        });
      expect(await client.ended()).toBe('token_expired');
    });

    it('is renewed for a shorter time too', async () => {
      const who = await aSignedInUser(app);
      const client = await connect(app, who);
      expect(await client.ask('authenticate', { token: tokenFor(app, who, SHORT_SECONDS) })).toMatchObject({
        ok: true,
      });
      expect(await client.ended()).toBe('token_expired');
    });
  });

  describe('own events', () => {
    const lastSequence = async (channel: string) =>
      (await app.pool.query('SELECT last_sequence::int AS last FROM channels WHERE name = $1', [channel])).rows[0]
        ?.last ?? 0;

    it('user.updated reaches the user’s channel with the change, or neither is there', async () => {
      const who = await aSignedInUser(app);
      const channel = `private-user.${who.id}`;
      const client = await connect(app, who);
      await client.subscribe(channel);
      const { body } = await app.http.patch('/api/v1/users/me').set(who.auth).send({ bio: 'new' }).expect(200);
      expect(await lastSequence(channel)).toBe(1);
      const { stats, ...shown } = body;
      expect(stats).toBeDefined();
      expect(await client.messages(channel, 1)).toEqual([
        {
          id: UUID,
          channel,
          sequence: 1,
          epoch: UUID,
          event: 'user.updated',
          data: expect.objectContaining(shown),
          sender_id: null,
          created_at: TIME,
        },
      ]);
      await app.http.patch('/api/v1/users/me').set(who.auth).send({ email: user.email, bio: 'lost' }).expect(409);
      expect(await lastSequence(channel)).toBe(1);
    });

    it('upload.completed reaches the owner’s channel', async () => {
      const who = await aSignedInUser(app);
      const channel = `private-user.${who.id}`;
      const client = await connect(app, who);
      await client.subscribe(channel);
      const { body } = await app.http
        .post('/api/v1/uploads')
        .set(who.auth)
        .attach('file', Buffer.from('text'), 'a.txt')
        .expect(201);
      expect(await lastSequence(channel)).toBe(1);
      const { id, filename, content_type, file_size } = body;
      expect(await client.messages(channel, 1)).toMatchObject([
        { event: 'upload.completed', data: { id, filename, content_type, file_size }, sender_id: null },
      ]);
    });

    it('user.disabled reaches the admins, and does not when its transaction is rolled back', async () => {
      const client = await connect(app, admin);
      await client.subscribe('private-role.admin');
      const events = app.app.get(DomainEvents);
      const disable = async (userId: string, isKept: boolean) => {
        const event = new UserDisabledEvent(userId);
        await app.app.get(DataSource).transaction(async (tx) => {
          await events.record(tx, event);
          if (!isKept) throw new Error('on purpose');
        });
        events.emit(event);
      };
      const [lost, kept] = [await aUser(app), await aUser(app)];
      await expect(disable(lost.id, false)).rejects.toThrow('on purpose');
      await disable(kept.id, true);
      expect(await client.messages('private-role.admin', 1)).toMatchObject([
        { event: 'user.disabled', data: { id: kept.id }, sender_id: null },
      ]);
    });
  });
});

describe('the limits of sockets', () => {
  let app: TestApp;
  let user: SignedIn;
  let admin: SignedIn;

  beforeAll(async () => {
    app = await startTestApp({ SOCKET_CONNECTIONS: '5', SOCKET_SUBSCRIPTIONS: '3', SOCKET_EVENT_RATE: '20/60' });
    [user, admin] = [await aSignedInUser(app), await anAdmin(app)];
  });
  afterEach(() => closeSockets());
  afterAll(() => app.close());

  it('a user has so many connections, one after the other, and others have theirs', async () => {
    const who = await aSignedInUser(app);
    const clients = [];
    for (let i = 0; i < 5; i++) clients.push(await connect(app, who));
    expect(await refusal(app, who)).toMatchObject(errorBody(429, 'too_many_connections'));
    await connect(app, user);
    clients[0].close();
    // The server hears of it when it does.
    let next: TestSocket | null = null;
    while (!next) next = await connect(app, who).catch(() => null);
    expect(next.socket.connected).toBe(true);
  });

  it('a user has so many connections at once too, and the others are told why they are refused', async () => {
    const who = await aSignedInUser(app);
    const attempts = await Promise.allSettled(Array.from({ length: 60 }, () => connect(app, who)));
    const refused = attempts.filter((attempt) => attempt.status === 'rejected');
    expect(refused).toHaveLength(55);
    const others = await Promise.all([1, 2, 3].map(() => aSignedInUser(app)));
    for (const other of others) await Promise.all(Array.from({ length: 5 }, () => connect(app, other)));
    for (const { reason } of refused) expect(reason).toMatchObject({ data: errorBody(429, 'too_many_connections') });
  });

  it('a connection has so many subscriptions, and each may begin anew', async () => {
    const client = await connect(app, user);
    for (const channel of ['one', 'two', 'three']) expect(await client.subscribe(channel)).toMatchObject({ ok: true });
    expect(await client.subscribe('four')).toEqual({ ok: false, error: errorBody(409, 'too_many_subscriptions') });
    expect(await client.subscribe('two', { after: 0 })).toMatchObject({ ok: true });
    await client.unsubscribe('one');
    expect(await client.subscribe('four')).toMatchObject({ ok: true });
  });

  it('refused subscriptions do not count', async () => {
    const client = await connect(app, user);
    for (let i = 0; i < 5; i++) await client.subscribe(`private-team-${i}`);
    for (const channel of ['one', 'two', 'three']) expect(await client.subscribe(channel)).toMatchObject({ ok: true });
  });

  it('events beyond the rate are refused, and far beyond it the connection is cut', async () => {
    const [client, other] = [await connect(app, user), await connect(app, user)];
    const answers = await Promise.all(Array.from({ length: 100 }, () => client.ask('ping')));
    expect(answers.map(({ ok }) => ok)).toEqual([...Array(20).fill(true), ...Array(80).fill(false)]);
    expect(answers.at(-1).error).toEqual({ ...errorBody(429, 'rate_limited'), detail: 'Too many events' });
    client.socket.emit('nonsense');
    expect(await client.ended()).toBe('rate_limited');
    expect(await other.ask('ping')).toMatchObject({ ok: true });
  });

  it('who has used up the rate can renew the token all the same, so often and no more', async () => {
    const client = await connect(app, user);
    for (let i = 0; i < 20; i++) await client.ask('ping');
    expect(await client.ask('ping')).toMatchObject({ ok: false, error: { code: 429 } });
    const renew = () => client.ask('authenticate', { token: user.accessToken });
    for (let i = 0; i < 20; i++) expect(await renew()).toMatchObject({ ok: true });
    expect(await renew()).toMatchObject({ ok: false, error: { code: 429 } });
  });

  it('data over 64 KiB is refused with 413, and the connection goes on', async () => {
    const client = await connect(app, admin);
    const fits = 'x'.repeat(64 * KIB - 2);
    expect(await client.publish('sizes', 'e', fits)).toMatchObject({ ok: true, sequence: 1 });
    expect(await client.publish('sizes', 'e', `${fits}x`)).toEqual({
      ok: false,
      error: { ...errorBody(413, 'message_too_large'), field_errors: { data: [expect.any(String)] } },
    });
    expect(await client.publish('sizes', 'e', 'ö'.repeat(33 * KIB))).toMatchObject({ ok: false, error: { code: 413 } });
    expect(await client.publish('sizes', 'e', 'x'.repeat(200 * KIB), { durable: false })).toMatchObject({
      ok: false,
      error: { code: 413 },
    });
    expect(await client.publish('sizes', 'e')).toMatchObject({ ok: true, sequence: 2 });
  });

  it('a frame over 256 KiB cuts the connection that sends it, and no other', async () => {
    const [client, other] = [await connect(app, admin), await connect(app, user)];
    client.socket.emit('publish', { channel: 'sizes', event: 'e', data: 'x'.repeat(300 * KIB) });
    expect(await client.disconnected()).toMatch(/^transport (close|error)$/);
    expect(await other.ask('ping')).toMatchObject({ ok: true });
    await connect(app, admin);
  });
});

describe('slow readers', () => {
  const BUFFER = 1024 * KIB;
  const MESSAGE = 60_000;
  let app: TestApp;
  let user: SignedIn;

  beforeAll(async () => {
    app = await startTestApp({ SOCKET_BUFFER: String(BUFFER) });
    user = await aSignedInUser(app);
  });
  afterEach(() => closeSockets());
  afterAll(() => app.close());

  const serverSide = ({ socket }: TestSocket): any =>
    (app.app.get(SocketTransport) as unknown as { namespace: { sockets: Map<string, unknown> } }).namespace.sockets.get(
      socket.id ?? '',
    );
  /** What waits in this process for a client. */
  const waitingBytes = ({ conn }: any): number =>
    conn.writeBuffer.reduce(
      (sum: number, { data }: any) => sum + (data?.length ?? 0),
      conn.transport.socket?.bufferedAmount ?? 0,
    );
  const tcpOf = ({ socket }: TestSocket) => (socket.io.engine.transport as any).ws._socket;

  it('are cut with a reason while others read on, and come back where they were', async () => {
    const [slow, quick] = [await connect(app, user, { reconnection: true }), await connect(app, user)];
    for (const client of [slow, quick]) await client.subscribe('flood');
    await publishMany(app, 'flood', 3);
    await slow.messages('flood', 3);
    const [tcp, socket] = [tcpOf(slow), serverSide(slow)];
    const cut = new Promise((resolve) => socket.once('disconnect', resolve));
    tcp.pause();
    // 20 MB.
    const TOTAL = 350;
    let most = 0;
    for (let n = 4; n <= TOTAL; n++) {
      await publishMany(app, 'flood', 1, { first: n, bytes: MESSAGE });
      most = Math.max(most, waitingBytes(socket));
    }
    await quick.messages('flood', TOTAL);
    expect(quick.sequences('flood')).toEqual(range(1, TOTAL));
    expect(quick.disconnections).toEqual([]);
    expect(most).toBeGreaterThan(BUFFER);
    expect(most).toBeLessThan(5 * BUFFER);
    expect(socket.rooms.has('messages:flood')).toBe(false);
    // Even if it never reads on.
    await cut;
    tcp.resume();
    await slow.welcomed(2);
    await slow.subscribe('flood', { after: slow.everSent('flood').at(-1) as number });
    await slow.until(() => slow.everSent('flood').length >= TOTAL, 'rest of the messages');
    expect(slow.everSent('flood')).toEqual(range(1, TOTAL));
  });

  it('are told why when they read on in time, and may come back', async () => {
    const client = await connect(app, user, { reconnection: true });
    await client.subscribe('told');
    const [tcp, socket] = [tcpOf(client), serverSide(client)];
    tcp.pause();
    while (socket.rooms.has('messages:told')) await publishMany(app, 'told', 5, { bytes: MESSAGE });
    tcp.resume();
    expect(await client.next('session:ended')).toEqual({ reason: 'slow_reader' });
    expect(await client.disconnected()).toBe('transport close');
    await client.welcomed(2);
  });

  it('are not those who are sent much at once', async () => {
    const clients = [await connect(app, user), await connect(app, user)];
    for (const client of clients) await client.subscribe('burst');
    await publishMany(app, 'burst', 40, { bytes: MESSAGE });
    for (const client of clients) {
      await client.messages('burst', 40);
      expect(client.disconnections).toEqual([]);
      expect(client.sequences('burst')).toEqual(range(1, 40));
    }
  });

  it('are found among pollers too', async () => {
    const client = await connect(app, user, { transports: ['polling'] });
    await client.subscribe('polled');
    const socket = serverSide(client);
    const cut = new Promise((resolve) => socket.once('disconnect', resolve));
    // A poll is answered, and none follows.
    (client.socket.io.engine.transport as any).doPoll = () => undefined;
    let most = 0;
    for (let n = 1; n <= 90; n++) {
      await publishMany(app, 'polled', 1, { bytes: MESSAGE });
      most = Math.max(most, waitingBytes(socket));
    }
    expect(most).toBeGreaterThan(BUFFER);
    expect(most).toBeLessThan(5 * BUFFER);
    expect(socket.rooms.has('messages:polled')).toBe(false);
    await cut;
  });
});
