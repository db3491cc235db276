import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { DomainEvents } from '../../src/common/events/domain-events.js';
import { UploadCompletedEvent, UploadDeletedEvent } from '../../src/uploads/uploads.events.js';
import { Reconciler } from '../../src/uploads/upkeep/reconciler.js';
import { aSignedInUser, anAdmin, PASSWORD, type SignedIn } from '../support/builders.js';
import { samples } from '../support/samples.js';
import { startTestApp, type TestApp } from '../support/test-app.js';

const UPLOADS = '/api/v1/uploads';
const PREFIXES = [UPLOADS, '/api/v1/files'];
const TIME = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
const UUID_V7 = expect.stringMatching(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);

const hashOf = (bytes: Buffer) => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

describe('uploads', () => {
  let app: TestApp;
  let owner: SignedIn;
  let other: SignedIn;
  let admin: SignedIn;
  const completed: UploadCompletedEvent[] = [];
  const deleted: UploadDeletedEvent[] = [];

  beforeAll(async () => {
    app = await startTestApp();
    [owner, other, admin] = [await aSignedInUser(app), await aSignedInUser(app), await anAdmin(app)];
    const events = app.app.get(DomainEvents);
    events.on(UploadCompletedEvent, (event) => completed.push(event));
    events.on(UploadDeletedEvent, (event) => deleted.push(event));
  });
  beforeEach(() => {
    completed.length = 0;
    deleted.length = 0;
  });
  afterAll(() => app.close());

  const upload = (as: SignedIn, bytes: Buffer = samples.text, name = 'notes.txt', base = UPLOADS) =>
    app.http.post(base).set(as.auth).attach('file', bytes, name);
  const aFile = async (as: SignedIn, name?: string): Promise<any> =>
    (await upload(as, undefined, name).expect(201)).body;
  const pathOf = (id: string) => join(app.dataDir, 'files', id.slice(-2), id);
  const get = (as: SignedIn, id: string) => app.http.get(`${UPLOADS}/${id}`).set(as.auth);
  const statsOf = async (as: SignedIn) => (await app.http.get('/api/v1/users/me').set(as.auth).expect(200)).body.stats;
  const sumsOf = async (id: string) =>
    (
      await app.pool.query('SELECT storage_held::int AS held, total_uploads::int AS files FROM users WHERE id = $1', [
        id,
      ])
    ).rows[0];

  describe.each(PREFIXES.flatMap((prefix) => [prefix, `${prefix}/`]))('POST %s', (base) => {
    it('stores the file, tells of it, and answers its record', async () => {
      const user = await aSignedInUser(app);
      const { body, headers } = await upload(user, samples.png, 'photo.png', base)
        .field('description', 'A photo\nof a dot')
        .expect(201);
      expect(body).toEqual({
        id: UUID_V7,
        filename: 'photo.png',
        original_filename: 'photo.png',
        content_type: 'image/png',
        file_size: samples.png.length,
        file_hash: hashOf(samples.png),
        description: 'A photo\nof a dot',
        upload_date: TIME,
        updated_at: body.upload_date,
        user_id: user.id,
      });
      expect(headers.location).toBe(`${base.replace(/\/$/, '')}/${body.id}`);
      expect((await app.http.get(headers.location).set(user.auth).expect(200)).body).toEqual(body);
      expect(completed.map(({ file }) => file)).toEqual([
        { id: body.id, ownerId: user.id, filename: 'photo.png', contentType: 'image/png', fileSize: body.file_size },
      ]);
      expect(existsSync(pathOf(body.id))).toBe(true);
      expect(await statsOf(user)).toEqual({ total_uploads: 1, total_storage_used: samples.png.length });
      expect(await sumsOf(user.id)).toEqual({ held: samples.png.length, files: 1 });
    });

    it('is refused to guests, and nothing is told', async () => {
      const { body } = await app.http.post(base).attach('file', samples.text, 'notes.txt').expect(401);
      expect(body.error_code).toBe('not_authenticated');
      expect(completed).toEqual([]);
    });
  });

  it.each([
    ['png', 'image/png'],
    ['jpeg', 'image/jpeg'],
    ['gif', 'image/gif'],
    ['webp', 'image/webp'],
    ['pdf', 'application/pdf'],
    ['zip', 'application/zip'],
    ['docx', 'application/vnd.openxmlformats-officedocument.wordprocessingml.document'],
    ['xlsx', 'application/vnd.openxmlformats-officedocument.spreadsheetml.sheet'],
    ['pptx', 'application/vnd.openxmlformats-officedocument.presentationml.presentation'],
    ['odt', 'application/vnd.oasis.opendocument.text'],
    ['ods', 'application/vnd.oasis.opendocument.spreadsheet'],
    ['odp', 'application/vnd.oasis.opendocument.presentation'],
    ['csv', 'text/csv'],
    ['json', 'application/json'],
  ] as const)('stores a %s as %s, byte for byte', async (name, type) => {
    const { body } = await upload(owner, samples[name], `sample.${name}`).expect(201);
    expect(body).toMatchObject({ content_type: type, file_hash: hashOf(samples[name]) });
    const { body: bytes } = await app.http.get(`${UPLOADS}/${body.id}/download`).set(owner.auth).responseType('blob');
    expect(samples[name].equals(bytes)).toBe(true);
  });

  it.each([
    ['doc', 'application/msword'],
    ['xls', 'application/vnd.ms-excel'],
    ['ppt', 'application/vnd.ms-powerpoint'],
  ])('stores a %s as %s', async (extension, type) => {
    const { body } = await upload(owner, samples.compoundFile, `old.${extension}`).expect(201);
    expect(body.content_type).toBe(type);
  });

  it('stores an empty file', async () => {
    const { body } = await upload(owner, samples.empty, 'empty.txt').expect(201);
    expect(body).toMatchObject({ file_size: 0, content_type: 'text/plain', file_hash: hashOf(samples.empty) });
    const answer = await app.http.get(`${UPLOADS}/${body.id}/download`).set(owner.auth).expect(200);
    expect([answer.headers['content-length'], answer.text]).toEqual(['0', '']);
  });

  it('stores 9 MB byte for byte', async () => {
    const bytes = Buffer.concat([samples.zip, randomBytes(9_000_000)]);
    const { body } = await upload(owner, bytes, 'large.zip').expect(201);
    expect(body).toMatchObject({ file_size: bytes.length, file_hash: hashOf(bytes) });
    const answer = await app.http.get(`${UPLOADS}/${body.id}/download`).set(owner.auth).responseType('blob');
    expect(bytes.equals(answer.body)).toBe(true);
  });

  it('takes the description before or after the file', async () => {
    const after = await upload(owner).field('description', 'd').expect(201);
    const before = await app.http
      .post(UPLOADS)
      .set(owner.auth)
      .field('description', 'd')
      .attach('file', samples.text, 'notes.txt')
      .expect(201);
    expect([after.body.description, before.body.description]).toEqual(['d', 'd']);
  });

  it.each([
    ['of 1000 characters', '😀'.repeat(1000)],
    ['of line breaks and tabs', 'a\nb\tc'],
    ['of nothing', ''],
  ])('takes a description %s', async (_what, description) => {
    const { body } = await upload(owner).field('description', description).expect(201);
    expect(body.description).toBe(description);
  });

  it.each([
    ['a name of 255 characters', `${'n'.repeat(251)}.txt`, `${'n'.repeat(251)}.txt`],
    ['a name of 400 characters, cut before its extension', `${'n'.repeat(396)}.txt`, `${'n'.repeat(251)}.txt`],
    ['a name of 300 horses', `${'🐎'.repeat(300)}.txt`, `${'🐎'.repeat(251)}.txt`],
    ['a name in two scripts', 'Ελλάδα 日本.txt', 'Ελλάδα 日本.txt'],
  ])('takes %s', async (_what, given, kept) => {
    const { body } = await upload(owner, samples.text, given).expect(201);
    expect([body.filename, body.original_filename]).toEqual([kept, kept]);
  });

  describe.each(PREFIXES)('GET %s/{id}', (base) => {
    it('is for the owner and admins; for others and guests there is nothing', async () => {
      const file = await aFile(owner);
      const look = (as: SignedIn) => app.http.get(`${base}/${file.id}`).set(as.auth);
      expect((await look(owner).expect(200)).body).toEqual(file);
      expect((await look(admin).expect(200)).body).toEqual(file);
      expect((await look(other).expect(404)).body).toMatchObject({
        detail: 'File not found',
        error_code: 'file_not_found',
      });
      await app.http.get(`${base}/${file.id}`).expect(401);
      await app.http.get(`${base}/${file.id.toUpperCase()}/`).set(owner.auth).expect(200);
    });
  });

  describe.each(['put', 'patch'] as const)('%s /uploads/{id}', (method) => {
    const change = (as: SignedIn, id: string, body: object, base = UPLOADS) =>
      app.http[method](`${base}/${id}`).set(as.auth).send(body);

    it.each(PREFIXES)('changes what is given below %s, and the download keeps its name', async (base) => {
      const file = await aFile(owner);
      const { body } = await change(owner, file.id, { filename: 'renamed.txt' }, base).expect(200);
      expect(body).toEqual({ ...file, filename: 'renamed.txt', updated_at: TIME });
      expect(body.updated_at > file.updated_at).toBe(true);
      const described = await change(owner, file.id, { description: 'About it' }, base).expect(200);
      expect(described.body).toMatchObject({ filename: 'renamed.txt', description: 'About it' });
      expect((await get(owner, file.id)).body).toEqual(described.body);
      const { headers } = await app.http.get(`${base}/${file.id}/download`).set(owner.auth).expect(200);
      expect(headers['content-disposition']).toContain('notes.txt');
    });

    it('changes nothing when nothing is given', async () => {
      const file = await aFile(owner);
      expect((await change(owner, file.id, {}).expect(200)).body).toEqual(file);
    });

    it('clears the description with null', async () => {
      const { body: file } = await upload(owner).field('description', 'd').expect(201);
      expect((await change(owner, file.id, { description: null }).expect(200)).body.description).toBeNull();
    });

    it('makes a plain name of a path', async () => {
      const file = await aFile(owner);
      const { body } = await change(owner, file.id, { filename: '../../etc/pass\u202ewd.txt' }).expect(200);
      expect(body.filename).toBe('passwd.txt');
    });

    it.each([
      [{ filename: null }, 'filename'],
      [{ filename: '' }, 'filename'],
      [{ filename: 'n'.repeat(256) }, 'filename'],
      [{ filename: 7 }, 'filename'],
      [{ description: 'd'.repeat(1001) }, 'description'],
      [{ description: 'a\u0007' }, 'description'],
      [{ description: {} }, 'description'],
      [{ content_type: 'text/html' }, 'content_type'],
      [{ original_filename: 'x' }, 'original_filename'],
      [{ user_id: randomUUID() }, 'user_id'],
      [{ file_size: 0 }, 'file_size'],
      [{ id: randomUUID() }, 'id'],
    ])('refuses %j', async (body, field) => {
      const file = await aFile(owner);
      const answer = await change(owner, file.id, body).expect(422);
      expect(Object.keys(answer.body.field_errors)).toEqual([field]);
      expect((await get(owner, file.id)).body).toEqual(file);
    });

    it("is for the owner alone: another's and an admin's attempt finds nothing", async () => {
      const file = await aFile(owner);
      for (const as of [other, admin])
        expect((await change(as, file.id, { description: 'x' }).expect(404)).body.error_code).toBe('file_not_found');
      await app.http[method](`${UPLOADS}/${file.id}`).send({ description: 'x' }).expect(401);
      expect((await get(owner, file.id)).body).toEqual(file);
    });
  });

  describe.each(PREFIXES)('DELETE %s/{id}', (base) => {
    const remove = (as: SignedIn, id: string) => app.http.delete(`${base}/${id}`).set(as.auth);

    it.each(['owner', 'admin'])('removes row, sums and bytes for the %s, and tells of it once', async (who) => {
      const user = await aSignedInUser(app);
      const file = await aFile(user);
      const by = who === 'admin' ? admin : user;
      const { text } = await remove(by, file.id).expect(204);
      expect(text).toBe('');
      expect(existsSync(pathOf(file.id))).toBe(false);
      expect(await sumsOf(user.id)).toEqual({ held: 0, files: 0 });
      expect(await statsOf(user)).toEqual({ total_uploads: 0, total_storage_used: 0 });
      expect(deleted).toEqual([{ file: { id: file.id, ownerId: user.id }, deletedBy: by.id }]);
      for (const path of [file.id, `${file.id}/download`]) await get(user, path).expect(404);
      await remove(by, file.id).expect(404);
      expect(deleted).toHaveLength(1);
    });

    it('finds nothing for another user and is refused to guests', async () => {
      const file = await aFile(owner);
      await remove(other, file.id).expect(404);
      await app.http.delete(`${base}/${file.id}`).expect(401);
      await get(owner, file.id).expect(200);
      expect([existsSync(pathOf(file.id)), deleted]).toEqual([true, []]);
    });

    it('succeeds once when it is asked for many times at once', async () => {
      const file = await aFile(owner);
      const answers = await Promise.all(Array.from({ length: 6 }, () => remove(owner, file.id)));
      expect(answers.map(({ status }) => status).sort()).toEqual([204, 404, 404, 404, 404, 404]);
      expect(deleted).toHaveLength(1);
    });
  });

  describe.each(PREFIXES)('POST %s/bulk-delete', (base) => {
    const bulk = (as: SignedIn, ids: unknown) => app.http.post(`${base}/bulk-delete`).set(as.auth).send({ ids });
    const missing = (id: string) => ({ id, error_code: 'file_not_found' });

    it('deletes what it can and says what it could not', async () => {
      const [a, b, foreign] = [await aFile(owner), await aFile(owner), await aFile(other)];
      const absent = randomUUID();
      const ids = [a.id, foreign.id, 'nonsense', b.id.toUpperCase(), absent, a.id, '../x'];
      const { body } = await bulk(owner, ids).expect(200);
      expect(body).toEqual({
        deleted: [a.id, b.id],
        failed: [missing(foreign.id), missing('nonsense'), missing(absent), missing('../x')],
      });
      expect(deleted.map(({ file }) => file.id).sort()).toEqual([a.id, b.id].sort());
      expect([a, b, foreign].map(({ id }) => existsSync(pathOf(id)))).toEqual([false, false, true]);
      await get(other, foreign.id).expect(200);
    });

    it("deletes anybody's files for an admin", async () => {
      const [a, b] = [await aFile(owner), await aFile(other)];
      expect((await bulk(admin, [a.id, b.id]).expect(200)).body).toEqual({ deleted: [a.id, b.id], failed: [] });
    });

    it.each([
      ['no list', undefined],
      ['an empty list', []],
      ['101 ids', Array.from({ length: 101 }, () => randomUUID())],
      ['numbers', [1]],
      ['null', [null]],
      ['a text', randomUUID()],
      ['a NUL', ['a\0']],
    ])('refuses %s', async (_what, ids) => {
      const { body } = await bulk(owner, ids).expect(422);
      expect(body.error_code).toBe('validation_error');
    });

    it('takes 100 ids, and is refused to guests', async () => {
      const ids = Array.from({ length: 100 }, () => randomUUID());
      expect((await bulk(owner, ids).expect(200)).body.failed).toHaveLength(100);
      await app.http.post(`${base}/bulk-delete`).send({ ids }).expect(401);
    });
  });

  it.each([
    ['the user', (user: SignedIn) => app.http.delete('/api/v1/users/me').set(user.auth).send({ password: PASSWORD })],
    ['an admin', (user: SignedIn) => app.http.delete(`/api/v1/users/${user.id}`).set(admin.auth)],
  ])('a user deleted by %s takes rows and sums along, and with the next sweep the bytes', async (_who, remove) => {
    const total = async () => (await app.pool.query('SELECT bytes::int FROM storage_totals')).rows[0].bytes;
    const before = await total();
    const user = await aSignedInUser(app);
    const files = [await aFile(user), await aFile(user)];
    expect(await total()).toBe(before + 2 * samples.text.length);
    expect((await remove(user)).status).toBeLessThan(300);
    for (const { id } of files) await get(admin, id).expect(404);
    await app.app.get(Reconciler).sweep();
    expect(files.map(({ id }) => existsSync(pathOf(id)))).toEqual([false, false]);
    expect((await app.pool.query('SELECT id FROM uploads WHERE owner_id = $1', [user.id])).rows).toEqual([]);
    expect((await app.pool.query('SELECT * FROM removed_blobs')).rows).toEqual([]);
    expect(await total()).toBe(before);
  });
});
