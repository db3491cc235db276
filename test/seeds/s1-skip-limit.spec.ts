import { aSignedInUser, aUser, type SignedIn } from '../support/builders.js';
import { startTestApp, type TestApp } from '../support/test-app.js';

const API = '/api/v1';
const USER = { email: 'user@example.com', username: 'username', password: 'StrongPass123!' };
const USER_FIELDS = {
  id: expect.stringMatching(/^[0-9a-f-]{36}$/), // S1 shows 1; section 11 decides UUID
  email: 'user@example.com',
  username: 'username',
  is_active: true,
  is_superuser: false,
  created_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/), // S1 shows no zone; section 1 decides Z
  updated_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
};
const TOKENS = { access_token: expect.any(String), refresh_token: expect.any(String), token_type: 'bearer' };
const NOBODY = '0197f0a0-7b1c-7e7e-8a00-3d2f1c0b9a88';

describe('S1, the skip/limit document', () => {
  let app: TestApp;
  beforeAll(async () => {
    app = await startTestApp();
  });
  beforeEach(async () => {
    await app.pool.query('DELETE FROM users');
  });
  afterAll(() => app.close());

  const createUser = () => app.http.post(`${API}/users`).send(USER);
  const login = (body: object) => app.http.post(`${API}/auth/login`).send(body);
  const bearer = (token: string) => ({ Authorization: `Bearer ${token}` });

  it('GET /health: "status": "healthy", "database": "healthy"', async () => {
    const { body } = await app.http.get(`${API}/health`).expect(200);
    expect(body).toMatchObject({ status: 'healthy', database: 'healthy' });
  });

  describe('POST /auth/login: "Authenticate user and receive tokens"', () => {
    it('answers access_token, refresh_token and token_type', async () => {
      await createUser().expect(201);
      const { body } = await login({ email: 'user@example.com', password: 'StrongPass123!' }).expect(200);
      expect(body).toMatchObject(TOKENS);
    });

    it('refuses the example body as a wrong password, not for its shape', async () => {
      // S1's password123 has no upper-case letter, so section 2 lets nobody have it.
      await createUser().expect(201);
      const { body } = await login({ email: 'user@example.com', password: 'password123' }).expect(401);
      expect(body.detail).toBe('Invalid username or password');
    });

    it('"Most endpoints require authentication using JWT tokens": the access token is a signed JWT', async () => {
      await createUser().expect(201);
      const { body } = await login({ email: 'user@example.com', password: 'StrongPass123!' }).expect(200);
      const [header, claims, signature] = body.access_token.split('.');
      expect(JSON.parse(Buffer.from(header, 'base64url').toString())).toMatchObject({ alg: 'HS256', typ: 'JWT' });
      expect(JSON.parse(Buffer.from(claims, 'base64url').toString())).toMatchObject({ sub: body.user.id });
      await app.http.get(`${API}/users/me`).set(bearer(body.access_token)).expect(200);
      const forged = `${header}.${claims}.${signature.startsWith('A') ? 'B' : 'A'}${signature.slice(1)}`;
      await app.http.get(`${API}/users/me`).set(bearer(forged)).expect(401);
      await app.http.get(`${API}/users/me`).expect(401);
    });
  });

  it('POST /auth/refresh: "Refresh access token", and the answer is a pair that works', async () => {
    const user = await aSignedInUser(app);
    const { body } = await app.http.post(`${API}/auth/refresh`).send({ refresh_token: user.refreshToken }).expect(200);
    expect(body).toMatchObject(TOKENS);
    expect(body.refresh_token).not.toBe(user.refreshToken);
    await app.http.get(`${API}/users/me`).set(bearer(body.access_token)).expect(200);
    await app.http.post(`${API}/auth/refresh`).send({ refresh_token: body.refresh_token }).expect(200);
  });

  describe('POST /users: "Create new user"', () => {
    it('answers 201 Created and the user, without a token being asked for', async () => {
      const { body } = await createUser().expect(201);
      expect(body).toMatchObject(USER_FIELDS);
    });
  });

  describe('GET /users/{user_id}: "Get user by ID. Requires authentication."', () => {
    it('answers the user with the fields of the example', async () => {
      const { body: created } = await createUser().expect(201);
      const { body } = await login({ email: USER.email, password: USER.password }).expect(200);
      const { body: user } = await app.http
        .get(`${API}/users/${created.id}`)
        .set(bearer(body.access_token))
        .expect(200);
      expect(user).toMatchObject({ ...USER_FIELDS, id: created.id });
    });

    it('is 401 without a token', async () => {
      const { body: created } = await createUser().expect(201);
      await app.http.get(`${API}/users/${created.id}`).expect(401);
    });
  });

  describe('"Error Responses"', () => {
    it('"400 Bad Request": a body that cannot be parsed', async () => {
      const { body } = await app.http.post(`${API}/users`).type('json').send('{"email"').expect(400);
      expect(body).toMatchObject({ detail: expect.any(String), status: 'error', code: 400 });
    });

    it('"Validation error message": a wrong field', async () => {
      // S1 answers 400 and a sentence; section 11 decides 422, section 1 the list.
      const { body } = await app.http
        .post(`${API}/users`)
        .send({ ...USER, email: 'user' })
        .expect(422);
      expect(body.detail).toEqual([
        { loc: ['body', 'email'], msg: expect.any(String), type: expect.stringMatching(/^value_error/) },
      ]);
      expect(body.field_errors).toEqual({ email: [body.detail[0].msg] });
    });

    it('"401 Unauthorized": a token that is not valid', async () => {
      const { body } = await app.http.get(`${API}/users/me`).set(bearer('eyJ0eXAiOiJKV1QiLCJhbGc...')).expect(401);
      // S1 says "Invalid authentication credentials"; section 1 decides the sentence.
      expect(body.detail).toBe('Could not validate credentials');
    });

    it.each([
      ['an id that nobody has', NOBODY],
      ["S1's own id", '1'], // Section 1: a malformed id is 404.
    ])('"404 Not Found": %s', async (_what, id) => {
      const user = await aSignedInUser(app);
      const { body } = await app.http.get(`${API}/users/${id}`).set(user.auth).expect(404);
      expect(body).toMatchObject({ detail: expect.any(String), status: 'error', code: 404 });
    });

    it('"404 Not Found": a resource that does not exist, signed in or not', async () => {
      const user = await aSignedInUser(app);
      await app.http.get(`${API}/nothing`).expect(404);
      await app.http.get(`${API}/nothing`).set(user.auth).expect(404);
    });

    it('"500 Internal Server Error": "Internal server error", and nothing of what is inside', async () => {
      const user = await aSignedInUser(app);
      await app.pool.query('ALTER TABLE users RENAME TO users_away');
      try {
        const { body } = await app.http.get(`${API}/users/me`).set(user.auth).expect(500);
        expect(body).toEqual({
          detail: 'Internal server error',
          status: 'error',
          code: 500,
          error_code: expect.any(String),
          request_id: expect.any(String),
        });
        const line = app.log.find((text) => text.includes(body.request_id) && text.includes('stack'));
        expect(line).toContain('users');
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
    const list = (query: string) => app.http.get(`${API}/users${query}`).set(user.auth);

    it('GET /users?skip=0&limit=10 answers items, total, skip and limit', async () => {
      const { body } = await list('?skip=0&limit=10').expect(200);
      expect(body).toMatchObject({ total: 12, skip: 0, limit: 10 });
      expect(body.items).toHaveLength(10);
    });

    it('skip and limit walk through the whole list, each item once', async () => {
      const first = await list('?skip=0&limit=10').expect(200);
      const second = await list('?skip=10&limit=10').expect(200);
      expect(second.body).toMatchObject({ total: 12, skip: 10, limit: 10 });
      const ids = [...first.body.items, ...second.body.items].map(({ id }) => id);
      expect(ids).toHaveLength(12);
      expect(new Set(ids).size).toBe(12);
    });

    it('past the end is an empty page', async () => {
      const { body } = await list('?skip=100&limit=10').expect(200);
      expect(body).toMatchObject({ items: [], total: 12, skip: 100, limit: 10 });
    });

    it('the list of sessions is paged in the same way', async () => {
      const { body } = await app.http.get(`${API}/auth/sessions?skip=0&limit=10`).set(user.auth).expect(200);
      expect(body).toMatchObject({ total: 1, skip: 0, limit: 10, items: [{ is_current: true }] });
    });
  });
});

// Nest's logger belongs to the process: an app that a test starts later takes over the log, so such tests come last.
describe('S1, "Create new user" while REGISTRATION_OPEN=false', () => {
  it('is refused to a guest', async () => {
    const app = await startTestApp({ REGISTRATION_OPEN: 'false' });
    try {
      const { body } = await app.http.post(`${API}/users`).send(USER).expect(403);
      expect(body).toMatchObject({ status: 'error', code: 403 });
    } finally {
      await app.close();
    }
  });
});

describe('S1, "Rate Limiting"', () => {
  let app: TestApp;
  const call = (user: SignedIn | null) => app.http.get(`${API}/users/me`).set(user ? user.auth : {});
  async function calls(count: number, user: SignedIn | null): Promise<Set<number>> {
    const seen = new Set<number>();
    for (let done = 0; done < count; done += 25) {
      const answers = await Promise.all(Array.from({ length: Math.min(25, count - done) }, () => call(user)));
      for (const { status } of answers) seen.add(status);
    }
    return seen;
  }
  afterEach(() => app.close());

  it('"100 requests per minute per IP": the 101st of a guest is 429, another address goes on', async () => {
    app = await startTestApp({ RATE_LIMIT_ENABLED: 'true', TRUST_PROXY: '1' });
    const from = (address: string) => call(null).set('X-Forwarded-For', address);
    for (let n = 1; n <= 100; n++) await from('203.0.113.7').expect(401);
    const { body, headers } = await from('203.0.113.7').expect(429);
    expect(body).toMatchObject({ detail: expect.any(String), status: 'error', code: 429 });
    expect(Number(headers['retry-after'])).toBeGreaterThan(0);
    await from('203.0.113.8').expect(401);
  });

  it('"100 requests per minute per IP": a signed-in user is not counted by address', async () => {
    app = await startTestApp({ RATE_LIMIT_ENABLED: 'true' });
    const user = await aSignedInUser(app);
    expect(await calls(100, null)).toEqual(new Set([401]));
    await call(null).expect(429);
    await call(user).expect(200);
  });

  it('"1000 requests per hour per user": the 1001st is 429, another user goes on', async () => {
    // Section 1's 100 a minute would come first, so it is set out of the way.
    app = await startTestApp({ RATE_LIMIT_ENABLED: 'true', RATE_LIMIT_USER: '5000/60' });
    const user = await aSignedInUser(app);
    const other = await aSignedInUser(app);
    expect(await calls(1000, user)).toEqual(new Set([200]));
    const { headers } = await call(user).expect(429);
    expect(headers['x-ratelimit-limit']).toBe('1000');
    expect(Number(headers['retry-after'])).toBeGreaterThan(3500);
    await call(other).expect(200);
  });

  it('the health check is not limited', async () => {
    app = await startTestApp({ RATE_LIMIT_ENABLED: 'true' });
    for (let n = 1; n <= 101; n++) await app.http.get(`${API}/health`).expect(200);
  });
});
