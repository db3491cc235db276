import { AuditEvent } from '../../src/common/events/audit-event.js';
import { DomainEvents } from '../../src/common/events/domain-events.js';
import { UploadDeletedEvent } from '../../src/uploads/uploads.events.js';
import { aSignedInUser, anAdmin, type SignedIn } from '../support/builders.js';
import { samples } from '../support/samples.js';
import { startTestApp, type TestApp } from '../support/test-app.js';
import { storedFiles } from '../support/uploads.js';

const ADMIN_UPLOADS = '/api/v1/admin/uploads';
const UPLOADS = '/api/v1/uploads';
const NOBODY = '0197f0a0-7b1c-7e7e-8a00-3d2f1c0b9a88';

const upload = async (app: TestApp, { auth }: SignedIn, name = 'x.txt', bytes: Buffer = samples.text) =>
  (await app.http.post(UPLOADS).set(auth).attach('file', bytes, name).expect(201)).body;

describe('GET /admin/uploads', () => {
  let app: TestApp;
  let admin: SignedIn;
  let ada: SignedIn;
  let ben: SignedIn;

  beforeAll(async () => {
    app = await startTestApp();
    [admin, ada, ben] = [await anAdmin(app), await aSignedInUser(app), await aSignedInUser(app)];
    await upload(app, ada, 'beta.txt', Buffer.from('four'));
    await upload(app, ben, 'Alpha.png', samples.png);
    await upload(app, admin, 'übung.pdf', samples.pdf);
    await upload(app, ben, '100%_sure.txt', Buffer.from('sevenxx'));
    await upload(app, ada, 'gamma.jpg', samples.jpeg);
    await app.pool.query(
      `INSERT INTO uploads (id, owner_id, state, filename, original_filename, content_type, file_size, upload_date, updated_at,
                            is_resumable, expires_at)
       VALUES (gen_random_uuid(), $1, 'pending', 'pending.txt', 'pending.txt', 'text/plain', 1, now(), now(), true, now() + interval '1 hour')`,
      [ada.id],
    );
  });
  afterAll(() => app.close());

  const list = async (query: Record<string, string | number> = {}): Promise<any> =>
    (await app.http.get(ADMIN_UPLOADS).query(query).set(admin.auth).expect(200)).body;
  const names = (page: { items: { filename: string }[] }) => page.items.map(({ filename }) => filename);
  const NEWEST_FIRST = ['gamma.jpg', '100%_sure.txt', 'übung.pdf', 'Alpha.png', 'beta.txt'];

  it('is refused to guests and users', async () => {
    await app.http.get(ADMIN_UPLOADS).expect(401);
    await app.http.get(ADMIN_UPLOADS).set(ada.auth).expect(403);
  });

  it("holds everybody's ready files, with their owners, the newest first", async () => {
    const page = await list();
    expect(page).toMatchObject({ total: 5, page: 1, size: 20, pages: 1, skip: 0, limit: 20 });
    expect(names(page)).toEqual(NEWEST_FIRST);
    expect(page.items.map(({ user_id }: { user_id: string }) => user_id)).toEqual(
      [ada, ben, admin, ben, ada].map(({ id }) => id),
    );
    expect(page.items[4]).toEqual((await app.http.get(`${UPLOADS}/${page.items[4].id}`).set(ada.auth)).body);
  });

  it.each([
    ['upload_date', NEWEST_FIRST.toReversed()],
    ['filename', ['100%_sure.txt', 'Alpha.png', 'beta.txt', 'gamma.jpg', 'übung.pdf']],
  ])('sorts by %s in both orders, alone, by type and in a search', async (sort_by, expected) => {
    expect(names(await list({ sort_by, sort_order: 'asc' }))).toEqual(expected);
    expect(names(await list({ sort_by }))).toEqual(expected.toReversed());
    const slices = [
      await list({ sort_by, sort_order: 'asc', limit: 2 }),
      await list({ sort_by, sort_order: 'asc', skip: 2 }),
    ];
    expect(slices.flatMap(names)).toEqual(expected);
    const texts = expected.filter((name) => name.endsWith('.txt'));
    expect(names(await list({ sort_by, sort_order: 'asc', content_type: 'text/*' }))).toEqual(texts);
    expect(names(await list({ sort_by, search: '.txt' }))).toEqual(texts.toReversed());
  });

  it('sorts by file_size', async () => {
    const sizes = (await list({ sort_by: 'file_size' })).items.map(({ file_size }: { file_size: number }) => file_size);
    expect(sizes).toEqual([...sizes].sort((a, b) => b - a));
    expect(names(await list({ sort_by: 'file_size', sort_order: 'asc', limit: 1 }))).toEqual(['beta.txt']);
  });

  it.each([
    [{ content_type: 'text/plain' }, ['100%_sure.txt', 'beta.txt']],
    [{ content_type: 'IMAGE/*' }, ['gamma.jpg', 'Alpha.png']],
    [{ content_type: 'image/gif' }, []],
    [{ content_type: 'video/*' }, []],
    [{ search: 'LPH' }, ['Alpha.png']],
    [{ search: 'g' }, ['gamma.jpg']],
    [{ search: '100%_' }, ['100%_sure.txt']],
    [{ search: '%' }, []],
    [{ search: 'pending' }, []],
    [{ search: 'a', content_type: 'text/*' }, []],
    [{ search: 'alpha', content_type: 'image/*' }, ['Alpha.png']],
  ])('filters by %j, and counts what it has found', async (query, expected) => {
    const page = await list(query);
    expect([names(page), page.total]).toEqual([expected, expected.length]);
    const second = await list({ ...query, size: 1, page: 2 });
    expect([names(second), second.total]).toEqual([expected.slice(1, 2), expected.length]);
  });

  it("holds one owner's alone when asked, with the same filters", async () => {
    expect(await list({ user_id: ben.id })).toMatchObject({ total: 2 });
    expect(names(await list({ user_id: ben.id.toUpperCase() }))).toEqual(['100%_sure.txt', 'Alpha.png']);
    expect(names(await list({ user_id: ben.id, sort_by: 'filename', content_type: 'image/*' }))).toEqual(['Alpha.png']);
    expect(names(await list({ user_id: ben.id, search: 'beta' }))).toEqual([]);
    expect(await list({ user_id: NOBODY })).toMatchObject({ items: [], total: 0, pages: 0 });
  });

  it.each([
    { user_id: '1' },
    { user_id: '' },
    { owner_id: NOBODY },
    { page: 0 },
    { size: 101 },
    { page: 1, limit: 5 },
    { content_type: 'image' },
    { sort_by: 'owner_id' },
    { sort_order: 'DESC' },
    { search: 'a\0' },
  ])('refuses %j', async (query) => {
    const { body } = await app.http.get(ADMIN_UPLOADS).query(query).set(admin.auth).expect(422);
    expect(body.detail[0].loc[0]).toBe('query');
  });
});

describe('a file that an admin deletes', () => {
  let app: TestApp;
  let admin: SignedIn;
  let owner: SignedIn;
  let told: object[];
  let during: () => Promise<void>;

  beforeAll(async () => {
    app = await startTestApp();
    [admin, owner] = [await anAdmin(app), await aSignedInUser(app)];
    const events = app.app.get(DomainEvents);
    events.on(UploadDeletedEvent, (event) => told.push(event));
    events.during(AuditEvent, () => during());
  });
  beforeEach(() => {
    told = [];
    during = () => Promise.resolve();
  });
  afterAll(() => app.close());

  const entriesOf = async (fileId: string) =>
    (
      await app.pool.query(
        'SELECT action, actor_id, target_type, request_id, details FROM audit_log WHERE target_id = $1',
        [fileId],
      )
    ).rows;
  const isThere = async ({ id }: { id: string }) =>
    (await app.http.get(`${UPLOADS}/${id}`).set(owner.auth)).status === 200 &&
    storedFiles(app.dataDir).published.includes(id);
  const bulkDelete = (path: string, id: string) => app.http.post(`${path}/bulk-delete`).send({ ids: [id] });

  const WAYS: [string, number, (id: string) => ReturnType<typeof bulkDelete>][] = [
    ['DELETE /admin/uploads/{id}', 204, (id) => app.http.delete(`${ADMIN_UPLOADS}/${id}`)],
    ['DELETE /uploads/{id}', 204, (id) => app.http.delete(`${UPLOADS}/${id}`)],
    ['DELETE /files/{id}', 204, (id) => app.http.delete(`/api/v1/files/${id}`)],
    ['POST /uploads/bulk-delete', 200, (id) => bulkDelete(UPLOADS, id)],
  ];

  it.each(WAYS)('goes by %s, with an entry in the audit log', async (_way, status, remove) => {
    const file = await upload(app, owner);
    const { headers } = await remove(file.id).set(admin.auth).expect(status);
    expect(await isThere(file)).toBe(false);
    expect(await entriesOf(file.id)).toEqual([
      {
        action: 'file.deleted',
        actor_id: admin.id,
        target_type: 'file',
        request_id: headers['x-request-id'],
        details: {
          owner_id: owner.id,
          filename: file.filename,
          file_size: file.file_size,
          file_hash: file.file_hash,
        },
      },
    ]);
    expect(told).toEqual([{ file: { id: file.id, ownerId: owner.id }, deletedBy: admin.id }]);
    expect((await app.http.get('/api/v1/users/me').set(owner.auth)).body.stats.total_uploads).toBe(0);
  });

  it.each(WAYS)('by %s is still there when that cannot be written into the log', async (_way, _status, remove) => {
    const file = await upload(app, owner);
    during = () => Promise.reject(new Error('on purpose'));
    await remove(file.id).set(admin.auth).expect(500);
    expect(await isThere(file)).toBe(true);
    expect([await entriesOf(file.id), told]).toEqual([[], []]);
    await app.http.delete(`${UPLOADS}/${file.id}`).set(owner.auth).expect(204);
  });

  it('and was the admin’s own is nobody’s business', async () => {
    const own = await upload(app, admin);
    await app.http.delete(`${ADMIN_UPLOADS}/${own.id}`).set(admin.auth).expect(204);
    expect(await entriesOf(own.id)).toEqual([]);
    expect(told).toHaveLength(1);
  });

  it('leaves an entry for each of several, and for none of those that are not there', async () => {
    const files = [await upload(app, owner), await upload(app, owner)];
    const own = await upload(app, admin);
    const { body } = await app.http
      .post(`${UPLOADS}/bulk-delete`)
      .set(admin.auth)
      .send({ ids: [files[0].id, NOBODY, own.id, files[1].id] })
      .expect(200);
    expect(body).toEqual({
      deleted: [files[0].id, own.id, files[1].id],
      failed: [{ id: NOBODY, error_code: 'file_not_found' }],
    });
    for (const { id } of files) expect(await entriesOf(id)).toMatchObject([{ details: { owner_id: owner.id } }]);
    expect([await entriesOf(own.id), await entriesOf(NOBODY)]).toEqual([[], []]);
  });

  it('is not written of when its owner deletes it', async () => {
    const file = await upload(app, owner);
    await app.http.delete(`${UPLOADS}/${file.id}`).set(owner.auth).expect(204);
    expect(await entriesOf(file.id)).toEqual([]);
    expect(told).toHaveLength(1);
  });

  it('is refused to guests and users, the owner too, and is none for an id that nobody has', async () => {
    const file = await upload(app, owner);
    await app.http.delete(`${ADMIN_UPLOADS}/${file.id}`).expect(401);
    await app.http.delete(`${ADMIN_UPLOADS}/${file.id}`).set(owner.auth).expect(403);
    expect(await isThere(file)).toBe(true);
    for (const [id, code] of [
      [NOBODY, 'file_not_found'],
      ['42', 'not_found'],
    ]) {
      const { body } = await app.http.delete(`${ADMIN_UPLOADS}/${id}`).set(admin.auth).expect(404);
      expect(body.error_code).toBe(code);
    }
    expect(told).toEqual([]);
  });
});
