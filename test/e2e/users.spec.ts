import type { Pool } from 'pg';
import { DataSource } from 'typeorm';
import { PreparedStatements } from '../../src/database/prepared-statements.js';
import { aSignedInUser, anAdmin, aUser, PASSWORD, type SignedIn } from '../support/builders.js';
import { startTestApp, type TestApp } from '../support/test-app.js';
import { until } from '../support/uploads.js';

const ABSENT = '0197f0a0-7b1c-7e7e-8a00-3d2f1c0b9a88';

describe('users', () => {
  let app: TestApp;
  let owner: SignedIn;
  let other: SignedIn;
  let admin: SignedIn;

  beforeAll(async () => {
    app = await startTestApp();
    [owner, other, admin] = [await aSignedInUser(app), await aSignedInUser(app), await anAdmin(app)];
  });
  afterAll(() => app.close());

  describe('GET /users/me', () => {
    it('is refused to guests with the contract’s body', async () => {
      const { body, headers } = await app.http.get('/api/v1/users/me').expect(401);
      expect(body).toEqual({
        detail: 'Not authenticated',
        status: 'error',
        code: 401,
        error_code: 'not_authenticated',
        request_id: headers['x-request-id'],
      });
      expect(headers['www-authenticate']).toBe('Bearer');
    });

    it('answers the own view with stats', async () => {
      const { body } = await app.http.get('/api/v1/users/me').set(owner.auth).expect(200);
      expect(body).toMatchObject({
        id: owner.id,
        email: owner.email,
        stats: { total_uploads: 0, total_storage_used: 0 },
      });
    });

    it('does not mind a trailing slash', async () => {
      await app.http.get('/api/v1/users/me/').set(owner.auth).expect(200);
    });

    it('asks the database once', async () => {
      const prepared = jest.spyOn(app.app.get(PreparedStatements), 'first');
      const pool = jest.spyOn((app.app.get(DataSource).driver as unknown as { master: Pool }).master, 'connect');
      // The queue of mails is looked at every few seconds, by the pool.
      await until(async () => {
        for (const spy of [prepared, pool]) spy.mockClear();
        await app.http.get('/api/v1/users/me').set(owner.auth).expect(200);
        return pool.mock.calls.length === 0;
      }, 'a request that asks nothing of the pool');
      expect(prepared.mock.calls.map(([{ name }]) => name)).toEqual(['live-session']);
      jest.restoreAllMocks();
    });
  });

  describe.each(['put', 'patch'] as const)('%s /users/me', (method) => {
    const change = (user: SignedIn, body: object) => app.http[method]('/api/v1/users/me').set(user.auth).send(body);

    it('changes what is given and leaves the rest', async () => {
      const user = await aSignedInUser(app, { fullName: 'Before' });
      const { body } = await change(user, { bio: 'Developer', phone_number: '+1234567890', first_name: 'Jo' }).expect(
        200,
      );
      expect(body).toMatchObject({
        full_name: 'Before',
        username: user.username,
        profile: { first_name: 'Jo', last_name: null, bio: 'Developer', phone_number: '+1234567890' },
      });
      expect(body.updated_at > body.created_at).toBe(true);
      const again = await app.http.get('/api/v1/users/me').set(user.auth);
      expect(again.body).toEqual(body);
    });

    it('changes nothing when nothing is given', async () => {
      const user = await aSignedInUser(app);
      const before = await app.http.get('/api/v1/users/me').set(user.auth);
      const { body } = await change(user, {}).expect(200);
      expect(body).toEqual(before.body);
    });

    it.each(['full_name', 'first_name', 'last_name', 'bio', 'phone_number'])('clears %s with null', async (field) => {
      const user = await aSignedInUser(app);
      const value = field === 'phone_number' ? '+1234567890' : 'text';
      await change(user, { [field]: value }).expect(200);
      const { body } = await change(user, { [field]: null }).expect(200);
      expect(field === 'full_name' ? body.full_name : body.profile[field]).toBeNull();
    });

    it.each(['email', 'username'])('refuses null for %s', async (field) => {
      const { body } = await change(owner, { [field]: null }).expect(422);
      expect(Object.keys(body.field_errors)).toEqual([field]);
    });

    it('a new address is not verified; the same one in another case stays so', async () => {
      const user = await aSignedInUser(app);
      await app.pool.query('UPDATE users SET is_verified = true WHERE id = $1', [user.id]);
      const same = await change(user, { email: user.email.toUpperCase() }).expect(200);
      expect(same.body).toMatchObject({ email: user.email.toUpperCase(), is_verified: true });
      const moved = await change(user, { email: `moved.${user.email}` }).expect(200);
      expect(moved.body).toMatchObject({ email: `moved.${user.email}`, is_verified: false });
    });

    it('refuses an address or name that is taken', async () => {
      expect((await change(owner, { email: other.email.toUpperCase() }).expect(409)).body.field_errors).toHaveProperty(
        'email',
      );
      expect(
        (await change(owner, { username: other.username.toUpperCase() }).expect(409)).body.field_errors,
      ).toHaveProperty('username');
    });

    it('is done again when it was in a deadlock, as of two who take each other’s name at once', async () => {
      const inDeadlock = async (): Promise<boolean> => {
        const [one, two] = [await aSignedInUser(app), await aSignedInUser(app)];
        const client = await app.pool.connect();
        await client.query('BEGIN');
        await client.query('UPDATE users SET username = $2 WHERE id = $1', [two.id, `${two.username}_2`]);
        const answer = change(one, { username: two.username }).then((response) => response);
        await until(async () => {
          const { rows } = await app.pool.query(
            `SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()`,
          );
          return rows.length > 0;
        }, 'the change to wait');
        // Whoever has waited longer looks for a deadlock first, and gives way: the program, unless one of the two was held up.
        const hasGivenWay = await client.query(`UPDATE users SET bio = 'x' WHERE id = $1`, [one.id]).then(
          () => true,
          (error: { code?: string }) => {
            if (error.code !== '40P01') throw error;
            return false;
          },
        );
        await client.query(hasGivenWay ? 'COMMIT' : 'ROLLBACK');
        client.release();
        const { status, body } = await answer;
        if (hasGivenWay) expect([status, body.username, body.profile?.bio]).toEqual([200, two.username, 'x']);
        return hasGivenWay;
      };
      await until(inDeadlock, 'a deadlock in which the program gives way');
    });

    it.each([
      { role: 'admin' },
      { is_superuser: true },
      { is_active: false },
      { is_verified: true },
      { id: ABSENT },
      { password: 'x' },
      { stats: { total_uploads: 0 } },
      { profile: { bio: 'x' } },
      { bio: 'x'.repeat(501) },
      { phone_number: '12345' },
      { phone_number: '+0123456789' },
      { bio: 7 },
    ])('refuses %j', async (body) => {
      const before = await app.http.get('/api/v1/users/me').set(owner.auth);
      const answer = await change(owner, body).expect(422);
      expect(answer.body.error_code).toBe('validation_error');
      expect((await app.http.get('/api/v1/users/me').set(owner.auth)).body).toEqual(before.body);
    });
  });

  describe('/users/{id}', () => {
    it('shows the owner and admins all, others the public part', async () => {
      const get = (as: SignedIn) => app.http.get(`/api/v1/users/${owner.id}`).set(as.auth).expect(200);
      expect((await get(owner)).body).toHaveProperty('email', owner.email);
      expect((await get(admin)).body).toHaveProperty('stats');
      const { body } = await get(other);
      expect(Object.keys(body).sort()).toEqual([
        ...['created_at', 'full_name', 'id', 'is_active', 'is_verified', 'last_login', 'profile', 'username'],
      ]);
      expect(Object.keys(body.profile).sort()).toEqual(['bio', 'first_name', 'last_name']);
    });

    it.each([ABSENT, 'nonsense', '1', '%00', '..%2f', 'x'.repeat(3000)])('answers 404 for %s', async (id) => {
      const { status, body } = await app.http.get(`/api/v1/users/${id}`).set(owner.auth);
      expect([status, body.code]).toEqual([404, 404]);
    });

    it.each(['put', 'patch', 'delete'] as const)('refuses %s by another user with 403', async (method) => {
      await app.http[method](`/api/v1/users/${owner.id}`)
        .set(other.auth)
        .send(method === 'delete' ? undefined : { full_name: 'x' })
        .expect(403);
    });

    it('is changed by its owner and by admins', async () => {
      const user = await aSignedInUser(app);
      await app.http.put(`/api/v1/users/${user.id}`).set(user.auth).send({ full_name: 'By me' }).expect(200);
      const { body } = await app.http
        .patch(`/api/v1/users/${user.id}`)
        .set(admin.auth)
        .send({ full_name: 'By admin' })
        .expect(200);
      expect(body.full_name).toBe('By admin');
    });

    it.each(['owner', 'admin'])('is deleted by its %s, and its sessions with it', async (by) => {
      const user = await aSignedInUser(app);
      const { body } = await app.http
        .delete(`/api/v1/users/${user.id}`)
        .set(by === 'admin' ? admin.auth : user.auth)
        .expect(200);
      expect(body).toEqual({ message: 'User deleted successfully' });
      await app.http.get('/api/v1/users/me').set(user.auth).expect(401);
      await app.http.get(`/api/v1/users/${user.id}`).set(admin.auth).expect(404);
      await app.http.delete(`/api/v1/users/${user.id}`).set(admin.auth).expect(404);
    });
  });

  describe('DELETE /users/me', () => {
    const remove = (user: SignedIn, body?: object) => app.http.delete('/api/v1/users/me').set(user.auth).send(body);

    it('asks for the password', async () => {
      const user = await aSignedInUser(app);
      await remove(user).expect(422);
      expect((await remove(user, { password: 'Wrong-Horse-1' }).expect(400)).body.detail).toBe(
        'Current password is incorrect',
      );
      await remove(user, { password: PASSWORD }).expect(204);
      await app.http.get('/api/v1/users/me').set(user.auth).expect(401);
    });

    it('keeps the last active admin', async () => {
      const { body } = await remove(admin, { password: PASSWORD }).expect(409);
      expect(body.error_code).toBe('last_admin');
      await aUser(app, { role: 'admin', isActive: false });
      await remove(admin, { password: PASSWORD }).expect(409);
    });
  });

  it('a disabled user is out at the next request', async () => {
    const user = await aSignedInUser(app);
    await app.pool.query('UPDATE users SET is_active = false WHERE id = $1', [user.id]);
    await app.http.get('/api/v1/users/me').set(user.auth).expect(401);
  });
});

describe('GET /users', () => {
  let app: TestApp;
  let reader: SignedIn;
  let admin: SignedIn;

  beforeAll(async () => {
    app = await startTestApp();
    reader = await aSignedInUser(app, { username: 'reader', email: 'reader@example.com' });
    admin = await aSignedInUser(app, { role: 'admin', username: 'chief', email: 'chief@example.com' });
    await aUser(app, { username: 'anna_k', email: 'secret.mail@example.com', fullName: 'Anna Käse' });
    await aUser(app, { username: 'percent', fullName: '100% _sure_ \\o/' });
    await aUser(app, { username: 'gone', fullName: 'Gone Gal', isActive: false });
  });
  afterAll(() => app.close());

  const list = async (as: SignedIn, query: Record<string, string | number> = {}) => {
    const { body } = await app.http.get('/api/v1/users').query(query).set(as.auth).expect(200);
    return body;
  };
  const names = (page: { items: { username: string }[] }) => page.items.map(({ username }) => username);

  it('answers a page with both styles of numbers', async () => {
    const page = await list(admin);
    expect(page).toMatchObject({ total: 5, page: 1, size: 20, pages: 1, skip: 0, limit: 20 });
    expect(names(page)).toEqual(['reader', 'chief', 'anna_k', 'percent', 'gone']);
  });

  it('shows others the active users without email', async () => {
    const page = await list(reader);
    expect(page.total).toBe(4);
    expect(names(page)).not.toContain('gone');
    expect(page.items.every((item: object) => !('email' in item) && !('stats' in item))).toBe(true);
  });

  it('pages by page and size, and by skip and limit', async () => {
    expect(names(await list(admin, { page: 2, size: 2 }))).toEqual(['anna_k', 'percent']);
    const page = await list(admin, { skip: 3 });
    expect(page).toMatchObject({ total: 5, skip: 3, limit: 10, size: 10 });
    expect(names(page)).toEqual(['percent', 'gone']);
    expect(await list(admin, { page: 9 })).toMatchObject({ items: [], total: 5, page: 9 });
  });

  it.each([
    { page: 1, limit: 5 },
    { size: 5, skip: 0 },
    { page: 0 },
    { page: -1 },
    { size: 0 },
    { size: 101 },
    { limit: 101 },
    { limit: 1e9 },
    { skip: -1 },
    { page: 'x' },
    { page: '1.5' },
    { page: '1e1' },
    { page: '' },
    { search: 'x'.repeat(201) },
    { search: 'a\0' },
    { colour: 'red' },
  ])('refuses %j', async (query) => {
    const { body } = await app.http.get('/api/v1/users').query(query).set(admin.auth).expect(422);
    expect(body.detail[0].loc[0]).toBe('query');
  });

  it.each([
    ['a part of a username', 'nna', ['anna_k']],
    ['a part of a name, in any case', 'KÄS', ['anna_k']],
    ['a beginning of two letters', 'an', ['anna_k']],
    ['no middle of two letters', 'nn', []],
    ['a per cent sign as itself', '100%', ['percent']],
    ['a lone per cent sign as itself', '%', []],
    ['an underscore as itself', '_sure_', ['percent']],
    ['a backslash as itself', '\\o/', ['percent']],
    ['a quote as itself', "' OR 1=1 --", []],
    ['blanks as nothing', '   ', ['reader', 'chief', 'anna_k', 'percent']],
  ])('finds by %s', async (_title, search, found) => {
    const page = await list(reader, { search });
    expect([names(page), page.total]).toEqual([found, found.length]);
  });

  it('searches emails for admins only', async () => {
    expect(names(await list(admin, { search: 'secret.mail' }))).toEqual(['anna_k']);
    expect(names(await list(reader, { search: 'secret.mail' }))).toEqual([]);
  });

  it('shows and searches emails for everybody with DIRECTORY_SHOWS_EMAIL', async () => {
    const open = await startTestApp({ DIRECTORY_SHOWS_EMAIL: 'true' });
    const user = await aSignedInUser(open);
    await aUser(open, { username: 'anna_k', email: 'secret.mail@example.com' });
    const { body } = await open.http.get('/api/v1/users').query({ search: 'secret.mail' }).set(user.auth).expect(200);
    expect(body.items[0].email).toBe('secret.mail@example.com');
    await open.close();
  });
});

describe('the kept count of users', () => {
  let app: TestApp;
  beforeAll(async () => {
    app = await startTestApp();
  });
  afterAll(() => app.close());

  it('equals a recount after any changes, rolled back ones too', async () => {
    const row = `gen_random_uuid(), 'u' || i || '@x.example', 'u' || i, 'user', i % 3 > 0, false, '', now(), now()`;
    const columns = 'id, email, username, role, is_active, is_verified, password_hash, created_at, updated_at';
    const changes = [
      `INSERT INTO users (${columns}) SELECT ${row} FROM generate_series(1, 300) i`,
      `UPDATE users SET is_active = NOT is_active WHERE username LIKE 'u1%'`,
      `UPDATE users SET full_name = 'x'`,
      `BEGIN; DELETE FROM users WHERE is_active; ROLLBACK`,
      `DELETE FROM users WHERE username LIKE 'u2%'`,
      `INSERT INTO users (${columns}) SELECT ${row} FROM generate_series(1, 3) i ON CONFLICT DO NOTHING`,
    ];
    for (const change of changes) {
      await app.pool.query(change);
      const { rows } = await app.pool.query(
        `SELECT is_active, users::int, (SELECT count(*)::int FROM users u WHERE u.is_active = c.is_active) AS recount FROM user_counts c`,
      );
      expect(rows.map(({ users }) => users)).toEqual(rows.map(({ recount }) => recount));
    }
    await app.pool.query('TRUNCATE users CASCADE');
    const { rows } = await app.pool.query('SELECT sum(users)::int AS total FROM user_counts');
    expect(rows).toEqual([{ total: 0 }]);
  });
});
