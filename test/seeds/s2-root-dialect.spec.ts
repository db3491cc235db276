import { aSignedInUser, anAdmin, aUser, PASSWORD, type SignedIn } from '../support/builders.js';
import { startTestApp, type TestApp } from '../support/test-app.js';

const REGISTRATION = {
  username: 'john_doe',
  email: 'john@example.com',
  full_name: 'John Doe',
  password: 'securepassword123',
};
const USER_FIELDS = {
  id: expect.stringMatching(/^[0-9a-f-]{36}$/), // S2 shows 1; section 11 decides UUID
  username: 'john_doe',
  email: 'john@example.com',
  full_name: 'John Doe',
};
const NOBODY = '0197f0a0-7b1c-7e7e-8a00-3d2f1c0b9a88';

const success = (data: unknown, code = 200) => ({ data, status: 'success', code });
const failure = (code: number, detail: unknown = expect.any(String)) =>
  expect.objectContaining({ detail, status: 'error', code });

describe('S2, the root dialect', () => {
  let app: TestApp;
  beforeAll(async () => {
    app = await startTestApp();
  });
  beforeEach(async () => {
    await app.pool.query('DELETE FROM users');
  });
  afterAll(() => app.close());

  const register = (body: object = REGISTRATION) => app.http.post('/auth/register').send(body);
  const login = (body: object = { username: 'john_doe', password: 'securepassword123' }) =>
    app.http.post('/auth/login').send(body);
  async function john(): Promise<{ id: string; auth: { Authorization: string } }> {
    const { body } = await register().expect(201);
    const answer = await login().expect(200);
    return { id: body.data.id, auth: { Authorization: `Bearer ${answer.body.data.access_token}` } };
  }

  it('GET /health: "status": "ok"', async () => {
    await app.http.get('/health').expect(200, { status: 'ok' });
  });

  describe('"All responses are JSON with following structure"', () => {
    it('data, "status": "success", "code": 200, and nothing else', async () => {
      const { auth } = await john();
      const { body, headers } = await app.http.get('/users/me').set(auth).expect(200);
      expect(Object.keys(body).sort()).toEqual(['code', 'data', 'status']);
      expect(body).toEqual(success(expect.any(Object)));
      expect(headers['content-type']).toMatch(/^application\/json/);
    });

    it('detail, "status": "error" and the code', async () => {
      const { body, headers } = await login().expect(401);
      expect(body).toEqual(failure(401, 'Invalid username or password'));
      expect(body).not.toHaveProperty('data');
      expect(headers['content-type']).toMatch(/^application\/json/);
    });

    it('the data is what /api/v1 answers without the envelope', async () => {
      const { auth, id } = await john();
      for (const path of ['/users/me', `/users/${id}`, '/users', '/auth/sessions']) {
        const plain = await app.http.get(`/api/v1${path}`).set(auth).expect(200);
        const wrapped = await app.http.get(path).set(auth).expect(200);
        expect(wrapped.body).toEqual(success(plain.body));
        expect(plain.body).not.toHaveProperty('data');
      }
    });

    it('a 204 stays empty', async () => {
      const { auth } = await john();
      const { text } = await app.http.post('/auth/logout').set(auth).expect(204);
      expect(text).toBe('');
      await app.http.get('/users/me').set(auth).expect(401);
    });

    it('a trailing slash and a query change nothing', async () => {
      const { auth } = await john();
      const { body } = await app.http.get('/users/?skip=0&limit=10').set(auth).expect(200);
      expect(body).toEqual(success(expect.objectContaining({ total: 1 })));
    });
  });

  describe('"All requests (except login/register) require JWT token in header"', () => {
    const requests: ['get' | 'post' | 'put' | 'patch' | 'delete', string][] = [
      ['get', '/users'],
      ['get', '/users/me'],
      ['put', '/users/me'],
      ['patch', '/users/me'],
      ['delete', '/users/me'],
      ['get', `/users/${NOBODY}`],
      ['put', `/users/${NOBODY}`],
      ['patch', `/users/${NOBODY}`],
      ['delete', `/users/${NOBODY}`],
      ['post', '/users/change-password'],
      ['post', '/auth/change-password'],
      ['post', '/auth/logout'],
      ['post', '/auth/logout-all'],
      ['get', '/auth/sessions'],
      ['delete', `/auth/sessions/${NOBODY}`],
    ];

    it.each(requests)('%s %s: "401 | Missing or invalid token"', async (method, path) => {
      const missing = await app.http[method](path).expect(401);
      expect(missing.body).toEqual(failure(401, 'Not authenticated'));
      const invalid = await app.http[method](path).set('Authorization', 'Bearer <your_token>').expect(401);
      expect(invalid.body).toEqual(failure(401, 'Could not validate credentials'));
    });
  });

  describe('POST /auth/register', () => {
    it('answers id, username, email and full_name', async () => {
      const { body } = await register().expect(201);
      // S2's table has 200 only; section 9 decides: `code` is the HTTP status, and section 3 answers 201.
      expect(body).toEqual(success(expect.objectContaining(USER_FIELDS), 201));
    });

    it('accepts "securepassword123", which has no upper-case letter but 17 characters', async () => {
      await register().expect(201);
      // Section 11: classes below 16 characters.
      await register({ ...REGISTRATION, username: 'jane_doe', email: 'jane@example.com', password: 'secureword123' })
        .expect(422)
        .expect(({ body }) => expect(body).toEqual(failure(422)));
    });
  });

  describe('POST /auth/login', () => {
    it('answers access_token, token_type and expires_in', async () => {
      await register().expect(201);
      const { body } = await login().expect(200);
      expect(body).toEqual(
        success(
          expect.objectContaining({
            access_token: expect.any(String),
            token_type: 'bearer',
            expires_in: 900, // S2 shows 1800; section 11 decides 900
          }),
        ),
      );
    });

    it('"expires_in" is the real lifetime of the token', async () => {
      await register().expect(201);
      const { body } = await login().expect(200);
      const claims = JSON.parse(Buffer.from(body.data.access_token.split('.')[1], 'base64url').toString());
      expect(claims.exp - claims.iat).toBe(body.data.expires_in);
    });
  });

  describe('users', () => {
    it('GET /users/me answers the fields of the example', async () => {
      const { auth, id } = await john();
      const { body } = await app.http.get('/users/me').set(auth).expect(200);
      expect(body).toEqual(success(expect.objectContaining({ ...USER_FIELDS, id })));
    });

    it('GET /users/{id} answers the owner the fields of the example', async () => {
      const { auth, id } = await john();
      const { body } = await app.http.get(`/users/${id}`).set(auth).expect(200);
      expect(body).toEqual(success(expect.objectContaining({ ...USER_FIELDS, id })));
    });

    it('GET /users/{id} answers an admin the fields of the example, another user all but the email', async () => {
      const { id } = await john();
      const admin = await anAdmin(app);
      const other = await aSignedInUser(app);
      const seenByAdmin = await app.http.get(`/users/${id}`).set(admin.auth).expect(200);
      expect(seenByAdmin.body.data).toMatchObject(USER_FIELDS);
      // S2 shows the email to everybody; section 2's public view decides.
      const seenByOther = await app.http.get(`/users/${id}`).set(other.auth).expect(200);
      expect(seenByOther.body.data).toMatchObject({ id, username: 'john_doe', full_name: 'John Doe' });
      expect(seenByOther.body.data).not.toHaveProperty('email');
    });

    it('PUT /users/{id} changes full_name and email, and keeps the username', async () => {
      const { auth, id } = await john();
      const changes = { full_name: 'John Updated', email: 'newemail@example.com' };
      const { body } = await app.http.put(`/users/${id}`).set(auth).send(changes).expect(200);
      expect(body).toEqual(success(expect.objectContaining({ id, username: 'john_doe', ...changes })));
      const me = await app.http.get('/users/me').set(auth).expect(200);
      expect(me.body.data).toEqual(body.data);
    });

    it('PUT /users/{id} by an admin changes the user too', async () => {
      const { id } = await john();
      const admin = await anAdmin(app);
      const { body } = await app.http
        .put(`/users/${id}`)
        .set(admin.auth)
        .send({ full_name: 'John Updated', email: 'newemail@example.com' })
        .expect(200);
      expect(body.data).toMatchObject({ id, full_name: 'John Updated', email: 'newemail@example.com' });
    });

    it('DELETE /users/{id}: "User deleted successfully", and the user is gone', async () => {
      const { auth, id } = await john();
      const admin = await anAdmin(app);
      const { body } = await app.http.delete(`/users/${id}`).set(auth).expect(200);
      expect(body).toEqual(success({ message: 'User deleted successfully' }));
      await app.http.get('/users/me').set(auth).expect(401);
      await app.http.get(`/users/${id}`).set(admin.auth).expect(404);
      await login().expect(401);
    });

    it('DELETE /users/{id} by an admin deletes the user too', async () => {
      const { auth, id } = await john();
      const admin = await anAdmin(app);
      const { body } = await app.http.delete(`/users/${id}`).set(admin.auth).expect(200);
      expect(body).toEqual(success({ message: 'User deleted successfully' }));
      await app.http.get('/users/me').set(auth).expect(401);
    });
  });

  describe('the table of codes', () => {
    it('"400 | Bad Request": a body that cannot be parsed', async () => {
      const { body } = await app.http.post('/auth/login').type('json').send('{"username":').expect(400);
      expect(body).toEqual(failure(400));
    });

    it('"Invalid request data": fields of the wrong shape', async () => {
      // S2 answers 400; section 11 decides 422.
      const { body } = await register({ ...REGISTRATION, email: 'john' }).expect(422);
      expect(body).toEqual(failure(422, [expect.objectContaining({ loc: ['body', 'email'] })]));
      expect(body.field_errors).toEqual({ email: [expect.any(String)] });
    });

    it.each(['put', 'patch', 'delete'] as const)(
      '"403 | No permission for resource": %s of another user changes nothing',
      async (method) => {
        const { auth } = await john();
        const other = await aUser(app, { fullName: 'Jane Doe' });
        const { body } = await app.http[method](`/users/${other.id}`)
          .set(auth)
          .send(method === 'delete' ? undefined : { full_name: 'John Updated' })
          .expect(403);
        expect(body).toEqual(failure(403));
        const { rows } = await app.pool.query('SELECT full_name FROM users WHERE id = $1', [other.id]);
        expect(rows).toEqual([{ full_name: 'Jane Doe' }]);
      },
    );

    it('"404 | Resource not found": no such user', async () => {
      const admin = await anAdmin(app);
      for (const id of [NOBODY, '1']) {
        const { body } = await app.http.get(`/users/${id}`).set(admin.auth).expect(404);
        expect(body).toEqual(failure(404));
      }
      const put = await app.http.put(`/users/${NOBODY}`).set(admin.auth).send({ full_name: 'John' }).expect(404);
      expect(put.body).toEqual(failure(404));
      const del = await app.http.delete(`/users/${NOBODY}`).set(admin.auth).expect(404);
      expect(del.body).toEqual(failure(404));
    });

    it('"404 | Resource not found": no such path under /auth or /users', async () => {
      for (const path of ['/auth/nothing', '/users/me/nothing', '/authentication']) {
        const { body } = await app.http.get(path).expect(404);
        expect(body).toEqual(failure(404));
      }
    });

    it.each([
      ['email', { ...REGISTRATION, username: 'john_two', email: 'John@Example.com' }],
      ['username', { ...REGISTRATION, username: 'John_Doe', email: 'john2@example.com' }],
    ])('"409 | Resource already exists": the %s is taken', async (field, body) => {
      await register().expect(201);
      const answer = await register(body).expect(409);
      expect(answer.body).toEqual(failure(409));
      expect(answer.body.field_errors).toEqual({ [field]: [expect.any(String)] });
    });

    it('"409 | Resource already exists": PUT /users/{id} with the email of another', async () => {
      const { auth, id } = await john();
      await aUser(app, { email: 'newemail@example.com' });
      const { body } = await app.http
        .put(`/users/${id}`)
        .set(auth)
        .send({ full_name: 'John Updated', email: 'newemail@example.com' })
        .expect(409);
      expect(body).toEqual(failure(409));
      expect(body.field_errors).toEqual({ email: [expect.any(String)] });
      const me = await app.http.get('/users/me').set(auth).expect(200);
      expect(me.body.data).toMatchObject(USER_FIELDS);
    });

    it('"500 | Server error": no internals are shown', async () => {
      const { auth } = await john();
      await app.pool.query('ALTER TABLE users RENAME TO users_away');
      try {
        const { body } = await app.http.get('/users/me').set(auth).expect(500);
        expect(body).toEqual(failure(500));
        expect(JSON.stringify(body)).not.toMatch(/users|relation|select/i);
      } finally {
        await app.pool.query('ALTER TABLE users_away RENAME TO users');
      }
    });
  });

  describe('"List endpoints support pagination"', () => {
    let user: SignedIn;
    beforeEach(async () => {
      user = await aSignedInUser(app);
      await Promise.all(Array.from({ length: 11 }, () => aUser(app)));
    });
    const list = (query: string) => app.http.get(`/users${query}`).set(user.auth);

    it('GET /users?skip=0&limit=10 answers total, items, skip and limit', async () => {
      const { body } = await list('?skip=0&limit=10').expect(200);
      expect(body).toEqual(success(expect.objectContaining({ total: 12, skip: 0, limit: 10 })));
      expect(body.data.items).toHaveLength(10);
    });

    it('"skip: Number of items to skip"', async () => {
      const all = await list('?limit=100').expect(200);
      const rest = await list('?skip=5&limit=100').expect(200);
      expect(rest.body.data.skip).toBe(5);
      expect(rest.body.data.items).toEqual(all.body.data.items.slice(5));
    });

    it('"limit: Max items to return (default: 10)"', async () => {
      const { body } = await list('?skip=0').expect(200);
      expect(body.data).toMatchObject({ skip: 0, limit: 10 });
      expect(body.data.items).toHaveLength(10);
    });

    it('"limit: … max: 100": 100 is taken, 101 refused', async () => {
      const { body } = await list('?limit=100').expect(200);
      expect(body.data).toMatchObject({ limit: 100, total: 12 });
      await list('?limit=101').expect(422);
    });

    it.each(['?skip=-1', '?limit=0', '?skip=a', '?limit=1e9', '?skip=0&size=10'])(
      'GET /users%s is 422',
      async (query) => {
        const { body } = await list(query).expect(422);
        expect(body).toEqual(failure(422, expect.any(Array)));
      },
    );
  });
});

describe('S2, "Production deployments should implement rate limiting"', () => {
  let app: TestApp;
  beforeEach(async () => {
    app = await startTestApp({ RATE_LIMIT_ENABLED: 'true' });
  });
  afterEach(() => app.close());

  it('the root and /api/v1 share one bucket of credentials calls', async () => {
    // S2 has no limits; section 11 decides the union of section 1.
    const credentials = { username: 'john_doe', password: PASSWORD };
    for (const path of ['/auth/login', '/api/v1/auth/login', '/auth/login/', '/auth/register', '/users']) {
      const { headers } = await app.http.post(path).send(credentials);
      expect(headers['x-ratelimit-limit']).toBe('5');
    }
    const { body, headers } = await app.http.post('/auth/login').send(credentials).expect(429);
    expect(body).toEqual(failure(429, 'Too many login attempts. Please try again later.'));
    expect(Number(headers['retry-after'])).toBeGreaterThan(0);
  });
});
