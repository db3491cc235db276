import { randomUUID } from 'node:crypto';
import { DataSource } from 'typeorm';
import { CountByMonth1763700015000 } from '../../migrations/1763700015000-count-by-month.js';
import { CountFilesByMonth1763700015500 } from '../../migrations/1763700015500-count-files-by-month.js';
import { aSignedInUser, aUser, anAdmin, type SignedIn } from '../support/builders.js';
import { samples } from '../support/samples.js';
import { startTestApp, type TestApp } from '../support/test-app.js';
import { Dice, seedOfRun, sendFile, until } from '../support/uploads.js';

const STATS = '/api/v1/admin/stats';
const UPLOADS = '/api/v1/uploads';
const MONTH_OF = (time: string) => `to_char(${time} AT TIME ZONE 'UTC', 'YYYY-MM')`;

const statsOf = async (app: TestApp, { auth }: SignedIn) => (await app.http.get(STATS).set(auth).expect(200)).body;

/** Counted anew, without anything that is kept. */
async function recount(app: TestApp) {
  const { rows } = await app.pool.query(`
    SELECT (SELECT count(*)::int FROM users) AS users, (SELECT count(*)::int FROM users WHERE is_active) AS active,
           (SELECT count(*)::int FROM users WHERE ${MONTH_OF('created_at')} = ${MONTH_OF('now()')}) AS new_users,
           (SELECT count(*)::int FROM uploads WHERE state = 'ready') AS files,
           (SELECT coalesce(sum(file_size), 0)::int FROM uploads WHERE state = 'ready') AS bytes,
           (SELECT count(*)::int FROM uploads WHERE state = 'ready' AND ${MONTH_OF('upload_date')} = ${MONTH_OF('now()')}) AS new_files,
           (SELECT coalesce(sum(file_size), 0)::int FROM uploads) AS held`);
  return rows[0];
}

/** What is kept, without the shards it is kept in. */
async function kept(app: TestApp) {
  const { rows: months } = await app.pool.query(`
    SELECT kind, to_char(month, 'YYYY-MM') AS month, sum(items)::int AS items FROM monthly_counts
    GROUP BY kind, month HAVING sum(items) <> 0 ORDER BY kind, month`);
  const { rows: types } = await app.pool.query(`
    SELECT content_type, sum(files)::int AS files, sum(bytes)::int AS bytes FROM file_type_totals
    GROUP BY content_type HAVING sum(files) <> 0 OR sum(bytes) <> 0 ORDER BY content_type`);
  return { months, types };
}

async function counted(app: TestApp): ReturnType<typeof kept> {
  const { rows: months } = await app.pool.query(`
    SELECT * FROM (
      SELECT 'user' AS kind, ${MONTH_OF('created_at')} AS month, count(*)::int AS items FROM users GROUP BY 2
      UNION ALL SELECT 'file', ${MONTH_OF('upload_date')}, count(*)::int FROM uploads WHERE state = 'ready' GROUP BY 2
    ) t ORDER BY kind, month`);
  const { rows: types } = await app.pool.query(`
    SELECT content_type, count(*)::int AS files, sum(file_size)::int AS bytes FROM uploads WHERE state = 'ready'
    GROUP BY content_type ORDER BY content_type`);
  return { months, types };
}

async function expectExactNumbers(app: TestApp, admin: SignedIn): Promise<void> {
  expect(await kept(app)).toEqual(await counted(app));
  const exact = await recount(app);
  const { users, files, storage } = await statsOf(app, admin);
  expect({
    users: users.total,
    active: users.active,
    new_users: users.new_this_month,
    files: files.total,
    bytes: files.total_size,
    new_files: files.uploads_this_month,
    held: storage.used,
  }).toEqual(exact);
}

const insertUser = (app: TestApp, createdAt: string, id = randomUUID()) =>
  app.pool.query(
    `INSERT INTO users (id, email, username, role, is_active, is_verified, password_hash, created_at, updated_at)
     VALUES ($1, $2, $3, 'user', true, false, 'x', $4::timestamptz, now())`,
    [id, `${id}@example.com`, `u_${id.slice(0, 8)}`, createdAt],
  );

describe('GET /admin/stats', () => {
  let app: TestApp;
  let admin: SignedIn;

  beforeAll(async () => {
    app = await startTestApp({ STORAGE_QUOTA: '30000', USER_QUOTA: '30000', MAX_FILE_SIZE: '30000' });
    admin = await anAdmin(app);
  });
  afterEach(async () => {
    await expectExactNumbers(app, admin);
    await app.pool.query('DELETE FROM users WHERE id <> $1', [admin.id]);
    await expectExactNumbers(app, admin);
  });
  afterAll(() => app.close());

  it('is refused to guests and users', async () => {
    await app.http.get(STATS).expect(401);
    await app.http
      .get(STATS)
      .set((await aSignedInUser(app)).auth)
      .expect(403);
  });

  it('says what the contract says, and nothing more', async () => {
    expect(await statsOf(app, admin)).toEqual({
      users: { total: 1, active: 1, new_this_month: 1 },
      files: { total: 0, total_size: 0, uploads_this_month: 0 },
      storage: { used: 0, quota: 30_000, usage_percentage: 0 },
    });
    const owner = await aSignedInUser(app);
    await aUser(app, { isActive: false });
    for (const bytes of [samples.png, Buffer.alloc(1234, 'x'), Buffer.alloc(0)])
      await app.http
        .post(UPLOADS)
        .set(owner.auth)
        .attach('file', bytes, bytes === samples.png ? 'a.png' : 'a.txt')
        .expect(201);
    const size = samples.png.length + 1234;
    expect(await statsOf(app, admin)).toEqual({
      users: { total: 3, active: 2, new_this_month: 3 },
      files: { total: 3, total_size: size, uploads_this_month: 3 },
      storage: { used: size, quota: 30_000, usage_percentage: Math.round(size / 3) / 100 },
    });
  });

  it('counts what uploads under way reserve as used, and not as files', async () => {
    const owner = await aSignedInUser(app);
    await app.pool.query(
      `INSERT INTO uploads (id, owner_id, state, filename, original_filename, content_type, file_size, upload_date, updated_at,
                            is_resumable, expires_at)
       VALUES (gen_random_uuid(), $1, 'pending', 'x', 'x', 'text/plain', 15000, now(), now(), true, now() + interval '1 hour')`,
      [owner.id],
    );
    expect(await statsOf(app, admin)).toMatchObject({
      files: { total: 0, total_size: 0, uploads_this_month: 0 },
      storage: { used: 15_000, usage_percentage: 50 },
    });
  });

  it('knows the months of UTC, and who came before this one', async () => {
    const months = [
      '2025-12-31T23:59:59.999Z',
      '2026-01-01T00:00:00Z',
      '2026-01-31T23:30:00-02:00',
      '1999-05-05T12:00Z',
    ];
    for (const time of months) await insertUser(app, time);
    expect((await kept(app)).months).toEqual([
      { kind: 'user', month: '1999-05', items: 1 },
      { kind: 'user', month: '2025-12', items: 1 },
      { kind: 'user', month: '2026-01', items: 1 },
      { kind: 'user', month: '2026-02', items: 1 },
      { kind: 'user', month: new Date().toISOString().slice(0, 7), items: 1 },
    ]);
    expect((await statsOf(app, admin)).users).toEqual({ total: 5, active: 5, new_this_month: 1 });
  });

  it('follows files and users that are changed by hand', async () => {
    const owner = await aSignedInUser(app);
    const upload = () => app.http.post(UPLOADS).set(owner.auth).attach('file', samples.text, 'a.txt').expect(201);
    const [first] = [await upload(), await upload()];
    const change = (set: string) => app.pool.query(`UPDATE uploads SET ${set} WHERE id = $1`, [first.body.id]);
    await change(`content_type = 'text/csv'`);
    await expectExactNumbers(app, admin);
    await change(`upload_date = upload_date - interval '90 days', file_size = file_size + 100`);
    await expectExactNumbers(app, admin);
    await change(`state = 'pending', expires_at = now() + interval '1 hour'`);
    await app.pool.query(`UPDATE users SET created_at = created_at - interval '1 year' WHERE id = $1`, [owner.id]);
    expect((await statsOf(app, admin)).files.total).toBe(1);
  });

  it('counts no change that was rolled back, and forgets none that was made beside it', async () => {
    const owner = await aSignedInUser(app);
    await app.http.post(UPLOADS).set(owner.auth).attach('file', samples.text, 'a.txt').expect(201);
    const client = await app.pool.connect();
    try {
      await client.query('BEGIN');
      await client.query('DELETE FROM uploads WHERE owner_id = $1', [owner.id]);
      await client.query('SAVEPOINT before');
      await client.query('DELETE FROM users WHERE id = $1', [owner.id]);
      await client.query('ROLLBACK TO before');
      // The one does not wait for what the other has counted.
      await insertUser(app, '2026-01-01T00:00:00Z');
      await client.query('ROLLBACK');
    } finally {
      client.release();
    }
    expect(await statsOf(app, admin)).toMatchObject({ users: { total: 3, new_this_month: 2 }, files: { total: 1 } });
  });

  it('counts on when more transactions count at once than there are shards', async () => {
    const client = await app.pool.connect();
    try {
      await client.query('BEGIN');
      const { rows } = await client.query(
        'SELECT bool_and(pg_try_advisory_xact_lock(723814504, shard)) AS has_all FROM generate_series(0, 63) AS shard',
      );
      expect(rows).toEqual([{ has_all: true }]);
      for (let count = 0; count < 3; count++) await insertUser(app, '2026-01-01T00:00:00Z');
      expect((await statsOf(app, admin)).users.total).toBe(4);
      await client.query('ROLLBACK');
    } finally {
      client.release();
    }
  });

  it('begins with what there is when the keeping begins', async () => {
    const owner = await aSignedInUser(app);
    await insertUser(app, '2024-02-29T00:00:00Z');
    for (const name of ['a.txt', 'b.txt', 'c.csv'])
      await app.http.post(UPLOADS).set(owner.auth).attach('file', samples.text, name).expect(201);
    const before = await kept(app);
    const runner = app.app.get(DataSource).createQueryRunner();
    try {
      const [users, files] = [new CountByMonth1763700015000(), new CountFilesByMonth1763700015500()];
      await runner.startTransaction();
      await files.down(runner);
      await users.down(runner);
      await users.up(runner);
      await files.up(runner);
      await runner.commitTransaction();
    } finally {
      await runner.release();
    }
    expect(await kept(app)).toEqual(before);
    await app.http.post(UPLOADS).set(owner.auth).attach('file', samples.text, 'd.txt').expect(201);
  });
});

it('uses nothing of no quota', async () => {
  const app = await startTestApp({ STORAGE_QUOTA: '0', USER_QUOTA: '0' });
  try {
    expect((await statsOf(app, await anAdmin(app))).storage).toEqual({ used: 0, quota: 0, usage_percentage: 0 });
  } finally {
    await app.close();
  }
});

describe('the statistics under random operations of several at once', () => {
  const SEED = seedOfRun();
  const BATCHES = 10;
  const OPERATIONS = 30;
  const dice = new Dice(SEED);
  const users: SignedIn[] = [];
  let app: TestApp;
  let admin: SignedIn;

  beforeAll(async () => {
    app = await startTestApp();
    admin = await anAdmin(app);
    for (let count = 0; count < 4; count++) users.push(await aSignedInUser(app));
  });
  afterAll(() => app.close());

  const FILES = [
    { name: 'a.txt', make: () => dice.text(dice.int(0, 5000)) },
    { name: 'a.csv', make: () => dice.text(dice.int(1, 5000)) },
    { name: 'a.png', make: () => samples.png },
    { name: 'refused.exe', make: () => samples.exe },
  ];

  const anId = async (user: SignedIn) => {
    const { body } = await app.http.get(`${UPLOADS}?size=100`).set(user.auth);
    const ids = (body.items ?? []).map(({ id }: { id: string }) => id);
    return ids.length > 0 ? (dice.pick(ids) as string) : null;
  };
  const setActive = (id: string, isActive: boolean) =>
    app.http.patch(`/api/v1/admin/users/${id}`).set(admin.auth).send({ is_active: isActive });

  const operations: ((user: SignedIn) => Promise<unknown>)[] = [
    async (user) => {
      const { name, make } = dice.pick(FILES);
      await sendFile(`${app.url}${UPLOADS}`, user.auth, { name, content: make() });
    },
    async (user) => {
      const id = await anId(user);
      if (id) await app.http.delete(`${UPLOADS}/${id}`).set(user.auth);
    },
    async (user) => {
      const id = await anId(user);
      if (id) await app.http.patch(`${UPLOADS}/${id}`).set(user.auth).send({ description: 'another' });
    },
    async () => {
      const email = `${randomUUID()}@example.com`;
      await app.http.post('/api/v1/auth/register').send({ email, password: 'Correct-Horse-1' }).expect(201);
    },
    async (user) => {
      await setActive(user.id, false);
      await setActive(user.id, true);
    },
    async (user) => {
      const at = users.indexOf(user);
      if (at < 0) return;
      users[at] = await aSignedInUser(app);
      await app.http.delete(`/api/v1/admin/users/${user.id}`).set(admin.auth);
    },
    async (user) => {
      const client = await app.pool.connect();
      await client.query('BEGIN');
      // In the order that everybody keeps.
      await client.query('SELECT FROM users WHERE id = $1 FOR NO KEY UPDATE', [user.id]);
      await client.query('DELETE FROM uploads WHERE owner_id = $1', [user.id]);
      await client.query('ROLLBACK');
      client.release();
    },
  ];

  it('are exact after each batch, without a deadlock', async () => {
    process.stdout.write(`statistics, seed ${SEED}\n`);
    const weights = [0, 0, 0, 0, 0, 1, 1, 2, 3, 4, 5, 6];
    for (let batch = 0; batch < BATCHES; batch++) {
      const plan = Array.from(
        { length: OPERATIONS },
        () => [operations[dice.pick(weights)], dice.pick(users)] as const,
      );
      await Promise.all(plan.map(([operation, user]) => operation(user)));
      await until(async () => {
        const { rows } = await app.pool.query(`SELECT FROM uploads WHERE state = 'pending'`);
        return rows.length === 0;
      }, 'no upload under way');
      await expectExactNumbers(app, admin);
      // Who was disabled has no session any more.
      for (const [at, user] of users.entries())
        if ((await app.http.get('/api/v1/users/me').set(user.auth)).status === 401)
          users[at] = await aSignedInUser(app);
    }
    expect((await statsOf(app, admin)).files.total).toBeGreaterThan(0);
    expect(app.log.filter((line) => /40P01|deadlock/i.test(line))).toEqual([]);
  });
});
