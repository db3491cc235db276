import { randomBytes } from 'node:crypto';
import { aSignedInUser, anAdmin, aUser, PASSWORD, type SignedIn } from '../support/builders.js';
import { startTestApp, type TestApp } from '../support/test-app.js';

/** What only the server may set, each with the value that somebody would like to have. */
const FOREIGN_FIELDS: Record<string, unknown> = {
  role: 'admin',
  roles: ['admin'],
  id: '0197f0a0-7b1c-7e7e-8a00-3d2f1c0b9a88',
  quota: 1e12,
  is_verified: true,
  isVerified: true,
  has_second_factor: true,
  hasSecondFactor: true,
  scopes: ['admin'],
  is_active: true,
  password_hash: '$2b$10$abcdefghijklmnopqrstuuVLg1PfQ0b0XKX0Cq1Z3sT4l8mI0z1hC',
  passwordHash: 'x',
  total_uploads: -5,
  totalStorageUsed: -5,
  stats: { total_uploads: 0 },
  profile: { bio: 'nested' },
  last_login: null,
  created_at: '2001-01-01T00:00:00.000Z',
  updated_at: '2001-01-01T00:00:00.000Z',
  constructor: { prototype: { role: 'admin' } },
  prototype: { role: 'admin' },
};

/** A body with an own field `__proto__`, which an object literal cannot have. */
const withProto = (body: object, proto: unknown) =>
  `${JSON.stringify(body).slice(0, -1)},"__proto__":${JSON.stringify(proto)}}`;

describe('mass assignment', () => {
  let app: TestApp;
  let user: SignedIn;

  const newPerson = () => ({ email: `${randomBytes(6).toString('hex')}@example.com`, password: PASSWORD });
  const storedUsers = async () => (await app.pool.query('SELECT * FROM users ORDER BY id')).rows;
  const post = (path: string, body: unknown) =>
    app.http
      .post(path)
      .set('Content-Type', 'application/json')
      .send(typeof body === 'string' ? body : JSON.stringify(body));

  beforeAll(async () => {
    app = await startTestApp();
    user = await aSignedInUser(app);
  });
  afterAll(async () => {
    expect(({} as Record<string, unknown>).role).toBeUndefined();
    await app.close();
  });

  describe.each(['/api/v1/auth/register', '/api/v1/users', '/auth/register', '/users'])('POST %s', (path) => {
    it('S07 refuses every field that is not its own and writes nothing', async () => {
      const before = await storedUsers();
      for (const [field, value] of Object.entries(FOREIGN_FIELDS)) {
        const response = await post(path, { ...newPerson(), [field]: value });
        expect([field, response.status]).toEqual([field, 422]);
        expect(Object.keys(response.body.field_errors).join()).toContain(field);
      }
      expect(await storedUsers()).toEqual(before);
    });

    it('S07 refuses is_superuser: true of a guest and of a user with 403 and writes nothing', async () => {
      const before = await storedUsers();
      await post(path, { ...newPerson(), is_superuser: true }).expect(403);
      await post(path, { ...newPerson(), is_superuser: true })
        .set(user.auth)
        .expect(403);
      for (const value of ['true', 1, [true], { $ne: false }, null])
        await post(path, { ...newPerson(), is_superuser: value }).expect(422);
      expect(await storedUsers()).toEqual(before);
    });

    it('S07 refuses __proto__ keys and writes nothing', async () => {
      const before = await storedUsers();
      for (const proto of [{ role: 'admin' }, { is_superuser: true }, null, 'text'])
        await post(path, withProto(newPerson(), proto)).expect(422);
      await post(path, `{"__proto__":${JSON.stringify(newPerson())}}`).expect(422);
      expect(await storedUsers()).toEqual(before);
    });
  });

  it('S07 fields in the query string or in another spelling make no admin', async () => {
    const { body } = await post('/api/v1/auth/register?role=admin&is_superuser=true', newPerson());
    if (body.id) expect(body).toMatchObject({ role: 'user', is_superuser: false, is_verified: false });
    for (const field of ['Role', 'isSuperuser', 'IS_SUPERUSER', 'role\u0000', ' role', 'role ', 'is\u005fsuperuser '])
      await post('/api/v1/auth/register', { ...newPerson(), [field]: true }).expect(422);
    const { rows } = await app.pool.query("SELECT 1 FROM users WHERE role = 'admin' OR is_verified");
    expect(rows).toEqual([]);
  });

  it('S07 the control: the same person without the foreign field is registered, as a user', async () => {
    const { body } = await post('/api/v1/auth/register', { ...newPerson(), is_superuser: false }).expect(201);
    expect(body).toMatchObject({ role: 'user', is_superuser: false, is_verified: false, is_active: true });
  });

  describe.each([
    ['put', 'me'],
    ['patch', 'me'],
    ['put', 'id'],
    ['patch', 'id'],
  ] as const)('%s /users/%s', (method, target) => {
    const change = (body: unknown) =>
      app.http[method](`/api/v1/users/${target === 'me' ? 'me' : user.id}`)
        .set(user.auth)
        .set('Content-Type', 'application/json')
        .send(typeof body === 'string' ? body : JSON.stringify(body));

    it('S08 refuses every field that is not its own, and changes nothing else along with it', async () => {
      const before = await storedUsers();
      const more = { is_superuser: true, password: 'Another-Horse-1', new_password: 'Another-Horse-1' };
      for (const [field, value] of Object.entries({ ...FOREIGN_FIELDS, ...more })) {
        const response = await change({ bio: 'written?', [field]: value });
        expect([field, response.status]).toEqual([field, 422]);
      }
      expect(await storedUsers()).toEqual(before);
    });

    it('S08 refuses nested, __proto__ and constructor keys', async () => {
      const before = await storedUsers();
      for (const body of [
        withProto({ bio: 'written?' }, { role: 'admin' }),
        withProto({ bio: 'written?' }, { email: 'a@example.com' }),
        '{"__proto__":{"bio":"written?"}}',
        '{"constructor":{"prototype":{"role":"admin"}}}',
        '{"bio":{"__proto__":{"role":"admin"}}}',
        '{"bio":{"constructor":{"prototype":{"role":"admin"}}}}',
        { profile: { first_name: 'x' } },
        { profile: { role: 'admin' } },
        { bio: { toString: 'x' } },
        { full_name: ['a'] },
        { email: { $ne: null } },
        { 'profile.role': 'admin' },
        { 'profile[role]': 'admin' },
      ]) {
        const response = await change(body);
        expect([body, response.status]).toEqual([body, 422]);
      }
      expect(await storedUsers()).toEqual(before);
      expect(({} as Record<string, unknown>).role).toBeUndefined();
    });
  });

  describe.each(['put', 'patch'] as const)('%s /admin/users/{id}', (method) => {
    let admin: SignedIn;
    beforeAll(async () => {
      admin = await anAdmin(app);
    });
    afterAll(() => app.pool.query('DELETE FROM users WHERE id = $1', [admin.id]));
    const change = (id: string, body: unknown) =>
      app.http[method](`/api/v1/admin/users/${id}`)
        .set(admin.auth)
        .set('Content-Type', 'application/json')
        .send(typeof body === 'string' ? body : JSON.stringify(body));

    it('S08 changes role, activity and quota, and refuses whatever else an account has', async () => {
      const { id } = await aUser(app);
      const before = await storedUsers();
      const foreign = Object.entries(FOREIGN_FIELDS).filter(
        ([field]) => !['role', 'is_active', 'quota'].includes(field),
      );
      const more = { is_superuser: true, password: PASSWORD, email: 'a@example.com', username: 'x_y', bio: 'x' };
      for (const [field, value] of [...foreign, ...Object.entries(more)]) {
        const response = await change(id, { quota: 7, [field]: value });
        expect([field, response.status]).toEqual([field, 422]);
        expect(Object.keys(response.body.field_errors)).toEqual([field]);
      }
      expect(await storedUsers()).toEqual(before);
    });

    it('S08 refuses nested, __proto__ and constructor keys', async () => {
      const { id } = await aUser(app);
      const before = await storedUsers();
      for (const body of [
        withProto({ quota: 7 }, { role: 'admin' }),
        '{"__proto__":{"is_active":false}}',
        '{"__proto__":{"role":"admin"}}',
        '{"constructor":{"prototype":{"role":"admin"}}}',
        '{"role":{"__proto__":"admin"}}',
        '{"role":["admin"]}',
        '{"quota":{"valueOf":7}}',
        '{"is_active":[false]}',
      ]) {
        const response = await change(id, body);
        expect([body, response.status]).toEqual([body, 422]);
      }
      expect(await storedUsers()).toEqual(before);
      expect(({} as Record<string, unknown>).role).toBeUndefined();
    });
  });

  it('S07 a key is made for its maker, with an id, a prefix and a secret of the server', async () => {
    const other = await aUser(app);
    const keys = '/api/v1/users/me/api-keys';
    for (const [field, value] of Object.entries({
      id: other.id,
      user_id: other.id,
      owner_id: other.id,
      userId: other.id,
      key: 'gh_mine_mine',
      prefix: 'gh_mine',
      secret_hash: 'x',
      scope: 'admin',
      last_used_at: null,
      created_at: '2001-01-01T00:00:00.000Z',
      revoked_at: null,
    })) {
      const { status, body } = await post(keys, { name: 'x', [field]: value }).set(user.auth);
      expect([field, status, Object.keys(body.field_errors ?? {})]).toEqual([field, 422, [field]]);
    }
    for (const body of [
      withProto({ name: 'x' }, { scopes: ['admin'] }),
      '{"__proto__":{"name":"x"}}',
      '{"name":"x","constructor":{"prototype":{"user_id":"x"}}}',
      '{"name":{"__proto__":"x"}}',
      '{"name":"x","scopes":{"0":"users:read","length":1}}',
      '{"name":"x","scopes":[{"__proto__":"admin"}]}',
    ])
      await post(keys, body).set(user.auth).expect(422);
    expect((await app.pool.query('SELECT 1 FROM api_keys')).rows).toEqual([]);
    await post(keys, { name: 'x' }).set(user.auth).expect(201);
    const { rows } = await app.pool.query('SELECT user_id FROM api_keys');
    expect(rows).toEqual([{ user_id: user.id }]);
  });

  it('S08 fields in the query string change nothing', async () => {
    await app.http.patch('/api/v1/users/me?role=admin&is_verified=true&bio=query').set(user.auth).send({});
    const { rows } = await app.pool.query('SELECT role, is_verified, bio FROM users WHERE id = $1', [user.id]);
    expect(rows).toEqual([{ role: 'user', is_verified: false, bio: null }]);
  });

  it('S08 the other bodies refuse foreign fields too', async () => {
    for (const [path, body] of [
      ['auth/login', { email: user.email, password: PASSWORD, role: 'admin' }],
      ['auth/refresh', { refresh_token: user.refreshToken, sid: 'x' }],
      ['auth/logout', { refresh_token: user.refreshToken, user_id: user.id }],
      ['auth/change-password', { current_password: PASSWORD, new_password: 'Another-Horse-1', id: user.id }],
      ['auth/mfa/setup', { password: PASSWORD, secret: 'JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP' }],
      ['auth/mfa/setup', { password: PASSWORD, user_id: user.id }],
      ['auth/mfa/confirm', { code: '123456', recovery_codes: ['x'] }],
      ['auth/mfa/recovery-codes', { password: PASSWORD, code: '123456', recovery_codes: ['x'] }],
      ['auth/mfa/disable', { password: PASSWORD, code: '123456', user_id: user.id }],
      ['auth/mfa/verify', { mfa_token: 'x', code: '123456', user_id: user.id }],
      ['auth/mfa/verify', withProto({ mfa_token: 'x' }, { code: '123456' })],
      ['auth/forgot-password', { email: user.email, to: 'thief@example.com' }],
      ['auth/forgot-password', { email: [user.email, 'thief@example.com'] }],
      ['auth/forgot-password', { email: user.email, url: 'https://evil.example' }],
      ['auth/reset-password', { token: 'x', new_password: 'Another-Horse-1', email: user.email }],
      ['auth/reset-password', { token: 'x', new_password: 'Another-Horse-1', user_id: user.id }],
      ['auth/verify-email', { token: 'x', is_verified: true }],
      ['auth/verify-email', { token: { $ne: null } }],
      ['auth/resend-verification', { email: user.email, user_id: user.id }],
      ['auth/undo-email-change', { token: 'x', email: 'thief@example.com' }],
      ['broadcasting/messages', { channel: 'news', event: 'e', sender_id: user.id }],
      ['broadcasting/messages', { channel: 'news', event: 'e', sequence: 1 }],
      ['broadcasting/messages', withProto({ channel: 'news', event: 'e', data: {} }, { durable: false })],
      ['broadcasting/auth', { channel_name: 'news', user_id: user.id }],
    ] as const) {
      const response = await post(`/api/v1/${path}`, body).set(user.auth);
      expect([path, response.status]).toEqual([path, 422]);
    }
    await app.http.delete('/api/v1/users/me').set(user.auth).send({ password: PASSWORD, id: user.id }).expect(422);
    await app.http
      .post('/api/v1/auth/login')
      .type('form')
      .send(`username=${user.username}&password=${PASSWORD}&role=admin&__proto__=x`)
      .expect(422);
    await app.http.get('/api/v1/users/me').set(user.auth).expect(200);
  });
});
