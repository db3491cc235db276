import { aSignedInUser, anAdmin, aUser, type SignedIn } from '../support/builders.js';
import { startTestApp, type TestApp } from '../support/test-app.js';

const ADMIN = '/api/v1/admin';
const ID = expect.stringMatching(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
const TIME = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/);
const NOBODY = '0197f0a0-7b1c-7e7e-8a00-3d2f1c0b9a88';

describe('S4, the ReViewPoint document: "Admin Endpoints"', () => {
  let app: TestApp;
  let admin: SignedIn;
  beforeAll(async () => {
    app = await startTestApp();
  });
  beforeEach(async () => {
    await app.pool.query('DELETE FROM users');
    admin = await anAdmin(app);
  });
  afterAll(() => app.close());

  const get = (path: string) => app.http.get(`${ADMIN}/${path}`).set(admin.auth);
  const put = (id: string, body: object) => app.http.put(`${ADMIN}/users/${id}`).set(admin.auth).send(body);
  const namesOf = async (query: string): Promise<string[]> => {
    const { body } = await get(`users${query}`).expect(200);
    return body.items.map(({ username }: { username: string }) => username).sort();
  };
  const upload = (user: SignedIn, bytes: string) =>
    app.http.post('/api/v1/uploads/').set(user.auth).attach('file', Buffer.from(bytes), 'a.txt').expect(201);

  describe('"Required Role: admin"', () => {
    const endpoints: ['get' | 'put', string][] = [
      ['get', 'users'],
      ['put', `users/${NOBODY}`],
      ['get', 'stats'],
    ];

    it.each(endpoints)(
      '%s %s: 401 without "Authorization: Bearer <access_token>", 403 for a user',
      async (method, path) => {
        const missing = await app.http[method](`${ADMIN}/${path}`).expect(401);
        expect(missing.body).toMatchObject({ detail: 'Not authenticated', status: 'error', code: 401 });
        const user = await aSignedInUser(app);
        const refused = await app.http[method](`${ADMIN}/${path}`).set(user.auth).expect(403);
        expect(refused.body).toMatchObject({ detail: expect.any(String), code: 403, error_code: 'forbidden' });
      },
    );

    it('a new admin is one at the next request, and one who was is none any more', async () => {
      const user = await aSignedInUser(app);
      const stats = () => app.http.get(`${ADMIN}/stats`).set(user.auth);
      await put(user.id, { role: 'admin' }).expect(200);
      await stats().expect(200);
      await put(user.id, { role: 'user' }).expect(200);
      await stats().expect(403);
    });
  });

  describe('GET /api/v1/admin/users: "List all users"', () => {
    it('"Response (200 OK)": the fields of the example, and the page', async () => {
      const user = await aSignedInUser(app);
      await upload(user, 'ten bytes!');
      const { body } = await get('users').expect(200);
      expect(body).toMatchObject({ total: 2, page: 1, size: 20, pages: 1 });
      expect(body.items.find(({ id }: { id: string }) => id === user.id)).toMatchObject({
        id: ID,
        username: user.username,
        email: user.email,
        role: 'user',
        is_active: true,
        created_at: TIME,
        last_login: TIME,
        stats: { total_uploads: 1, total_storage_used: 10 },
      });
    });

    it('"page", "size": the pages make up the list', async () => {
      await Promise.all(Array.from({ length: 4 }, () => aUser(app)));
      const pages = [];
      for (const page of [1, 2, 3]) pages.push((await get(`users?page=${page}&size=2`).expect(200)).body);
      expect(pages).toMatchObject([1, 2, 3].map((page) => ({ total: 5, page, size: 2, pages: 3 })));
      expect(new Set(pages.flatMap(({ items }) => items.map(({ id }: { id: string }) => id))).size).toBe(5);
    });

    it('"search: Search in username/email"', async () => {
      await aUser(app, { username: 'findme_too', email: 'a@example.com' });
      await aUser(app, { username: 'other', email: 'FindMe@example.com' });
      await aUser(app, { username: 'third', email: 'c@example.com' });
      expect(await namesOf('?search=findme')).toEqual(['findme_too', 'other']);
      expect(await namesOf('?search=nobody-at-all')).toEqual([]);
    });

    it('"role: Filter by role", "active: Filter by active status", together as well', async () => {
      await aUser(app, { username: 'sleeping_admin', role: 'admin', isActive: false });
      await aUser(app, { username: 'sleeping', isActive: false });
      await aUser(app, { username: 'awake' });
      expect(await namesOf('?role=admin')).toEqual(['sleeping_admin', admin.username].sort());
      expect(await namesOf('?role=user')).toEqual(['awake', 'sleeping']);
      expect(await namesOf('?active=true')).toEqual(['awake', admin.username].sort());
      expect(await namesOf('?active=false')).toEqual(['sleeping', 'sleeping_admin']);
      expect(await namesOf('?active=false&role=admin&search=sleep')).toEqual(['sleeping_admin']);
    });

    it.each(['?role=root', '?active=maybe', '?size=101', '?page=0'])('%s: "422 | Validation errors"', async (query) => {
      const { body } = await get(`users${query}`).expect(422);
      expect(body).toMatchObject({ detail: expect.any(Array), field_errors: expect.any(Object) });
    });
  });

  describe('PUT /api/v1/admin/users/{user_id}: "Update user"', () => {
    it('"Response (200 OK)": "role": "admin", "is_active": false', async () => {
      const user = await aUser(app);
      const { body } = await put(user.id, { role: 'admin', is_active: false }).expect(200);
      expect(body).toMatchObject({
        id: user.id,
        username: user.username,
        email: user.email,
        role: 'admin',
        is_active: false,
        created_at: TIME,
        updated_at: TIME,
      });
      expect(Date.parse(body.updated_at)).toBeGreaterThanOrEqual(Date.parse(body.created_at));
      expect((await get(`users/${user.id}`).expect(200)).body).toEqual(body);
    });

    it('a user who is not active is out at the next request and cannot sign in', async () => {
      const user = await aSignedInUser(app);
      await put(user.id, { is_active: false }).expect(200);
      await app.http.get('/api/v1/users/me').set(user.auth).expect(401);
      const login = { username: user.username, password: user.password };
      await app.http.post('/api/v1/auth/login').send(login).expect(403);
      await put(user.id, { is_active: true }).expect(200);
      await app.http.post('/api/v1/auth/login').send(login).expect(200);
    });

    it('"404 | Resource doesn\'t exist", "422 | Validation errors", "409": the last admin stays', async () => {
      await put(NOBODY, { role: 'user' }).expect(404);
      const { body } = await put(admin.id, { role: 'owner' }).expect(422);
      expect(Object.keys(body.field_errors)).toEqual(['role']);
      expect((await put(admin.id, { role: 'user' }).expect(409)).body.error_code).toBe('last_admin');
    });
  });

  describe('GET /api/v1/admin/stats: "Get system statistics"', () => {
    it('counts exactly what is there', async () => {
      const user = await aSignedInUser(app);
      await aUser(app, { isActive: false });
      const old = await aUser(app);
      await app.pool.query("UPDATE users SET created_at = created_at - interval '40 days' WHERE id = $1", [old.id]);
      await upload(user, 'four');
      const { body: file } = await upload(admin, 'sixteen in bytes');
      expect((await get('stats').expect(200)).body).toEqual({
        users: { total: 4, active: 3, new_this_month: 3 },
        files: { total: 2, total_size: 20, uploads_this_month: 2 },
        storage: { used: 20, quota: 107374182400, usage_percentage: 0 },
      });
      await app.http.delete(`/api/v1/uploads/${file.id}`).set(admin.auth).expect(204);
      await app.http.delete(`${ADMIN}/users/${old.id}`).set(admin.auth).expect(204);
      expect((await get('stats').expect(200)).body).toMatchObject({
        users: { total: 3, active: 2, new_this_month: 3 },
        files: { total: 1, total_size: 4, uploads_this_month: 1 },
        storage: { used: 4 },
      });
    });
  });
});

describe('S4, "usage_percentage"', () => {
  it('is what is used of the quota: the example has a tenth', async () => {
    const app = await startTestApp({ STORAGE_QUOTA: '1000', USER_QUOTA: '1000' });
    try {
      const { auth } = await anAdmin(app);
      await app.http.post('/api/v1/uploads/').set(auth).attach('file', Buffer.alloc(100, 'a'), 'a.txt').expect(201);
      const { body } = await app.http.get(`${ADMIN}/stats`).set(auth).expect(200);
      expect(body.storage).toEqual({ used: 100, quota: 1000, usage_percentage: 10 });
    } finally {
      await app.close();
    }
  });
});

describe('S4, "Admin endpoints: 200 requests per minute per admin"', () => {
  let app: TestApp;
  beforeAll(async () => {
    app = await startTestApp({ RATE_LIMIT_ENABLED: 'true' });
  });
  afterAll(() => app.close());
  const stats = ({ auth }: SignedIn) => app.http.get(`${ADMIN}/stats`).set(auth);

  it('the 201st is 429; another admin goes on, and so do the other endpoints', async () => {
    const [admin, other] = [await anAdmin(app), await anAdmin(app)];
    const { headers: first } = await stats(admin).expect(200);
    expect([first['x-ratelimit-limit'], first['x-ratelimit-remaining']]).toEqual(['200', '199']);
    for (let n = 2; n <= 200; n++) await stats(admin).expect(200);
    const { body, headers } = await stats(admin).expect(429);
    expect(body).toMatchObject({ detail: expect.any(String), status: 'error', code: 429 });
    expect(headers).toMatchObject({ 'x-ratelimit-limit': '200', 'x-ratelimit-remaining': '0' });
    expect(headers['x-ratelimit-retry-after']).toBe(headers['retry-after']);
    expect(Number(headers['retry-after'])).toBeGreaterThan(0);
    await app.http.get(`${ADMIN}/users`).set(admin.auth).expect(429);
    await stats(other).expect(200);
    // "General API: 100 requests per minute per user" is counted apart.
    const { headers: general } = await app.http.get('/api/v1/users/me').set(admin.auth).expect(200);
    expect([general['x-ratelimit-limit'], general['x-ratelimit-remaining']]).toEqual(['100', '99']);
  });
});
