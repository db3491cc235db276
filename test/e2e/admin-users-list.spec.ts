import { aSignedInUser, anAdmin, type SignedIn } from '../support/builders.js';
import { startTestApp, type TestApp } from '../support/test-app.js';

const USERS = '/api/v1/admin/users';

interface Person {
  username: string;
  email: string;
  role: 'user' | 'admin';
  isActive: boolean;
  /** Hours ago; `null` is never. */
  login: number | null;
  fullName?: string;
}

/** In the order in which they came. */
const PEOPLE: Person[] = [
  { username: 'zoe', email: 'b@one.example', role: 'user', isActive: true, login: 3, fullName: 'Zoë 100%_sure' },
  { username: 'Adam', email: 'Z@one.example', role: 'user', isActive: false, login: null },
  { username: 'bella', email: 'a@two.example', role: 'admin', isActive: true, login: 1, fullName: "Bella O'Neil" },
  { username: 'Carl', email: 'c@two.example', role: 'admin', isActive: false, login: 2 },
  { username: 'dora', email: 'd@three.example', role: 'user', isActive: true, login: null },
];

const ADMIN = 'the_admin';

describe('GET /admin/users', () => {
  let app: TestApp;
  let admin: SignedIn;

  beforeAll(async () => {
    app = await startTestApp();
    for (const [i, { username, email, role, isActive, login, fullName }] of PEOPLE.entries()) {
      await app.pool.query(
        `INSERT INTO users (id, email, username, full_name, role, is_active, is_verified, password_hash, created_at, updated_at, last_login, quota)
         VALUES (gen_random_uuid(), $1, $2, $3, $4, $5, false, 'x', now() - (100 - $6::int) * interval '1 hour', now(),
                 now() - $7::int * interval '1 hour', $8)`,
        [email, username, fullName ?? null, role, isActive, i, login, i === 0 ? 4096 : null],
      );
    }
    admin = await anAdmin(app);
    await app.pool.query('UPDATE users SET username = $2, email = $3 WHERE id = $1', [
      admin.id,
      ADMIN,
      'zz@three.example',
    ]);
  });
  afterAll(() => app.close());

  const list = async (query: Record<string, string | number | boolean> = {}): Promise<any> =>
    (await app.http.get(USERS).query(query).set(admin.auth).expect(200)).body;
  const names = (page: { items: { username: string }[] }) => page.items.map(({ username }) => username);
  const NEWEST_FIRST = [ADMIN, 'dora', 'Carl', 'bella', 'Adam', 'zoe'];

  it('is refused to guests and users', async () => {
    await app.http.get(USERS).expect(401);
    const user = await aSignedInUser(app);
    await app.http.get(USERS).set(user.auth).expect(403);
    await app.pool.query('DELETE FROM users WHERE id = $1', [user.id]);
  });

  it('holds everybody, in full, with stats and quota, whoever came last first', async () => {
    const page = await list();
    expect(page).toMatchObject({ total: 6, page: 1, size: 20, pages: 1, skip: 0, limit: 20 });
    expect(names(page)).toEqual(NEWEST_FIRST);
    for (const item of page.items)
      expect((await app.http.get(`${USERS}/${item.id}`).set(admin.auth).expect(200)).body).toEqual(item);
    expect(page.items[5]).toMatchObject({
      email: 'b@one.example',
      full_name: 'Zoë 100%_sure',
      quota: 4096,
      stats: { total_uploads: 0, total_storage_used: 0 },
    });
    expect(page.items[4].quota).toBeNull();
  });

  const ORDERS: [string, string[]][] = [
    ['created_at', NEWEST_FIRST.toReversed()],
    ['username', ['Adam', 'bella', 'Carl', 'dora', ADMIN, 'zoe']],
    ['email', ['bella', 'zoe', 'Carl', 'dora', 'Adam', ADMIN]],
  ];

  it.each(ORDERS)('sorts by %s in both orders, alone, filtered and in a search', async (sort_by, expected) => {
    expect(names(await list({ sort_by, sort_order: 'asc' }))).toEqual(expected);
    expect(names(await list({ sort_by, sort_order: 'desc' }))).toEqual(expected.toReversed());
    expect(names(await list({ sort_by }))).toEqual(expected.toReversed());
    const slices = [
      await list({ sort_by, sort_order: 'asc', limit: 4 }),
      await list({ sort_by, sort_order: 'asc', skip: 4 }),
    ];
    expect(slices.flatMap(names)).toEqual(expected);
    const users = expected.filter((name) => ['zoe', 'Adam', 'dora'].includes(name));
    expect(names(await list({ sort_by, sort_order: 'asc', role: 'user' }))).toEqual(users);
    const found = expected.filter((name) => ['bella', 'Carl'].includes(name));
    expect(names(await list({ sort_by, sort_order: 'desc', search: 'TWO.example' }))).toEqual(found.toReversed());
  });

  it('sorts by last_login, with those who have never signed in before all others', async () => {
    const ascending = names(await list({ sort_by: 'last_login', sort_order: 'asc' }));
    expect(ascending.slice(0, 2).sort()).toEqual(['Adam', 'dora']);
    expect(ascending.slice(2)).toEqual(['zoe', 'Carl', 'bella', ADMIN]);
    expect(names(await list({ sort_by: 'last_login' }))).toEqual(ascending.toReversed());
    expect(names(await list({ sort_by: 'last_login', search: 'two.example' }))).toEqual(['bella', 'Carl']);
  });

  it.each([
    [{ role: 'user' }, ['dora', 'Adam', 'zoe']],
    [{ role: 'admin' }, [ADMIN, 'Carl', 'bella']],
    [{ active: true }, [ADMIN, 'dora', 'bella', 'zoe']],
    [{ active: false }, ['Carl', 'Adam']],
    [{ role: 'user', active: true }, ['dora', 'zoe']],
    [{ role: 'user', active: false }, ['Adam']],
    [{ role: 'admin', active: true }, [ADMIN, 'bella']],
    [{ role: 'admin', active: false }, ['Carl']],
    [{ search: 'one.example' }, ['Adam', 'zoe']],
    [{ search: 'one.example', active: false }, ['Adam']],
    [{ search: 'example', role: 'admin', active: true }, [ADMIN, 'bella']],
    [{ search: 'ZOË' }, ['zoe']],
    [{ search: "o'neil" }, ['bella']],
    [{ search: '100%_' }, ['zoe']],
    [{ search: '%%%' }, []],
    [{ search: '___' }, []],
    [{ search: '_' }, []],
    [{ search: 'C' }, ['Carl']],
    [{ search: 'a@' }, ['bella']],
    [{ search: '  dora ' }, ['dora']],
    [{ search: '   ' }, NEWEST_FIRST],
    [{ search: "' OR 1=1 --" }, []],
  ])('filters by %j, and counts what it has found', async (query, expected) => {
    const page = await list(query);
    expect([names(page), page.total, page.pages]).toEqual([expected, expected.length, expected.length ? 1 : 0]);
    const second = await list({ ...query, size: 1, page: 2 });
    expect([names(second), second.total]).toEqual([expected.slice(1, 2), expected.length]);
  });

  it('is empty past the end', async () => {
    expect(await list({ page: 99 })).toMatchObject({ items: [], total: 6, page: 99 });
    expect(await list({ page: 99, role: 'admin' })).toMatchObject({ items: [], total: 3 });
  });

  it.each([
    { page: 0 },
    { size: 101 },
    { page: 1, limit: 5 },
    { role: 'root' },
    { role: '' },
    { active: 'yes' },
    { active: '1' },
    { active: '' },
    { sort_by: 'password_hash' },
    { sort_by: 'username; DROP TABLE users' },
    { sort_order: 'DESC' },
    { search: 'x'.repeat(201) },
    { search: 'a\0' },
    { is_active: true },
  ])('refuses %j', async (query) => {
    const { body } = await app.http.get(USERS).query(query).set(admin.auth).expect(422);
    expect(body.detail[0].loc[0]).toBe('query');
  });

  it.each(['role=user&role=admin', 'active=true&active=false', 'sort_by[]=email'])('refuses %s', async (query) => {
    await app.http.get(`${USERS}?${query}`).set(admin.auth).expect(422);
  });
});

it('counts in the bucket of admin endpoints alone, whichever of them is called', async () => {
  const app = await startTestApp({
    RATE_LIMIT_ENABLED: 'true',
    RATE_LIMIT_ADMIN: '5/60',
    RATE_LIMIT_USER: '1/60',
    RATE_LIMIT_CREDENTIALS: '100/60',
  });
  try {
    const { auth, id } = await anAdmin(app);
    for (const path of ['users', `users/${id}`, 'uploads', 'audit-log', 'stats']) {
      const { headers } = await app.http.get(`/api/v1/admin/${path}`).set(auth).expect(200);
      expect(headers['x-ratelimit-limit']).toBe('5');
    }
    await app.http.get('/api/v1/admin/stats').set(auth).expect(429);
    await app.http.get('/api/v1/users/me').set(auth).expect(200);
    await app.http.get('/api/v1/users/me').set(auth).expect(429);
  } finally {
    await app.close();
  }
});
