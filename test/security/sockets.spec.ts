import { setImmediate as nextTurn } from 'node:timers/promises';
import { SessionsService } from '../../src/auth/sessions/sessions.service.js';
import { DatabaseListener } from '../../src/database/database-listener.js';
import { aSignedInUser, anAdmin, PASSWORD, type SignedIn, signIn } from '../support/builders.js';
import { closeSockets, connect, open, publishMany, refusal, type TestSocket } from '../support/sockets.js';
import { startTestApp, type TestApp } from '../support/test-app.js';
import { until } from '../support/uploads.js';
import { claimsOf } from './tools.js';

const API = '/api/v1/broadcasting';
const NOBODY = '0197f0a0-7b1c-7e7e-8a00-3d2f1c0b9a88';
const sidOf = ({ accessToken }: SignedIn) => String(claimsOf(accessToken).sid);

describe('sockets', () => {
  /** Two nodes on one database: what is done on the one acts on the sockets of the other. */
  let here: TestApp;
  let there: TestApp;
  let bystander: SignedIn;
  let admin: SignedIn;

  beforeAll(async () => {
    here = await startTestApp({ SOCKET_EVENT_RATE: '10000/10' });
    there = await startTestApp({ SOCKET_EVENT_RATE: '10000/10' }, { beside: here });
    [bystander, admin] = [await aSignedInUser(here), await anAdmin(here)];
  });
  afterEach(() => {
    jest.restoreAllMocks();
    closeSockets();
  });
  afterAll(async () => {
    await there.close();
    await here.close();
  });

  const sql = (text: string, ...values: unknown[]) => here.pool.query(text, values);
  /** Its library would come back if it could. */
  const elsewhere = (user: SignedIn) => connect(there, user, { reconnection: true });
  const expectOpen = async (...clients: TestSocket[]) => {
    for (const client of clients) {
      expect(await client.ask('ping')).toMatchObject({ ok: true });
      expect(client.disconnections).toEqual([]);
    }
  };
  const addMember = ({ id }: { id: string }, channel: string) =>
    here.http.put(`${API}/channels/${channel}/members/${id}`).set(admin.auth).expect(204);
  const removeMember = ({ id }: { id: string }, channel: string) =>
    here.http.delete(`${API}/channels/${channel}/members/${id}`).set(admin.auth).expect(204);

  /** Notifications do not arrive on the other node until it listens again, after its connection has been ended. */
  const deafen = () => {
    const listener = there.app.get(DatabaseListener);
    const ear = jest.spyOn(listener as unknown as { hear(): void }, 'hear').mockImplementation(() => undefined);
    const clientOf = () => (listener as unknown as { client: { processID: number } | null }).client;
    return {
      listenAgain: async () => {
        // Perhaps not the connection of the beginning: one on which nothing is heard is given up after some seconds.
        await until(() => clientOf() !== null, 'a connection');
        const client = clientOf();
        const { rows } = await sql('SELECT pg_terminate_backend($1) AS done', client?.processID);
        expect(rows).toEqual([{ done: true }]);
        while (clientOf() === client) await nextTurn();
        ear.mockRestore();
      },
    };
  };

  describe('S24 a session that ends', () => {
    const ways: [way: string, end: (user: SignedIn) => Promise<unknown>][] = [
      ['by logout', (user) => here.http.post('/api/v1/auth/logout').set(user.auth).expect(204)],
      ['by logout everywhere', (user) => here.http.post('/api/v1/auth/logout-all').set(user.auth).expect(204)],
      [
        'by DELETE of another session',
        async (user) => {
          const { auth } = await signIn(here, user);
          await here.http
            .delete(`/api/v1/auth/sessions/${sidOf(user)}`)
            .set(auth)
            .expect(204);
        },
      ],
      [
        'by a change of the password elsewhere',
        async (user) => {
          const { auth } = await signIn(here, user);
          const change = { current_password: PASSWORD, new_password: 'Another-Horse-1' };
          await here.http.post('/api/v1/auth/change-password').set(auth).send(change).expect(200);
        },
      ],
      [
        'by the use of an old refresh token',
        async ({ refreshToken }) => {
          const refresh = (token: string) => here.http.post('/api/v1/auth/refresh').send({ refresh_token: token });
          const { body } = await refresh(refreshToken).expect(200);
          await refresh(body.refresh_token).expect(200);
          await refresh(refreshToken).expect(401);
        },
      ],
      ['by expiry, when it is swept', (user) => sql('DELETE FROM sessions WHERE id = $1', sidOf(user))],
    ];

    it.each(ways)('%s ends its sockets on another node, which do not come back by themselves', async (_way, end) => {
      const user = await aSignedInUser(here);
      const sockets = [await elsewhere(user), await elsewhere(user), await connect(here, user)];
      const other = await elsewhere(bystander);
      await end(user);
      for (const socket of sockets) expect(await socket.ended()).toBe('logged_out');
      await expectOpen(other);
      expect(await refusal(there, user)).toMatchObject({ code: 401, error_code: 'invalid_token' });
    });

    it('by a change of the password is not the one that it was changed in', async () => {
      const user = await aSignedInUser(here);
      const second = await signIn(here, user);
      const [own, other] = [await elsewhere(user), await elsewhere(second)];
      const change = { current_password: PASSWORD, new_password: 'Another-Horse-1' };
      await here.http.post('/api/v1/auth/change-password').set(user.auth).send(change).expect(200);
      expect(await other.ended()).toBe('logged_out');
      await expectOpen(own);
    });

    it('by logout is not the user’s other one', async () => {
      const user = await aSignedInUser(here);
      const second = await signIn(here, user);
      const [gone, kept] = [await elsewhere(user), await elsewhere(second)];
      await here.http.post('/api/v1/auth/logout').set(user.auth).expect(204);
      expect(await gone.ended()).toBe('logged_out');
      await expectOpen(kept);
    });

    it('while a node does not hear of it ends its sockets when it listens again', async () => {
      const user = await aSignedInUser(here);
      const [gone, kept] = [await elsewhere(user), await elsewhere(bystander)];
      const { listenAgain } = deafen();
      await here.http.post('/api/v1/auth/logout').set(user.auth).expect(204);
      const late = await connect(there, bystander);
      await listenAgain();
      expect(await gone.ended()).toBe('logged_out');
      await expectOpen(kept, late);
    });

    it('while a node does not hear of it ends its sockets though they cannot be checked at first', async () => {
      const user = await aSignedInUser(here);
      const gone = await elsewhere(user);
      const { listenAgain } = deafen();
      await here.http.post('/api/v1/auth/logout').set(user.auth).expect(204);
      const check = jest
        .spyOn(there.app.get(SessionsService), 'rolesOf')
        .mockRejectedValueOnce(new Error('canceling statement due to statement timeout'));
      await listenAgain();
      expect(await gone.ended()).toBe('logged_out');
      expect(check.mock.calls.length).toBeGreaterThan(1);
      check.mockRestore();
    });

    it('while its socket is being let in leaves no socket', async () => {
      for (let i = 0; i < 20; i++) {
        const user = await aSignedInUser(here);
        const client = open(there, user);
        await here.http.post('/api/v1/auth/logout').set(user.auth).expect(204);
        await client.until(
          () => client.disconnections.length > 0 || (!client.socket.active && !client.socket.connected),
        );
        expect(client.socket.connected).toBe(false);
      }
    });
  });

  describe('S25 an account', () => {
    it.each<[what: string, change: (user: SignedIn) => Promise<unknown>, reason: string]>([
      [
        'that is disabled, by whatever means',
        ({ id }) => sql('UPDATE users SET is_active = false WHERE id = $1', id),
        'account_disabled',
      ],
      [
        'that its owner deletes',
        ({ auth }) => here.http.delete('/api/v1/users/me').set(auth).send({ password: PASSWORD }).expect(204),
        'account_deleted',
      ],
      [
        'that an admin deletes',
        ({ id }) => here.http.delete(`/api/v1/users/${id}`).set(admin.auth).expect(200),
        'account_deleted',
      ],
      ['that is deleted in the database', ({ id }) => sql('DELETE FROM users WHERE id = $1', id), 'account_deleted'],
      ['that is promoted', ({ id }) => sql("UPDATE users SET role = 'admin' WHERE id = $1", id), 'role_changed'],
    ])('%s loses its sockets on every node', async (_what, change, reason) => {
      const user = await aSignedInUser(here);
      const sockets = [await elsewhere(user), await connect(here, user), await elsewhere(await signIn(here, user))];
      const other = await elsewhere(bystander);
      await change(user);
      for (const socket of sockets) expect(await socket.ended()).toBe(reason);
      await expectOpen(other);
    });

    it('that is demoted loses its sockets, and what only admins read', async () => {
      const demoted = await anAdmin(here);
      const client = await elsewhere(demoted);
      expect(await client.subscribe('private-role.admin')).toMatchObject({ ok: true });
      await sql("UPDATE users SET role = 'user' WHERE id = $1", demoted.id);
      expect(await client.ended()).toBe('role_changed');
      const again = await elsewhere(demoted);
      expect(await again.subscribe('private-role.admin')).toMatchObject({ ok: false, error: { code: 403 } });
    });

    it('that has come with the new role keeps its sockets when that is announced late', async () => {
      const [promoted, demoted] = [await anAdmin(here), await anAdmin(here)];
      const client = await elsewhere(promoted);
      const other = await elsewhere(demoted);
      await sql("SELECT pg_notify('gatehouse_access', $1)", `user-role:${promoted.id}`);
      await sql("UPDATE users SET role = 'user' WHERE id = $1", demoted.id);
      expect(await other.ended()).toBe('role_changed');
      await expectOpen(client);
    });

    it('that is demoted while a node does not hear of it may nothing more, and loses its sockets', async () => {
      const demoted = await anAdmin(here);
      const [reader, asking] = [await elsewhere(demoted), await elsewhere(demoted)];
      for (const client of [reader, asking]) await client.subscribe('private-role.admin');
      const { listenAgain } = deafen();
      await sql("UPDATE users SET role = 'user' WHERE id = $1", demoted.id);
      // An event brings the role that the database has; the subscription rests on the old one all the same.
      expect(await reader.publish('private-role.admin', 'e')).toMatchObject({
        ok: false,
        error: { code: 403, error_code: 'publish_forbidden' },
      });
      asking.socket.emit('subscribe', { channel: 'private-role.admin', after: 0 });
      expect(await asking.ended()).toBe('role_changed');
      await listenAgain();
      expect(await reader.ended()).toBe('role_changed');
    });

    it('that is demoted does not keep its subscriptions by a fresh token', async () => {
      const demoted = await anAdmin(here);
      const client = await elsewhere(demoted);
      await client.subscribe('private-role.admin');
      deafen();
      await sql("UPDATE users SET role = 'user' WHERE id = $1", demoted.id);
      const { accessToken } = await signIn(here, demoted);
      client.socket.emit('authenticate', { token: accessToken });
      expect(await client.ended()).toBe('role_changed');
    });

    it('that is disabled and enabled again while a node does not hear of it goes on', async () => {
      const user = await aSignedInUser(here);
      const client = await elsewhere(user);
      const { listenAgain } = deafen();
      for (const isActive of [false, true])
        await sql('UPDATE users SET is_active = $2 WHERE id = $1', user.id, isActive);
      const doomed = await aSignedInUser(here);
      const watch = await elsewhere(doomed);
      await sql('UPDATE users SET is_active = false WHERE id = $1', doomed.id);
      await listenAgain();
      expect(await watch.ended()).toBe('logged_out');
      await expectOpen(client);
    });
  });

  describe('S25 a membership that ends', () => {
    it('ends the subscription on another node, and no other', async () => {
      const user = await aSignedInUser(here);
      for (const channel of ['private-left', 'private-kept']) await addMember(user, channel);
      const client = await elsewhere(user);
      for (const channel of ['private-left', 'private-kept', 'open'])
        expect(await client.subscribe(channel)).toMatchObject({ ok: true });
      await removeMember(user, 'private-left');
      expect(await client.next('unsubscribed')).toEqual({ channel: 'private-left', reason: 'membership_removed' });
      const before = client.everSent('private-left').length;
      for (const channel of ['private-left', 'private-kept', 'open']) await publishMany(here, channel, 1);
      for (const channel of ['private-kept', 'open']) await client.messages(channel, 1);
      expect(client.everSent('private-left')).toHaveLength(before);
      expect(await client.subscribe('private-left', { after: 0 })).toMatchObject({
        ok: false,
        error: { code: 403, error_code: 'channel_forbidden' },
      });
      await addMember(user, 'private-left');
      expect(await client.subscribe('private-left', { after: 0 })).toMatchObject({ ok: true });
    });

    it('while a node does not hear of it ends the subscription when it listens again', async () => {
      const [user, colleague] = [await aSignedInUser(here), await aSignedInUser(here)];
      for (const who of [user, colleague]) await addMember(who, 'private-deaf');
      const [client, kept] = [await elsewhere(user), await elsewhere(colleague)];
      for (const one of [client, kept]) await one.subscribe('private-deaf');
      const { listenAgain } = deafen();
      await removeMember(user, 'private-deaf');
      await listenAgain();
      expect(await client.next('unsubscribed')).toEqual({ channel: 'private-deaf', reason: 'membership_removed' });
      await publishMany(here, 'private-deaf', 1);
      await kept.messages('private-deaf', 1);
      expect(client.everSent('private-deaf')).toEqual([]);
    });

    it('ends a replay that is under way', async () => {
      const user = await aSignedInUser(here);
      await addMember(user, 'private-long');
      await publishMany(here, 'private-long', 2_000, { bytes: 5_000 });
      const client = await elsewhere(user);
      await client.subscribe('private-long', { after: 0 });
      // 10 MB are more than what the system takes for a reader that has stopped.
      const tcp = (client.socket.io.engine.transport as any).ws._socket;
      tcp.pause();
      await removeMember(user, 'private-long');
      tcp.resume();
      await client.next('unsubscribed');
      const seen = client.everSent('private-long').length;
      expect(seen).toBeLessThan(2_000);
      await client.ask('ping');
      expect(client.everSent('private-long')).toHaveLength(seen);
    });
  });

  describe('S29 a private channel', () => {
    let other: SignedIn;
    let user: SignedIn;
    let client: TestSocket;
    beforeAll(async () => {
      [other, user] = [await aSignedInUser(here), await aSignedInUser(here)];
      await addMember(other, 'private-team');
      for (const channel of [`private-user.${other.id}`, 'private-team', 'private-role.admin']) {
        await here.http
          .put(`${API}/channels/${channel}`)
          .set(admin.auth)
          .send({ publish_policy: 'members' })
          .expect(200);
        await publishMany(here, channel, 3);
      }
    });
    beforeEach(async () => {
      client = await elsewhere(user);
    });

    const asks: [what: string, ask: (channel: string, as: SignedIn) => Promise<any>][] = [
      ['subscribe', async (channel) => (await client.ask('subscribe', { channel })).error],
      ['subscribe after', async (channel) => (await client.ask('subscribe', { channel, after: 0 })).error],
      ['publish', async (channel) => (await client.publish(channel, 'e')).error],
      ['publish, not durable', async (channel) => (await client.publish(channel, 'e', 1, { durable: false })).error],
      [
        'POST /messages',
        async (channel, { auth }) =>
          (await here.http.post(`${API}/messages`).set(auth).send({ channel, event: 'e' })).body,
      ],
      [
        'GET /messages',
        async (channel, { auth }) => (await here.http.get(`${API}/messages?channel=${channel}`).set(auth)).body,
      ],
      [
        'GET /channels/{name}',
        async (channel, { auth }) => (await here.http.get(`${API}/channels/${channel}`).set(auth)).body,
      ],
      [
        'POST /auth',
        async (channel, { auth }) =>
          (await here.http.post(`${API}/auth`).set(auth).send({ channel_name: channel })).body,
      ],
      [
        'GET /stream',
        async (channel, { auth }) => (await here.http.get(`${API}/stream?channel=${channel}`).set(auth)).body,
      ],
    ];

    it.each(asks)('is refused to strangers by %s, whether or not there is such a channel', async (_what, ask) => {
      const existing = [`private-user.${other.id}`, 'private-team', 'private-role.admin'];
      const guessed = [`private-user.${NOBODY}`, 'private-nothing'];
      const answers = [];
      for (const channel of [...existing, ...guessed]) answers.push({ ...(await ask(channel, user)), request_id: '' });
      for (const answer of answers) expect(answer).toEqual(answers[0]);
      expect(answers[0]).toMatchObject({
        code: 403,
        error_code: expect.stringMatching(/^(channel|publish)_forbidden$/),
      });
      expect(client.events.filter(({ name }) => name === 'message')).toEqual([]);
    });

    it('is in no list of a stranger’s', async () => {
      const { body } = await here.http.get(`${API}/channels?size=100`).set(user.auth).expect(200);
      const names = body.items.map(({ name }: { name: string }) => name);
      expect(names.filter((name: string) => name.startsWith('private-'))).toEqual([]);
    });

    it('of a user is refused to admins too, who may publish there', async () => {
      const channel = `private-user.${other.id}`;
      client = await elsewhere(admin);
      for (const [what, ask] of asks) {
        const answer = await ask(channel, admin);
        if (/publish|POST \/messages/.test(what)) expect([what, answer?.error_code]).toEqual([what, undefined]);
        else expect([what, answer.code, answer.error_code]).toEqual([what, 403, 'channel_forbidden']);
      }
    });

    it('is open to whom it is for: the control', async () => {
      client = await elsewhere(other);
      for (const channel of [`private-user.${other.id}`, 'private-team'])
        for (const [what, ask] of asks.filter(([what]) => what !== 'GET /stream')) {
          const answer = await ask(channel, other);
          expect([what, answer?.error_code]).toEqual([what, undefined]);
        }
    });
  });

  describe('S49', () => {
    it.each([
      ['/broadcasting', 'polling', null, 'Not authenticated'],
      ['/broadcasting', 'websocket', null, 'Not authenticated'],
      ['/', 'polling', null, 'Not found'],
      ['/', 'websocket', null, 'Not found'],
      ['/', 'websocket', () => bystander, 'Not found'],
      ['/other', 'websocket', null, 'Invalid namespace'],
      ['/broadcasting/', 'websocket', null, 'Invalid namespace'],
    ] as const)(
      'nobody joins %s over %s without a token, or where there is nothing',
      async (namespace, transport, who, message) => {
        const client = open(here, who?.() ?? null, { namespace, transports: [transport] });
        const error = await new Promise<Error>((resolve, reject) => {
          client.socket.once('connect_error', resolve).once('connect', () => reject(new Error('it was let in')));
        });
        expect(error.message).toBe(message);
      },
    );

    it('events before the namespace is joined reach nobody, and end the connection', async () => {
      const client = open(here, null, {});
      const engine = await new Promise<any>((resolve) => {
        const { io } = client.socket;
        io.once('open', () => resolve(io.engine));
      });
      const closed = new Promise((resolve) => engine.once('close', resolve));
      engine.write('2/broadcasting,1["publish",{"channel":"unjoined","event":"e"}]');
      engine.write('2["publish",{"channel":"unjoined","event":"e"}]');
      await closed;
      const { rows } = await sql("SELECT 1 FROM channels WHERE name = 'unjoined'");
      expect(rows).toEqual([]);
    });

    it('a token in the URL is no token', async () => {
      const { accessToken } = bystander;
      for (const query of [
        { token: accessToken },
        { access_token: accessToken },
        { 'auth[token]': accessToken },
        { Authorization: `Bearer ${accessToken}` },
        { ticket: accessToken },
      ])
        for (const transports of [['polling'], ['websocket']])
          expect(await refusal(here, null, { query, transports } as object)).toMatchObject({
            code: 401,
            error_code: 'not_authenticated',
          });
    });
  });

  describe('S50 every event is authorised', () => {
    it.each<[what: string, end: (user: SignedIn) => Promise<unknown>]>([
      ['the session has ended', (user) => here.http.post('/api/v1/auth/logout').set(user.auth).expect(204)],
      ['the account is disabled', ({ id }) => sql('UPDATE users SET is_active = false WHERE id = $1', id)],
      ['the account is deleted', ({ id }) => sql('DELETE FROM users WHERE id = $1', id)],
    ])('and refused from the moment that %s, before the socket is told', async (_what, end) => {
      const user = await anAdmin(here);
      const events = [
        ['publish', { channel: 'authorised', event: 'e' }],
        ['publish', { channel: 'authorised', event: 'e', durable: false }],
        ['subscribe', { channel: 'authorised' }],
        ['unsubscribe', { channel: 'authorised' }],
        ['ping', {}],
      ] as const;
      const clients = await Promise.all(events.map(() => elsewhere(user)));
      const renewing = await elsewhere(user);
      expect(await clients[0].publish('authorised', 'e')).toMatchObject({ ok: true });
      const { rows: before } = await sql("SELECT last_sequence FROM channels WHERE name = 'authorised'");
      deafen();
      await end(user);
      const refusedWith401 = { ok: false, error: expect.objectContaining({ code: 401, error_code: 'invalid_token' }) };
      for (const [i, [event, payload]] of events.entries()) {
        expect([event, await clients[i].ask(event, payload)]).toEqual([event, refusedWith401]);
        expect(await clients[i].ended()).toBe('logged_out');
      }
      expect(await renewing.ask('authenticate', { token: bystander.accessToken })).toEqual(refusedWith401);
      const { rows: after } = await sql("SELECT last_sequence FROM channels WHERE name = 'authorised'");
      expect(after).toEqual(before);
    });

    it('and what is published while the session ends is refused once the logout is answered', async () => {
      for (let i = 0; i < 10; i++) {
        const user = await anAdmin(here);
        const client = await elsewhere(user);
        const count = async () =>
          (await sql('SELECT count(*) FROM messages WHERE sender_id = $1', user.id)).rows[0].count;
        const stream = setInterval(() => client.socket.emit('publish', { channel: 'race', event: 'e' }), 1);
        await here.http.post('/api/v1/auth/logout').set(user.auth).expect(204);
        const { rows } = await sql('SELECT clock_timestamp() AS at');
        await client.ended();
        clearInterval(stream);
        await publishMany(there, 'race', 1);
        const late = await sql('SELECT 1 FROM messages WHERE sender_id = $1 AND created_at > $2', user.id, rows[0].at);
        // What was let through before the logout may have been on its way to the disk; nothing follows it.
        const settled = await count();
        await publishMany(there, 'race', 1);
        expect(await count()).toBe(settled);
        expect(late.rows.length).toBeLessThanOrEqual(1);
      }
    });
  });
});

describe('S50 failing handshakes', () => {
  let app: TestApp;
  let user: SignedIn;
  beforeAll(async () => {
    app = await startTestApp({
      RATE_LIMIT_ENABLED: 'true',
      RATE_LIMIT_ANONYMOUS: '5/60',
      RATE_LIMIT_CREDENTIALS: '100/60',
    });
    user = await aSignedInUser(app);
  });
  afterEach(() => closeSockets());
  afterAll(() => app.close());

  it('are limited by their address, and do not keep out who has a good token', async () => {
    const ended = await aSignedInUser(app);
    await app.http.post('/api/v1/auth/logout').set(ended.auth).expect(204);
    const attempts = [null, { accessToken: 'nonsense' }, ended];
    for (let i = 0; i < 5; i++)
      expect(await refusal(app, attempts[i % 3], { transports: [i % 2 ? 'polling' : 'websocket'] })).toMatchObject({
        code: 401,
      });
    for (const attempt of attempts)
      expect(await refusal(app, attempt)).toMatchObject({ code: 429, error_code: 'rate_limited' });
    const client = await connect(app, user);
    expect(await client.ask('ping')).toMatchObject({ ok: true });
  });
});
