import { DataSource } from 'typeorm';
import { aSignedInUser, type SignedIn } from '../support/builders.js';
import { startTestApp, type TestApp } from '../support/test-app.js';
import { vacuum } from '../support/vacuum.js';

const FILES = 20_000;

interface Plan {
  'Node Type': string;
  'Relation Name'?: string;
  'Index Name'?: string;
  'Actual Rows': number;
  Plans?: Plan[];
}

const nodesOf = (plan: Plan): Plan[] => [plan, ...(plan.Plans ?? []).flatMap(nodesOf)];

describe('the plans of lists of files', () => {
  let app: TestApp;
  let owner: SignedIn;

  beforeAll(async () => {
    app = await startTestApp();
    owner = await aSignedInUser(app);
    const other = await aSignedInUser(app);
    for (const { id } of [owner, other]) {
      await app.pool.query(
        `INSERT INTO uploads (id, owner_id, state, filename, original_filename, content_type, file_size, sha256, description,
                              upload_date, updated_at, is_resumable)
         SELECT gen_random_uuid(), $1, 'ready', 'report ' || n || '.pdf', 'report ' || n || '.pdf',
                (ARRAY['image/png', 'image/jpeg', 'application/pdf', 'text/plain'])[1 + n % 4], n,
                decode(repeat('ab', 32), 'hex'), CASE WHEN n % 1000 = 0 THEN 'a zebrafish' END,
                now() - n * interval '1 minute', now(), false
         FROM generate_series(1, $2::int) AS n`,
        [id, FILES],
      );
    }
    await vacuum(app.pool, 'uploads');
  });
  afterAll(() => app.close());

  /** The plan, as it ran, of the statement that finds the page. */
  async function planOf(query: string): Promise<Plan[]> {
    const statements: [sql: string, parameters: unknown[]][] = [];
    const { manager } = app.app.get(DataSource);
    const spy = jest.spyOn(manager, 'query').mockImplementation(async (sql: string, given?: unknown) => {
      const parameters = given as unknown[] | undefined;
      statements.push([sql, parameters ?? []]);
      return app.pool.query(sql, parameters).then(({ rows }) => rows);
    });
    await app.http.get(`/api/v1/uploads?${query}`).set(owner.auth).expect(200);
    spy.mockRestore();
    const [sql, parameters] = statements.find(([text]) => text.includes('AS total')) ?? [];
    if (!sql) throw new Error('no statement was seen');
    const { rows } = await app.pool.query(`EXPLAIN (ANALYZE, FORMAT JSON) ${sql}`, parameters);
    return nodesOf((rows[0] as { 'QUERY PLAN': [{ Plan: Plan }] })['QUERY PLAN'][0].Plan);
  }

  const reads = (plan: Plan[]) =>
    plan.filter((node) => node['Relation Name'] === 'uploads' || node['Index Name']?.startsWith('IX_uploads'));

  it.each([
    ['the first page', '', 'IX_uploads_owner_date'],
    ['a deep page', 'page=900', 'IX_uploads_owner_date'],
    ['the oldest', 'sort_order=asc', 'IX_uploads_owner_date'],
    ['by name', 'sort_by=filename&sort_order=asc', 'IX_uploads_owner_name'],
    ['by name, from the end', 'sort_by=filename', 'IX_uploads_owner_name'],
    ['by size', 'sort_by=file_size', 'IX_uploads_owner_size'],
    ['of a type', 'content_type=image/png', 'IX_uploads_owner_type_date'],
    ['of a kind', 'content_type=image/*', 'IX_uploads_owner_type_date'],
    ['of a type by name', 'content_type=application/pdf&sort_by=filename', 'IX_uploads_owner_type_name'],
    ['of a kind by size, a deep page', 'content_type=image/*&sort_by=file_size&page=300', 'IX_uploads_owner_type_size'],
    ['a search', 'search=zebrafish', 'IX_uploads_search'],
    ['a search in names', 'search=ort%201234', 'IX_uploads_search'],
    ['a search of a type', 'search=zebrafish&content_type=text/*', 'IX_uploads_search'],
    ['a search of two letters', 'search=zz', 'IX_uploads_owner_name'],
  ])('%s is found by its index, and the table is never scanned', async (_what, query, index) => {
    const plan = await planOf(query);
    expect(reads(plan).filter((node) => node['Node Type'] === 'Seq Scan')).toEqual([]);
    expect(
      reads(plan)
        .map((node) => node['Index Name'])
        .filter(Boolean),
    ).toContain(index);
  });

  it('a page is not sorted: its index has the order', async () => {
    for (const query of ['', 'page=900', 'sort_by=filename', 'sort_by=file_size&sort_order=asc'])
      expect((await planOf(query)).filter((node) => node['Node Type'].includes('Sort'))).toEqual([]);
  });
});
