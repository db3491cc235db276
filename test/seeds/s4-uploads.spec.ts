import { createHash } from 'node:crypto';
import { aSignedInUser, anAdmin, type SignedIn } from '../support/builders.js';
import { samples } from '../support/samples.js';
import { startTestApp, type TestApp } from '../support/test-app.js';

const API = '/api/v1';
const ID = expect.stringMatching(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
const TIME = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/);
const PDF = samples.pdf;
const NOBODY = '123e4567-e89b-12d3-a456-426614174000';

describe('S4, the ReViewPoint document: "File Upload Endpoints"', () => {
  let app: TestApp;
  let user: SignedIn;
  beforeAll(async () => {
    app = await startTestApp({ USER_QUOTA: '12000000' });
  });
  beforeEach(async () => {
    await app.pool.query('DELETE FROM users');
    user = await aSignedInUser(app);
  });
  afterAll(() => app.close());

  /** `curl -X POST "$API_BASE/uploads/" -H "Authorization: Bearer $TOKEN" -F "file=@document.pdf" -F "description=…"` */
  const upload = (bytes: Buffer = PDF, name = 'document.pdf', description = 'Important document') =>
    app.http.post(`${API}/uploads/`).set(user.auth).attach('file', bytes, name).field('description', description);
  const list = (query = '') => app.http.get(`${API}/uploads/${query}`).set(user.auth);
  const names = async (query: string) => {
    const { body } = await list(query).expect(200);
    return body.items.map(({ filename }: { filename: string }) => filename);
  };

  describe('POST /api/v1/uploads/', () => {
    it('"Response (201 Created)" with every field of the document', async () => {
      const { body } = await upload().expect(201);
      expect(body).toEqual({
        id: ID,
        filename: 'document.pdf',
        original_filename: 'document.pdf',
        content_type: 'application/pdf',
        file_size: PDF.length,
        file_hash: `sha256:${createHash('sha256').update(PDF).digest('hex')}`,
        description: 'Important document',
        upload_date: TIME,
        updated_at: TIME,
        user_id: user.id,
      });
    });

    it('the description is optional, and nobody uploads without "Authorization: Bearer <access_token>"', async () => {
      const { body } = await app.http.post(`${API}/uploads/`).set(user.auth).attach('file', PDF, 'a.pdf').expect(201);
      expect(body.description).toBeNull();
      await app.http.post(`${API}/uploads/`).attach('file', PDF, 'a.pdf').expect(401);
    });

    it('"413 Payload Too Large": "File size exceeds maximum limit (10MB)"', async () => {
      const { body } = await upload(Buffer.alloc(10 * 1024 * 1024 + 1, 'a'), 'large.txt').expect(413);
      expect(body).toMatchObject({ detail: 'File size exceeds maximum limit (10MB)', code: 413 });
      await upload(Buffer.alloc(10 * 1024 * 1024, 'a'), 'large.txt').expect(201);
    });

    it('"415 Unsupported Media Type": "File type not allowed"', async () => {
      const { body } = await upload(Buffer.from('<html></html>'), 'page.html').expect(415);
      expect(body).toMatchObject({ detail: 'File type not allowed', code: 415 });
    });

    it('"507 Insufficient Storage": "Storage quota exceeded"', async () => {
      await upload(Buffer.alloc(9_000_000, 'a'), 'one.txt').expect(201);
      const { body } = await upload(Buffer.alloc(9_000_000, 'a'), 'two.txt').expect(507);
      expect(body).toMatchObject({ detail: 'Storage quota exceeded', code: 507 });
    });
  });

  describe('GET /api/v1/uploads/', () => {
    beforeEach(async () => {
      await upload(PDF, 'b document.pdf', 'first').expect(201);
      await upload(samples.png, 'a picture.png', 'of a document').expect(201);
      await upload(Buffer.from('some text'), 'c.txt', 'third').expect(201);
    });

    it('"Response (200 OK)": items and the page', async () => {
      const { body } = await list('?page=1&size=2').expect(200);
      expect(body).toMatchObject({ total: 3, page: 1, size: 2, pages: 2 });
      expect(body.items[0]).toMatchObject({ id: ID, filename: 'c.txt', content_type: 'text/plain', upload_date: TIME });
      expect((await list().expect(200)).body).toMatchObject({ page: 1, size: 20, pages: 1 });
      await list('?size=101').expect(422);
    });

    it('"search: Search in filename/description"', async () => {
      expect(await names('?page=1&size=10&search=document')).toEqual(['a picture.png', 'b document.pdf']);
    });

    it('"content_type: Filter by MIME type"', async () => {
      expect(await names('?content_type=application/pdf')).toEqual(['b document.pdf']);
      expect(await names('?content_type=image/*')).toEqual(['a picture.png']);
    });

    it('"sort_by: upload_date, filename, file_size", "sort_order: asc, desc", newest first by itself', async () => {
      expect(await names('')).toEqual(['c.txt', 'a picture.png', 'b document.pdf']);
      expect(await names('?sort_by=upload_date&sort_order=asc')).toEqual(['b document.pdf', 'a picture.png', 'c.txt']);
      expect(await names('?sort_by=filename&sort_order=asc')).toEqual(['a picture.png', 'b document.pdf', 'c.txt']);
      const { body } = await list('?sort_by=file_size&sort_order=asc').expect(200);
      const sizes = body.items.map(({ file_size }: { file_size: number }) => file_size);
      expect(sizes).toEqual([...sizes].sort((a, b) => a - b));
      await list('?sort_by=owner').expect(422);
    });

    it('lists "user\'s uploaded files": nobody else\'s', async () => {
      user = await aSignedInUser(app);
      expect((await list().expect(200)).body).toMatchObject({ items: [], total: 0, pages: 0 });
    });
  });

  it('GET /api/v1/uploads/{file_id}: "Get file metadata by ID"; an unknown id is 404', async () => {
    const { body: file } = await upload().expect(201);
    const { body } = await app.http.get(`${API}/uploads/${file.id}`).set(user.auth).expect(200);
    expect(body).toEqual(file);
    const { body: error } = await app.http.get(`${API}/uploads/${NOBODY}`).set(user.auth).expect(404);
    expect(error).toMatchObject({ detail: 'File not found', code: 404, error_code: 'file_not_found' });
  });

  it('GET /api/v1/uploads/{file_id}/download: type, attachment under the original name, and the bytes', async () => {
    const { body: file } = await upload().expect(201);
    await app.http.put(`${API}/uploads/${file.id}`).set(user.auth).send({ filename: 'new-name.pdf' }).expect(200);
    const { headers, body } = await app.http
      .get(`${API}/uploads/${file.id}/download`)
      .set(user.auth)
      .buffer(true)
      .parse((response, done) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk)).on('end', () => done(null, Buffer.concat(chunks)));
      })
      .expect(200);
    expect(headers['content-type']).toBe('application/pdf');
    expect(headers['content-disposition']).toMatch(
      /^attachment; filename="?document\.pdf"?; filename\*=UTF-8''document\.pdf$/,
    );
    expect(PDF.equals(body as Buffer)).toBe(true);
  });

  it('PUT /api/v1/uploads/{file_id}: description and filename, "changes display name only"', async () => {
    const { body: file } = await upload(PDF, 'my-document.pdf').expect(201);
    const changes = { description: 'Updated description', filename: 'new-name.pdf' };
    const { body } = await app.http.put(`${API}/uploads/${file.id}`).set(user.auth).send(changes).expect(200);
    expect(body).toEqual({ ...file, ...changes, updated_at: TIME });
    expect(body.original_filename).toBe('my-document.pdf');
    expect(body.updated_at >= file.updated_at).toBe(true);
    const { body: again } = await app.http.put(`${API}/uploads/${file.id}`).set(user.auth).send({}).expect(200);
    expect(again).toEqual(body);
  });

  it('DELETE /api/v1/uploads/{file_id}: "Response (204 No Content)", then 404', async () => {
    const { body: file } = await upload().expect(201);
    const { text } = await app.http.delete(`${API}/uploads/${file.id}`).set(user.auth).expect(204);
    expect(text).toBe('');
    for (const path of ['', '/download'])
      await app.http.get(`${API}/uploads/${file.id}${path}`).set(user.auth).expect(404);
    await app.http.delete(`${API}/uploads/${file.id}`).set(user.auth).expect(404);
  });

  it('"stats" of the user count files and bytes', async () => {
    await upload().expect(201);
    const { body } = await app.http.get(`${API}/users/me`).set(user.auth).expect(200);
    expect(body.stats).toEqual({ total_uploads: 1, total_storage_used: PDF.length });
  });

  it('"File uploads: 10 requests per minute per user", with the headers of the document', async () => {
    const limited = await startTestApp({ RATE_LIMIT_ENABLED: 'true' });
    try {
      const { auth } = await anAdmin(limited);
      const send = () => limited.http.post(`${API}/uploads/`).set(auth).attach('file', PDF, 'document.pdf');
      for (let left = 9; left >= 0; left--) {
        const { headers } = await send().expect(201);
        expect([headers['x-ratelimit-limit'], headers['x-ratelimit-remaining']]).toEqual(['10', String(left)]);
      }
      const { headers } = await send().expect(429);
      expect(Number(headers['x-ratelimit-retry-after'])).toBeGreaterThan(0);
      // Reading goes on.
      await limited.http.get(`${API}/uploads/`).set(auth).expect(200);
    } finally {
      await limited.close();
    }
  });
});
