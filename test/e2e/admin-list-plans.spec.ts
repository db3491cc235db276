import type { Pool } from 'pg';
import { DataSource } from 'typeorm';
import { anAdmin, type SignedIn } from '../support/builders.js';
import { startTestApp, type TestApp } from '../support/test-app.js';
import { vacuum } from '../support/vacuum.js';

const ROWS = 30_000;
const OWNER = '00000000-0000-7000-8000-000000000007';
const ACTOR = '00000000-0000-7000-8000-000000000001';
const TABLES = ['users', 'uploads', 'audit_log'];

interface Plan {
  'Node Type': string;
  'Relation Name'?: string;
  'Index Name'?: string;
  Plans?: Plan[];
}

const nodesOf = (plan: Plan): Plan[] => [plan, ...(plan.Plans ?? []).flatMap(nodesOf)];
const idOf = (n: string) => `('00000000-0000-7000-8000-' || lpad(${n}::text, 12, '0'))`;

async function fill(pool: Pool): Promise<void> {
  await pool.query(
    `INSERT INTO users (id, email, username, role, is_active, is_verified, password_hash, created_at, updated_at, last_login)
     SELECT ${idOf('n')}::uuid, n || '@mail.example', 'user_' || n * 7919 % 1000003, CASE WHEN n % 500 = 0 THEN 'admin' ELSE 'user' END,
            n % 100 <> 1, true, 'x', now() - n * interval '1 minute', now(), CASE WHEN n % 4 > 0 THEN now() - n * interval '1 hour' END
     FROM generate_series(1, $1::int) n`,
    [ROWS],
  );
  await pool.query(
    `INSERT INTO uploads (id, owner_id, state, filename, original_filename, content_type, file_size, sha256, description, upload_date,
                          updated_at, is_resumable)
     SELECT gen_random_uuid(), ${idOf('(1 + n % 20)')}::uuid, 'ready', CASE WHEN n % 10000 = 0 THEN 'zz' ELSE 'report ' || n END, 'report', (ARRAY['image/png', 'image/jpeg',
            'application/pdf', 'text/plain'])[1 + n % 4], n, decode(repeat('ab', 32), 'hex'), CASE WHEN n % 1000 = 0 THEN 'a zebrafish' END,
            now() - n * interval '1 minute', now(), false
     FROM generate_series(1, $1::int) n`,
    [ROWS],
  );
  await pool.query(
    `INSERT INTO audit_log (id, created_at, actor_id, action, target_type, target_id, details)
     SELECT audit_id(at), date_trunc('milliseconds', at), ${idOf('(1 + n % 10)')}::uuid,
            (ARRAY['login.succeeded', 'login.failed', 'session.ended', 'user.disabled'])[1 + n % 4], 'user', ${idOf('(1 + n % 300)')}, '{}'
     FROM (SELECT n, now() - n * interval '1 minute' AS at FROM generate_series(1, $1::int) n) t`,
    [ROWS],
  );
  for (const table of TABLES) await vacuum(pool, table);
}

describe('the plans of lists for admins', () => {
  let app: TestApp;
  let admin: SignedIn;

  beforeAll(async () => {
    app = await startTestApp();
    await fill(app.pool);
    admin = await anAdmin(app);
  });
  afterAll(() => app.close());

  /** The plan, as it ran, of the statement that finds the page. */
  async function planOf(path: string): Promise<Plan[]> {
    const statements: [sql: string, parameters: unknown[]][] = [];
    const spy = jest
      .spyOn(app.app.get(DataSource), 'query')
      .mockImplementation(async (sql: string, given?: unknown) => {
        const parameters = (given ?? []) as unknown[];
        statements.push([sql, parameters]);
        return app.pool.query(sql, parameters).then(({ rows }) => rows);
      });
    const { body } = await app.http.get(`/api/v1/admin/${path}`).set(admin.auth).expect(200);
    spy.mockRestore();
    expect(body.total).toBeGreaterThan(0);
    const [sql, parameters] = statements.find(([text]) => text.includes('AS total')) ?? [];
    if (!sql) throw new Error('no statement was seen');
    const { rows } = await app.pool.query(`EXPLAIN (ANALYZE, FORMAT JSON) ${sql}`, parameters);
    return nodesOf((rows[0] as { 'QUERY PLAN': [{ Plan: Plan }] })['QUERY PLAN'][0].Plan);
  }

  /** What reads a table of these, but for the one row that a key finds. */
  const scansOf = (plan: Plan[]) =>
    plan.filter((node) => TABLES.includes(node['Relation Name'] ?? '') && node['Index Name'] !== 'PK_users');
  const indexesOf = (plan: Plan[]) => [...new Set(plan.map((node) => node['Index Name']).filter(Boolean))];

  const DEEP = 'page=1200';

  it.each([
    ['users', 'IX_users_kind_created'],
    [`users?${DEEP}`, 'IX_users_kind_created'],
    ['users?sort_order=asc', 'IX_users_kind_created'],
    ['users?sort_by=username', 'IX_users_kind_username'],
    [`users?sort_by=username&sort_order=asc&${DEEP}`, 'IX_users_kind_username'],
    ['users?sort_by=email', 'IX_users_kind_email'],
    [`users?sort_by=email&${DEEP}`, 'IX_users_kind_email'],
    ['users?sort_by=last_login', 'IX_users_kind_login'],
    [`users?sort_by=last_login&sort_order=asc&${DEEP}`, 'IX_users_kind_login'],
    ['users?active=false', 'IX_users_kind_created'],
    [`users?active=true&sort_by=email&${DEEP}`, 'IX_users_kind_email'],
    ['users?role=admin&sort_by=last_login', 'IX_users_kind_login'],
    ['users?role=user&active=false&sort_by=username&sort_order=asc', 'IX_users_kind_username'],
    ['uploads', 'IX_uploads_all_date'],
    [`uploads?${DEEP}`, 'IX_uploads_all_date'],
    ['uploads?sort_by=filename', 'IX_uploads_all_name'],
    [`uploads?sort_by=filename&sort_order=asc&${DEEP}`, 'IX_uploads_all_name'],
    [`uploads?sort_by=file_size&${DEEP}`, 'IX_uploads_all_size'],
    [`uploads?user_id=${OWNER}&sort_by=file_size`, 'IX_uploads_owner_size'],
    ['audit-log', 'PK_audit_log'],
    [`audit-log?${DEEP}`, 'PK_audit_log'],
    ['audit-log?action=user.disabled', 'IX_audit_log_action'],
    ['audit-log?action=user.disabled&page=300', 'IX_audit_log_action'],
    [`audit-log?actor_id=${ACTOR}&page=100`, 'IX_audit_log_actor'],
    [`audit-log?target_id=${OWNER}`, 'IX_audit_log_target'],
  ])('%s is a walk along its index alone, in its order', async (path, index) => {
    const plan = await planOf(path);
    expect(indexesOf(plan)).toContain(index);
    expect(scansOf(plan).filter((node) => node['Node Type'] !== 'Index Only Scan')).toEqual([]);
    expect(plan.filter((node) => node['Node Type'].includes('Sort'))).toEqual([]);
  });

  const now = Date.now();
  const daysAgo = (days: number) => new Date(now - days * 86_400_000).toISOString();

  // What the filters leave over may be put in order; what they have to read is a part of an index.
  it.each([
    ['uploads?content_type=image/png', 'IX_uploads_type_date'],
    ['uploads?content_type=image/*&sort_by=file_size&page=500', 'IX_uploads_type_size'],
    ['uploads?content_type=application/pdf&sort_by=filename', 'IX_uploads_type_name'],
    [`audit-log?from=${daysAgo(2)}`, 'PK_audit_log'],
    [`audit-log?from=${daysAgo(9)}&to=${daysAgo(3)}&page=100`, 'PK_audit_log'],
    [`audit-log?actor_id=${ACTOR}&from=${daysAgo(9)}&to=${daysAgo(3)}`, 'IX_audit_log_actor'],
    [`audit-log?target_id=${OWNER}&from=${daysAgo(9)}`, 'IX_audit_log_target'],
    [`audit-log?action=login.failed&to=${daysAgo(3)}`, 'IX_audit_log_action'],
  ])('%s reads nothing but its index', async (path, index) => {
    const plan = await planOf(path);
    expect(indexesOf(plan)).toContain(index);
    expect(scansOf(plan).filter((node) => node['Node Type'] !== 'Index Only Scan')).toEqual([]);
  });

  it.each([
    'users?search=user_123',
    'users?search=77@mail&active=true&sort_by=last_login',
    'users?search=12&role=user',
    'uploads?search=zebrafish',
    'uploads?search=zebrafish&content_type=image/*&sort_by=file_size',
    'uploads?search=zz',
    `audit-log?actor_id=${ACTOR}&action=login.succeeded`,
    `audit-log?actor_id=${ACTOR}&target_id=${ACTOR}`,
    `audit-log?action=login.succeeded&target_id=${ACTOR}`,
    `audit-log?actor_id=${ACTOR}&action=login.succeeded&target_id=${ACTOR}&from=${daysAgo(20)}`,
  ])('%s is found by an index, and the table is never scanned', async (path) => {
    const plan = await planOf(path);
    expect(indexesOf(plan).length).toBeGreaterThan(0);
    expect(
      plan.filter((node) => node['Node Type'] === 'Seq Scan' && TABLES.includes(node['Relation Name'] ?? '')),
    ).toEqual([]);
  });
});
