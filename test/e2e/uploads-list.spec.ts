import { samples } from '../support/samples.js';
import { aSignedInUser, anAdmin, type SignedIn } from '../support/builders.js';
import { startTestApp, type TestApp } from '../support/test-app.js';

const PREFIXES = ['/api/v1/uploads', '/api/v1/files'];

describe.each(PREFIXES)('GET %s', (base) => {
  let app: TestApp;
  let owner: SignedIn;

  const FILES: [name: string, bytes: Buffer, description: string | null][] = [
    ['beta.txt', Buffer.from('four'), 'Quarterly REPORT of Zürich'],
    ['Alpha.png', samples.png, null],
    ['100%_sure.txt', Buffer.from('sevenxx'), 'in C:\\temp\\x'],
    ['übung.pdf', samples.pdf, 'to do'],
    ['gamma.jpg', samples.jpeg, ''],
    ['delta.csv', Buffer.from('a,b'), "it's 'quoted'"],
  ];

  beforeAll(async () => {
    app = await startTestApp();
    owner = await aSignedInUser(app);
    for (const [name, bytes, description] of FILES) {
      const request = app.http.post(base).set(owner.auth).attach('file', bytes, name);
      await (description === null ? request : request.field('description', description)).expect(201);
    }
    const other = await aSignedInUser(app);
    await app.http.post(base).set(other.auth).attach('file', samples.text, 'beta-of-another.txt').expect(201);
    await app.pool.query(
      `INSERT INTO uploads (id, owner_id, state, filename, original_filename, content_type, file_size, upload_date, updated_at,
                            is_resumable, expires_at)
       VALUES (gen_random_uuid(), $1, 'pending', 'beta-pending.txt', 'beta-pending.txt', 'text/plain', 1, now(), now(), true,
               now() + interval '1 hour')`,
      [owner.id],
    );
  });
  afterAll(() => app.close());

  const list = async (query: Record<string, string | number> = {}): Promise<any> =>
    (await app.http.get(base).query(query).set(owner.auth).expect(200)).body;
  const names = (page: { items: { filename: string }[] }) => page.items.map(({ filename }) => filename);
  const NEWEST_FIRST = FILES.map(([name]) => name).reverse();

  it('is refused to guests, and holds the own ready files alone, for an admin too', async () => {
    await app.http.get(base).expect(401);
    const { auth } = await anAdmin(app);
    expect((await app.http.get(base).set(auth).expect(200)).body).toMatchObject({ items: [], total: 0, pages: 0 });
  });

  it('answers a page with both styles of numbers, newest first', async () => {
    const page = await list();
    expect(page).toMatchObject({ total: 6, page: 1, size: 20, pages: 1, skip: 0, limit: 20 });
    expect(names(page)).toEqual(NEWEST_FIRST);
    const { body } = await app.http.get(`${base}/${page.items[0].id}`).set(owner.auth);
    expect(page.items[0]).toEqual(body);
    expect((await app.http.get(`${base}/`).set(owner.auth).expect(200)).body).toEqual(page);
  });

  it('pages by page and size, and by skip and limit', async () => {
    const pages = [await list({ page: 1, size: 4 }), await list({ page: 2, size: 4 })];
    expect(pages.flatMap(names)).toEqual(NEWEST_FIRST);
    expect(pages[1]).toMatchObject({ total: 6, page: 2, size: 4, pages: 2, skip: 4, limit: 4 });
    const slice = await list({ skip: 4 });
    expect([names(slice), slice.limit]).toEqual([NEWEST_FIRST.slice(4), 10]);
    expect(await list({ page: 9 })).toMatchObject({ items: [], total: 6, page: 9 });
  });

  it.each([
    ['upload_date', NEWEST_FIRST.toReversed()],
    ['filename', ['100%_sure.txt', 'Alpha.png', 'beta.txt', 'delta.csv', 'gamma.jpg', 'übung.pdf']],
    ['file_size', [...FILES].sort((a, b) => a[1].length - b[1].length).map(([name]) => name)],
  ])('sorts by %s in both orders, alone, by type and in a search', async (sort_by, expected) => {
    expect(names(await list({ sort_by, sort_order: 'asc' }))).toEqual(expected);
    expect(names(await list({ sort_by, sort_order: 'desc' }))).toEqual(expected.toReversed());
    expect(names(await list({ sort_by }))).toEqual(expected.toReversed());
    const [first, rest] = [
      await list({ sort_by, sort_order: 'asc', limit: 2 }),
      await list({ sort_by, sort_order: 'asc', skip: 2 }),
    ];
    expect([...names(first), ...names(rest)]).toEqual(expected);
    const ofText = expected.filter((name) => /\.(txt|csv)$/.test(name));
    expect(names(await list({ sort_by, sort_order: 'asc', content_type: 'text/*' }))).toEqual(ofText);
    const found = expected.filter((name) => name.endsWith('.txt'));
    expect(names(await list({ sort_by, sort_order: 'desc', search: '.txt' }))).toEqual(found.toReversed());
  });

  it.each([
    ['a part of a name, in any case', 'LPH', ['Alpha.png']],
    ['a name beyond ASCII, in any case', 'ÜBUNG', ['übung.pdf']],
    ['a part of a description, in any case', 'report of zür', ['beta.txt']],
    ['one character, the beginning of a name', 'B', ['beta.txt']],
    ['two characters, the beginning of a name', 'ga', ['gamma.jpg']],
    ['a per cent sign as itself', '100%_', ['100%_sure.txt']],
    ['three per cent signs as themselves', '%%%', []],
    ['a lone per cent sign as itself', '%', []],
    ['a lone underscore as itself', '_', []],
    ['underscores as themselves', '___', []],
    ['a backslash as itself', 'C:\\temp', ['100%_sure.txt']],
    ['a quote as itself', "'quoted'", ['delta.csv']],
    ['nothing of SQL', "' OR 1=1 --", []],
    ['nothing of regular expressions', '.*txt', []],
    ['blanks as nothing', '   ', NEWEST_FIRST],
    ['blanks around a term as nothing', '  alpha ', ['Alpha.png']],
  ])('finds by %s', async (_title, search, found) => {
    const page = await list({ search });
    expect([names(page), page.total]).toEqual([found, found.length]);
  });

  it.each([
    ['text/plain', ['100%_sure.txt', 'beta.txt']],
    ['TEXT/Plain', ['100%_sure.txt', 'beta.txt']],
    ['image/*', ['gamma.jpg', 'Alpha.png']],
    ['application/*', ['übung.pdf']],
    ['image/gif', []],
    ['video/*', []],
    ['image/p', []],
  ])('filters by %s', async (content_type, found) => {
    const page = await list({ content_type });
    expect([names(page), page.total, page.pages]).toEqual([found, found.length, found.length ? 1 : 0]);
  });

  it('joins search and type, and counts what it has found before the page is cut', async () => {
    expect(names(await list({ search: 'alpha', content_type: 'image/*' }))).toEqual(['Alpha.png']);
    expect(await list({ search: 'alpha', content_type: 'text/*' })).toMatchObject({ items: [], total: 0 });
    expect(await list({ search: '.txt', size: 1, page: 2 })).toMatchObject({ total: 2, pages: 2, page: 2 });
    expect(await list({ content_type: 'image/*', size: 1, page: 2 })).toMatchObject({ total: 2, pages: 2 });
  });

  it.each([
    { page: 1, limit: 5 },
    { page: 0 },
    { size: 0 },
    { size: 101 },
    { limit: 1e9 },
    { skip: -1 },
    { page: 'x' },
    { search: 'x'.repeat(201) },
    { search: 'a\0' },
    { content_type: 'image' },
    { content_type: '*/*' },
    { content_type: "text/plain' OR '1'='1" },
    { content_type: `text/${'x'.repeat(130)}` },
    { sort_by: 'owner_id' },
    { sort_by: 'filename; DROP TABLE uploads' },
    { sort_order: 'DESC' },
    { user_id: '1' },
  ])('refuses %j', async (query) => {
    const { body } = await app.http.get(base).query(query).set(owner.auth).expect(422);
    expect(body.detail[0].loc[0]).toBe('query');
  });

  it.each(['sort_by=filename&sort_by=file_size', 'search=a&search=b', 'content_type[]=image/png'])(
    'refuses %s',
    async (query) => {
      await app.http.get(`${base}?${query}`).set(owner.auth).expect(422);
    },
  );
});
