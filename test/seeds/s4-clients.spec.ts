import { aSignedInUser, PASSWORD, type SignedIn } from '../support/builders.js';
import { samples } from '../support/samples.js';
import { startTestApp, type TestApp } from '../support/test-app.js';

const API = '/api/v1';

/** What the document's clients send. The packages themselves are not part of this program. */
describe('S4, "SDKs and Client Libraries" and "Testing the API"', () => {
  let app: TestApp;
  let user: SignedIn;
  let key: string;
  beforeAll(async () => {
    app = await startTestApp();
  });
  beforeEach(async () => {
    await app.pool.query('DELETE FROM users');
    user = await aSignedInUser(app, { username: 'testuser' });
    const created = await app.http.post(`${API}/users/me/api-keys`).set(user.auth).send({ name: 'client' }).expect(201);
    key = created.body.key;
  });
  afterAll(() => app.close());

  const ways: [string, () => Record<string, string>][] = [
    ['X-API-Key', () => ({ 'X-API-Key': key })],
    ['Authorization: Bearer', () => ({ Authorization: `Bearer ${key}` })],
  ];

  describe.each(ways)('"apiKey: your-api-key", sent as %s', (_way, headers) => {
    it('uploads: api.uploads.create(file, { description: "Test file" }), and reads, changes and deletes what it made', async () => {
      const { body: file } = await app.http
        .post(`${API}/uploads/`)
        .set(headers())
        .attach('file', Buffer.from('content'), { filename: 'test.txt', contentType: 'text/plain' })
        .field('description', 'Test file')
        .expect(201);
      expect(file).toMatchObject({
        original_filename: 'test.txt',
        content_type: 'text/plain',
        description: 'Test file',
        user_id: user.id,
      });
      const { body: list } = await app.http.get(`${API}/uploads/?page=1&size=10`).set(headers()).expect(200);
      expect(list.items).toEqual([file]);
      await app.http.get(`${API}/uploads/${file.id}/download`).set(headers()).expect(200, 'content');
      await app.http.put(`${API}/uploads/${file.id}`).set(headers()).send({ description: 'new' }).expect(200);
      await app.http.delete(`${API}/uploads/${file.id}`).set(headers()).expect(204);
    });

    it('reads the profile, as its owner', async () => {
      const { body } = await app.http.get(`${API}/users/me`).set(headers()).expect(200);
      expect(body).toMatchObject({ id: user.id, username: 'testuser' });
    });

    it('is 403 where its scopes do not reach, and 401 once it is revoked', async () => {
      const { body: refused } = await app.http.get(`${API}/auth/sessions`).set(headers()).expect(403);
      expect(refused).toMatchObject({ code: 403, error_code: 'insufficient_scope' });
      const { body: keys } = await app.http.get(`${API}/users/me/api-keys`).set(user.auth).expect(200);
      await app.http.delete(`${API}/users/me/api-keys/${keys.items[0].id}`).set(user.auth).expect(204);
      const { body } = await app.http.get(`${API}/users/me`).set(headers()).expect(401);
      expect(body.detail).toBe('Could not validate credentials');
    });
  });

  it('"http --form POST localhost:8000/api/v1/uploads/ file@document.pdf description=…": HTTPie’s headers', async () => {
    const { body } = await app.http
      .post(`${API}/uploads/`)
      .set(user.auth)
      .set({ Accept: '*/*', 'User-Agent': 'HTTPie/3.2.2', 'Accept-Encoding': 'gzip, deflate' })
      .attach('file', samples.pdf, { filename: 'document.pdf', contentType: 'application/pdf' })
      .field('description', 'Test upload')
      .expect(201);
    expect(body).toMatchObject({ filename: 'document.pdf', description: 'Test upload' });
  });

  it('"http POST localhost:8000/api/v1/auth/login username=testuser password=…": HTTPie’s headers', async () => {
    const { body } = await app.http
      .post(`${API}/auth/login`)
      .set({ Accept: 'application/json, */*;q=0.5', 'User-Agent': 'HTTPie/3.2.2' })
      // S4's testpass is a password that section 2 lets nobody have.
      .send({ username: 'testuser', password: PASSWORD })
      .expect(200);
    await app.http
      .get(`${API}/users/me`)
      .set({ Authorization: `Bearer ${body.access_token}` })
      .expect(200);
  });
});
