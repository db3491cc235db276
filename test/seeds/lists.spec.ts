import { aSignedInUser, anAdmin, type SignedIn } from '../support/builders.js';
import { startTestApp, type TestApp } from '../support/test-app.js';

/** S1, S2: "List endpoints support pagination"; S4: "All list endpoints support pagination with consistent parameters". */
describe('every list', () => {
  let app: TestApp;
  let admin: SignedIn;
  /** All have the same entries: three, or more. */
  const LISTS = [
    '/api/v1/users',
    '/api/v1/auth/sessions',
    '/api/v1/users/me/api-keys',
    '/api/v1/uploads',
    '/api/v1/files',
    '/api/v1/admin/users',
    '/api/v1/admin/users/{id}/sessions',
    '/api/v1/admin/uploads',
    '/api/v1/admin/audit-log',
    '/api/v1/broadcasting/channels',
    '/api/v1/broadcasting/channels/private-team/members',
  ];

  beforeAll(async () => {
    app = await startTestApp();
    admin = await anAdmin(app);
    for (let n = 0; n < 3; n++) {
      const { id } = await aSignedInUser(app);
      const post = (path: string) => app.http.post(`/api/v1/${path}`).set(admin.auth);
      await app.http.post('/api/v1/auth/login').send({ email: admin.email, password: admin.password }).expect(200);
      await post('users/me/api-keys')
        .send({ name: `key ${n}` })
        .expect(201);
      await post('uploads').attach('file', Buffer.from('text'), `${n}.txt`).expect(201);
      await post('broadcasting/messages')
        .send({ channel: `channel-${n}`, event: 'e' })
        .expect(201);
      await app.http.put(`/api/v1/broadcasting/channels/private-team/members/${id}`).set(admin.auth).expect(204);
    }
  });
  afterAll(() => app.close());

  const get = (path: string, query = '') => app.http.get(path.replace('{id}', admin.id) + query).set(admin.auth);
  const keyOf = (item: { id?: string; name?: string }) => item.id ?? item.name;

  it('is here: every answer of the document that has items and a total', async () => {
    const { body: document } = await app.http.get('/openapi.json').expect(200);
    const isPage = ({ get: operation }: any) => {
      let schema = operation?.responses['200']?.content?.['application/json']?.schema;
      if (schema?.anyOf) [schema] = schema.anyOf;
      if (schema?.$ref) schema = document.components.schemas[schema.$ref.split('/').pop()];
      return Boolean(schema?.properties?.items && schema.properties.total);
    };
    const paths = Object.keys(document.paths).filter((path) => isPage(document.paths[path]));
    expect(paths.sort()).toEqual(LISTS.map((path) => path.replace('private-team', '{name}')).sort());
  });

  describe.each(LISTS)('%s', (path) => {
    it('S1 S2 "skip=0&limit=10": items, total, skip and limit; 10 unless told, 100 at most', async () => {
      const { body: all } = await get(path, '?skip=0&limit=10').expect(200);
      expect(all).toMatchObject({ items: expect.any(Array), total: expect.any(Number), skip: 0, limit: 10 });
      expect(all.total).toBeGreaterThanOrEqual(3);
      const { body: rest } = await get(path, '?skip=1').expect(200);
      expect(rest).toMatchObject({ total: all.total, skip: 1, limit: 10 });
      expect(rest.items.map(keyOf)).toEqual(all.items.map(keyOf).slice(1).concat(rest.items.map(keyOf).slice(9)));
      await get(path, '?limit=100').expect(200);
      for (const query of ['?limit=101', '?limit=0', '?skip=-1', '?skip=a']) await get(path, query).expect(422);
    });

    it('S4 "page (1-based, default: 1)", "size (default: 20, max: 100)": items, total, page, size and pages', async () => {
      const { body: first } = await get(path).expect(200);
      expect(first).toMatchObject({ page: 1, size: 20, pages: Math.ceil(first.total / 20) });
      const seen = [];
      for (let page = 1; page <= 3; page++) {
        const { body } = await get(path, `?page=${page}&size=1`).expect(200);
        expect(body).toMatchObject({ total: first.total, page, size: 1, pages: first.total });
        seen.push(...body.items.map(keyOf));
      }
      expect(seen).toEqual(first.items.map(keyOf).slice(0, 3));
      const { body: past } = await get(path, '?page=1000&size=100').expect(200);
      expect(past).toMatchObject({ items: [], total: first.total });
      for (const query of ['?size=101', '?page=0', '?page=1&skip=0']) await get(path, query).expect(422);
    });
  });
});
