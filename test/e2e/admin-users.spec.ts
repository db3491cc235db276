import { AuditEvent } from '../../src/common/events/audit-event.js';
import { DomainEvents } from '../../src/common/events/domain-events.js';
import { UserDisabledEvent, UserUpdatedEvent } from '../../src/users/users.events.js';
import { aSignedInUser, aUser, anAdmin, type SignedIn, signIn } from '../support/builders.js';
import { enableSecondFactor } from '../support/second-factor.js';
import { startTestApp, type TestApp } from '../support/test-app.js';

const USERS = '/api/v1/admin/users';
const NOBODY = '0197f0a0-7b1c-7e7e-8a00-3d2f1c0b9a88';
const AGENT = 'the test';

interface Change {
  body: object;
  entries: [action: string, details: object][];
  event: 'disabled' | 'updated';
}

describe('one user for admins', () => {
  let app: TestApp;
  let admin: SignedIn;
  let told: string[];
  /** What a listener does in the transaction of the change. */
  let during: () => Promise<void>;

  beforeAll(async () => {
    app = await startTestApp();
    admin = await anAdmin(app);
    const events = app.app.get(DomainEvents);
    events.on(UserDisabledEvent, ({ userId }) => told.push(`disabled ${userId}`));
    events.on(UserUpdatedEvent, ({ account }) => told.push(`updated ${account.id}`));
    events.during(AuditEvent, () => during());
    events.during(UserDisabledEvent, () => during());
  });
  beforeEach(() => {
    told = [];
    during = () => Promise.resolve();
  });
  afterAll(() => app.close());

  const call = (method: 'get' | 'put' | 'patch' | 'delete' | 'post', path: string, caller: SignedIn | null = admin) => {
    const request = app.http[method](`${USERS}/${path}`).set('User-Agent', AGENT);
    return caller ? request.set(caller.auth) : request;
  };
  const change = (id: string, body: object, caller = admin) => call('patch', id, caller).send(body);
  const rowOf = async (id: string) => (await app.pool.query('SELECT * FROM users WHERE id = $1', [id])).rows[0];
  const entriesOf = async (targetId: string) =>
    (
      await app.pool.query(
        `SELECT action, actor_id, target_type, ip_address, user_agent, request_id, details FROM audit_log
         WHERE target_id = $1 AND action NOT LIKE 'login.%' ORDER BY id`,
        [targetId],
      )
    ).rows;

  describe.each([
    ['get', ''],
    ['put', ''],
    ['patch', ''],
    ['delete', ''],
    ['post', '/revoke-sessions'],
    ['get', '/sessions'],
    ['delete', `/sessions/${NOBODY}`],
  ] as const)('%s %s', (method, path) => {
    it('is refused to guests and users, the user whom it is about too', async () => {
      const user = await aSignedInUser(app);
      const before = await rowOf(user.id);
      await call(method, `${user.id}${path}`, null).send({}).expect(401);
      const { body } = await call(method, `${user.id}${path}`, user).send({}).expect(403);
      expect(body.error_code).toBe('forbidden');
      await call(method, `${user.id}${path}`, await aSignedInUser(app))
        .send({})
        .expect(403);
      expect(await rowOf(user.id)).toEqual(before);
      expect(await entriesOf(user.id)).toEqual([]);
      await app.http.get('/api/v1/users/me').set(user.auth).expect(200);
    });

    it('finds no user of an id that nobody has, or that is none', async () => {
      expect((await call(method, `${NOBODY}${path}`).send({}).expect(404)).body.error_code).toBe('user_not_found');
      expect((await call(method, `42${path}`).send({}).expect(404)).body.error_code).toBe('not_found');
      expect(await entriesOf(NOBODY)).toEqual([]);
    });
  });

  it('is shown in full, with stats and quota', async () => {
    const user = await aSignedInUser(app, { fullName: 'Ada Lovelace' });
    const { body: own } = await app.http.get('/api/v1/users/me').set(user.auth).expect(200);
    const { body } = await call('get', user.id).expect(200);
    expect(body).toEqual({ ...own, quota: null, has_second_factor: false });
    await enableSecondFactor(app, user);
    expect((await call('get', user.id).expect(200)).body.has_second_factor).toBe(true);
    const { body: found } = await call('get', `?search=${user.username}`).expect(200);
    expect(found.items).toMatchObject([{ id: user.id, has_second_factor: true }]);
    expect(body.stats).toEqual({ total_uploads: 0, total_storage_used: 0 });
    expect((await call('get', user.id.toUpperCase()).expect(200)).body.id).toBe(user.id);
  });

  const CHANGES: [string, Change][] = [
    [
      'the role',
      {
        body: { role: 'admin' },
        entries: [['user.role_changed', { from: 'user', to: 'admin' }]],
        event: 'updated',
      },
    ],
    ['the activity', { body: { is_active: false }, entries: [['user.disabled', {}]], event: 'disabled' }],
    [
      'the quota',
      { body: { quota: 4096 }, entries: [['user.quota_changed', { from: null, to: 4096 }]], event: 'updated' },
    ],
    [
      'the quota to nothing',
      { body: { quota: 0 }, entries: [['user.quota_changed', { from: null, to: 0 }]], event: 'updated' },
    ],
    [
      'the quota to the most there is',
      {
        body: { quota: Number.MAX_SAFE_INTEGER },
        entries: [['user.quota_changed', { from: null, to: Number.MAX_SAFE_INTEGER }]],
        event: 'updated',
      },
    ],
    [
      'all of it at once',
      {
        body: { role: 'admin', is_active: false, quota: 1 },
        entries: [
          ['user.role_changed', { from: 'user', to: 'admin' }],
          ['user.disabled', {}],
          ['user.quota_changed', { from: null, to: 1 }],
        ],
        event: 'disabled',
      },
    ],
  ];

  it.each(
    CHANGES.flatMap(([what, change]) => (['put', 'patch'] as const).map((method) => [what, method, change] as const)),
  )('changes %s by %s, writes it into the audit log and tells it', async (_what, method, { body, entries, event }) => {
    const user = await aUser(app);
    const before = (await call('get', user.id)).body;
    const answer = await call(method, user.id).send(body).expect(200);
    expect(answer.body).toEqual({
      ...before,
      ...body,
      is_superuser: answer.body.role === 'admin',
      updated_at: expect.any(String),
    });
    expect(Date.parse(answer.body.updated_at)).toBeGreaterThanOrEqual(Date.parse(before.updated_at));
    expect((await call('get', user.id)).body).toEqual(answer.body);
    expect(await entriesOf(user.id)).toEqual(
      entries.map(([action, details]) => ({
        action,
        actor_id: admin.id,
        target_type: 'user',
        ip_address: '127.0.0.1',
        user_agent: AGENT,
        request_id: answer.headers['x-request-id'],
        details,
      })),
    );
    expect(told).toEqual([`${event} ${user.id}`]);
  });

  it('enables again, and makes the quota the default again', async () => {
    const user = await aUser(app, { isActive: false });
    await change(user.id, { quota: 5 }).expect(200);
    const { body } = await change(user.id, { is_active: true, quota: null }).expect(200);
    expect(body).toMatchObject({ is_active: true, quota: null });
    expect((await entriesOf(user.id)).map(({ action, details }) => [action, details])).toEqual([
      ['user.quota_changed', { from: null, to: 5 }],
      ['user.enabled', {}],
      ['user.quota_changed', { from: 5, to: null }],
    ]);
    expect(told).toEqual([`updated ${user.id}`, `updated ${user.id}`]);
  });

  it.each([{}, { role: 'user' }, { is_active: true }, { quota: null }, { role: 'user', is_active: true, quota: null }])(
    'writes nothing and tells nothing when %j changes nothing',
    async (body) => {
      const user = await aUser(app);
      const before = await rowOf(user.id);
      expect((await change(user.id, body).expect(200)).body).toMatchObject({ id: user.id, role: 'user', quota: null });
      expect(await rowOf(user.id)).toEqual(before);
      expect(await entriesOf(user.id)).toEqual([]);
      expect(told).toEqual([]);
    },
  );

  it.each([
    [{ role: null }, 'role'],
    [{ role: 'root' }, 'role'],
    [{ role: ['admin'] }, 'role'],
    [{ is_active: null }, 'is_active'],
    [{ is_active: 'false' }, 'is_active'],
    [{ is_active: 0 }, 'is_active'],
    [{ quota: -1 }, 'quota'],
    [{ quota: 1.5 }, 'quota'],
    [{ quota: '10' }, 'quota'],
    [{ quota: Number.MAX_SAFE_INTEGER + 1 }, 'quota'],
    [{ is_superuser: true }, 'is_superuser'],
    [{ is_verified: true }, 'is_verified'],
    [{ email: 'other@example.com' }, 'email'],
    [{ id: NOBODY }, 'id'],
    [{ quota: 7, password_hash: 'x' }, 'password_hash'],
  ])('refuses %j, and nothing of it is written', async (body, field) => {
    const user = await aUser(app);
    const before = await rowOf(user.id);
    const answer = await change(user.id, body).expect(422);
    expect(Object.keys(answer.body.field_errors)).toEqual([field]);
    expect(await rowOf(user.id)).toEqual(before);
    expect(await entriesOf(user.id)).toEqual([]);
  });

  it.each([
    ['role', { role: 'admin' }],
    ['activity', { is_active: false }],
    ['quota', { quota: 5 }],
  ])('a change of the %s that cannot be written into the log does not happen', async (_what, body) => {
    const user = await aSignedInUser(app);
    const before = await rowOf(user.id);
    during = () => Promise.reject(new Error('on purpose'));
    await change(user.id, body).expect(500);
    expect(await rowOf(user.id)).toEqual(before);
    expect(await entriesOf(user.id)).toEqual([]);
    expect(told).toEqual([]);
    await app.http.get('/api/v1/users/me').set(user.auth).expect(200);
  });

  it('who is disabled is out at the next request, and enabling brings no session back', async () => {
    const user = await aSignedInUser(app);
    await change(user.id, { is_active: false }).expect(200);
    await app.http.get('/api/v1/users/me').set(user.auth).expect(401);
    await change(user.id, { is_active: true }).expect(200);
    await app.http.get('/api/v1/users/me').set(user.auth).expect(401);
    await app.http.post('/api/v1/auth/refresh').send({ refresh_token: user.refreshToken }).expect(401);
    await signIn(app, user);
  });

  it('who is demoted is no admin at the next request, and who is promoted is one', async () => {
    const other = await anAdmin(app);
    await call('get', admin.id, other).expect(200);
    await change(other.id, { role: 'user' }).expect(200);
    await call('get', admin.id, other).expect(403);
    await app.http.get('/api/v1/users/me').set(other.auth).expect(200);
    await change(other.id, { role: 'admin' }).expect(200);
    await call('get', admin.id, other).expect(200);
  });

  it('a quota holds at the next upload, and what is there stays', async () => {
    const user = await aSignedInUser(app);
    const upload = (size: number) =>
      app.http.post('/api/v1/uploads').set(user.auth).attach('file', Buffer.alloc(size, 'x'), 'x.txt');
    await upload(2000).expect(201);
    await change(user.id, { quota: 100 }).expect(200);
    expect((await upload(1).expect(507)).body.error_code).toBe('quota_exceeded');
    await change(user.id, { quota: 2050 }).expect(200);
    await upload(50).expect(201);
    await upload(1).expect(507);
    await change(user.id, { quota: null }).expect(200);
    await upload(5000).expect(201);
    expect((await call('get', user.id)).body.stats).toEqual({ total_uploads: 3, total_storage_used: 7050 });
  });

  describe('revoke-sessions', () => {
    it('signs the user out everywhere, and nobody else', async () => {
      const user = await aUser(app);
      const other = await aSignedInUser(app);
      const devices = [await signIn(app, user), await signIn(app, user)];
      const { headers } = await call('post', `${user.id}/revoke-sessions`).expect(204);
      for (const { auth, refreshToken } of devices) {
        await app.http.get('/api/v1/users/me').set(auth).expect(401);
        await app.http.post('/api/v1/auth/refresh').send({ refresh_token: refreshToken }).expect(401);
      }
      await app.http.get('/api/v1/users/me').set(other.auth).expect(200);
      expect(await entriesOf(user.id)).toMatchObject([
        { action: 'session.all_revoked', actor_id: admin.id, request_id: headers['x-request-id'], details: {} },
      ]);
      expect(told).toEqual([]);
      await signIn(app, user);
    });

    it('ends no session when it cannot be written into the log', async () => {
      const user = await aSignedInUser(app);
      during = () => Promise.reject(new Error('on purpose'));
      await call('post', `${user.id}/revoke-sessions`).expect(500);
      await app.http.get('/api/v1/users/me').set(user.auth).expect(200);
    });

    it('takes no fields, as other routes without a body', async () => {
      const user = await aSignedInUser(app);
      const { body } = await call('post', `${user.id}/revoke-sessions`).send({ x: 1 }).expect(422);
      expect(body.field_errors).toEqual({ x: ['extra fields not permitted'] });
      for (const path of ['auth/logout-all', 'broadcasting/stream/ticket'])
        await app.http.post(`/api/v1/${path}`).set(user.auth).send({ x: 1 }).expect(422);
      await app.http.get('/api/v1/users/me').set(user.auth).expect(200);
      await app.http.post('/api/v1/auth/logout-all').set(user.auth).send({}).expect(204);
    });

    it('takes the caller’s own session too', async () => {
      const other = await anAdmin(app);
      await call('post', `${other.id}/revoke-sessions`, other).expect(204);
      await call('get', other.id, other).expect(401);
    });
  });

  describe('sessions', () => {
    const sessionsOf = async (id: string, as = admin) => (await call('get', `${id}/sessions`, as).expect(200)).body;
    const idOf = async ({ auth }: SignedIn): Promise<string> =>
      (await app.http.get('/api/v1/auth/sessions').set(auth).expect(200)).body.items.find(
        (session: any) => session.is_current,
      ).id;

    it('are listed as the user sees them, none as the current one', async () => {
      const user = await aUser(app);
      const [first] = [await signIn(app, user), await signIn(app, user)];
      const own = (await app.http.get('/api/v1/auth/sessions').set(first.auth).expect(200)).body;
      const items = own.items.map((session: object) => ({ ...session, is_current: false }));
      expect(items).toHaveLength(2);
      expect(await sessionsOf(user.id)).toEqual({ ...own, items });
      const { body } = await call('get', `${user.id}/sessions?size=1&page=2`).expect(200);
      expect(body).toMatchObject({ items: [items[1]], total: 2, page: 2, pages: 2 });
      const current = (await sessionsOf(admin.id)).items.filter((session: any) => session.is_current);
      expect(current).toMatchObject([{ id: await idOf(admin) }]);
    });

    it('are ended one by one, with an entry in the audit log', async () => {
      const user = await aUser(app);
      const [ended, kept] = [await signIn(app, user), await signIn(app, user)];
      const id = await idOf(ended);
      const { headers } = await call('delete', `${user.id}/sessions/${id}`).expect(204);
      await app.http.get('/api/v1/users/me').set(ended.auth).expect(401);
      await app.http.post('/api/v1/auth/refresh').send({ refresh_token: ended.refreshToken }).expect(401);
      await app.http.get('/api/v1/users/me').set(kept.auth).expect(200);
      expect(await entriesOf(id)).toMatchObject([
        {
          action: 'session.ended',
          actor_id: admin.id,
          target_type: 'session',
          request_id: headers['x-request-id'],
          details: { user_id: user.id },
        },
      ]);
      const { body } = await call('delete', `${user.id}/sessions/${id}`).expect(404);
      expect(body.error_code).toBe('session_not_found');
    });

    it('of another user are not found, and go on', async () => {
      const [user, other] = [await aUser(app), await aSignedInUser(app)];
      const id = await idOf(other);
      await call('delete', `${user.id}/sessions/${id}`).expect(404);
      await app.http.get('/api/v1/users/me').set(other.auth).expect(200);
      expect(await entriesOf(id)).toEqual([]);
    });

    it('go on when their end cannot be written into the log', async () => {
      const user = await aSignedInUser(app);
      const id = await idOf(user);
      during = () => Promise.reject(new Error('on purpose'));
      await call('delete', `${user.id}/sessions/${id}`).expect(500);
      await app.http.get('/api/v1/users/me').set(user.auth).expect(200);
    });
  });

  describe('deletion', () => {
    it('takes the account, and leaves an entry with its name', async () => {
      const user = await aSignedInUser(app);
      await call('delete', user.id).expect(204);
      await app.http.get('/api/v1/users/me').set(user.auth).expect(401);
      expect((await call('get', user.id).expect(404)).body.error_code).toBe('user_not_found');
      await call('delete', user.id).expect(404);
      expect(await entriesOf(user.id)).toMatchObject([
        { action: 'user.deleted', actor_id: admin.id, details: { username: user.username } },
      ]);
    });

    it('leaves the account when it cannot be written into the log', async () => {
      const user = await aUser(app);
      during = () => Promise.reject(new Error('on purpose'));
      await call('delete', user.id).expect(500);
      await call('get', user.id).expect(200);
    });
  });
});
