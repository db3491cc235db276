import { createHmac } from 'node:crypto';
import { aSignedInUser, anAdmin, aUser, PASSWORD, type SignedIn } from '../support/builders.js';
import { startTestApp, type TestApp } from '../support/test-app.js';

const API = '/api/v1';
const NEW_USER = { username: 'newuser', email: 'newuser@example.com', password: 'securepassword123' };
const TIME = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/);
const USER_FIELDS = {
  id: expect.stringMatching(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/),
  username: 'newuser',
  email: 'newuser@example.com',
  role: 'user',
};
const NOBODY = '123e4567-e89b-12d3-a456-426614174000';
const JWT_SECRET = 'the secret of this file, so that it can sign tokens itself';

const bearer = (token: string) => ({ Authorization: `Bearer ${token}` });

describe('S4, the ReViewPoint document', () => {
  let app: TestApp;
  beforeAll(async () => {
    app = await startTestApp({ JWT_SECRET });
  });
  beforeEach(async () => {
    await app.pool.query('DELETE FROM users');
  });
  afterAll(() => app.close());

  const register = (body: object = NEW_USER) => app.http.post(`${API}/auth/register`).send(body);
  const login = (body: object = { username: 'newuser', password: 'securepassword123' }) =>
    app.http.post(`${API}/auth/login`).send(body);
  const refresh = (refresh_token: string) => app.http.post(`${API}/auth/refresh`).send({ refresh_token });
  const me = (accessToken: string) => app.http.get(`${API}/users/me`).set(bearer(accessToken));

  describe('"Authentication Flow"', () => {
    it('credentials give both tokens, the access token a protected resource, the refresh token a new access token', async () => {
      await register().expect(201);
      const { body: tokens } = await login().expect(200);
      await me(tokens.access_token).expect(200);
      const { body: renewed } = await refresh(tokens.refresh_token).expect(200);
      expect(renewed.access_token).not.toBe(tokens.access_token);
      await me(renewed.access_token).expect(200);
    });

    it('"Access tokens: Short-lived (15 minutes)": one that has expired is 401', async () => {
      const user = await aSignedInUser(app);
      const [header, payload] = user.accessToken.split('.');
      const claims = JSON.parse(Buffer.from(payload, 'base64url').toString());
      expect(claims.exp - claims.iat).toBe(900);
      const sign = (changed: object) => {
        const text = `${header}.${Buffer.from(JSON.stringify({ ...claims, ...changed })).toString('base64url')}`;
        return `${text}.${createHmac('sha256', JWT_SECRET).update(text).digest('base64url')}`;
      };
      await me(sign({ iat: claims.iat - 840, exp: claims.exp - 840 })).expect(200);
      const { body } = await me(sign({ iat: claims.iat - 960, exp: claims.exp - 960 })).expect(401);
      expect(body.detail).toBe('Could not validate credentials');
    });

    it('"Refresh tokens: Long-lived (7 days)": one is good just before, not after', async () => {
      const makeOlder = (interval: string) =>
        app.pool.query(
          `UPDATE sessions SET created_at = created_at - $1::interval, rotated_at = rotated_at - $1::interval,
             last_used_at = last_used_at - $1::interval, expires_at = expires_at - $1::interval,
             ends_at = ends_at - $1::interval`,
          [interval],
        );
      const young = await aSignedInUser(app);
      await makeOlder('6 days 23 hours 55 minutes');
      const { body: renewed } = await refresh(young.refreshToken).expect(200);
      await makeOlder('7 days 5 minutes');
      const { body } = await refresh(renewed.refresh_token).expect(401);
      expect(body.detail).toBe('Invalid refresh token');
    });

    it('a refresh token is no access token, and an access token no refresh token', async () => {
      const user = await aSignedInUser(app);
      await me(user.refreshToken).expect(401);
      await refresh(user.accessToken).expect(401);
    });

    it.each([
      ['no header', {}],
      ['a header without Bearer', { Authorization: 'Token abc' }],
      ['an empty token', { Authorization: 'Bearer ' }],
    ])(
      '"For all protected endpoints, include the access token in the Authorization header": %s is 401',
      async (_, set) => {
        const { body, headers } = await app.http.get(`${API}/users/me`).set(set).expect(401);
        expect(body).toMatchObject({ detail: expect.any(String), status: 'error', code: 401 });
        expect(headers['www-authenticate']).toBe('Bearer');
      },
    );
  });

  describe('POST /api/v1/auth/register: "Register a new user account"', () => {
    it('accepts the curl example, and answers 201 Created with the fields of the response', async () => {
      const { body } = await register().expect(201);
      expect(body).toMatchObject({ ...USER_FIELDS, created_at: TIME, updated_at: TIME });
    });

    it.each([
      ['3 characters', 'abc'],
      ['50 characters', 'a'.repeat(50)],
      ['letters, digits and underscore', 'New_User_7'],
    ])('"username: 3-50 characters, alphanumeric + underscore": %s are good', async (_what, username) => {
      const { body } = await register({ ...NEW_USER, username }).expect(201);
      expect(body.username).toBe(username);
    });

    it.each([
      ['2 characters', 'ab'],
      ['51 characters', 'a'.repeat(51)],
      ['a hyphen', 'new-user'],
      ['a space', 'new user'],
      ['an accent', 'nëwuser'],
      ['no character', ''],
    ])('"username: 3-50 characters, alphanumeric + underscore": %s is refused', async (_what, username) => {
      const { body } = await register({ ...NEW_USER, username }).expect(422);
      expect(Object.keys(body.field_errors)).toEqual(['username']);
    });

    it.each([
      ['no domain', 'newuser'],
      ['an empty domain', 'newuser@'],
      ['an empty local part', '@example.com'],
      ['a space', 'new user@example.com'],
      ['255 characters', `${'a'.repeat(60)}@${'b'.repeat(60)}.${'c'.repeat(60)}.${'d'.repeat(60)}.example.com`],
    ])('"Valid email format": %s is refused', async (_what, email) => {
      const { body } = await register({ ...NEW_USER, email }).expect(422);
      expect(Object.keys(body.field_errors)).toEqual(['email']);
    });

    it('"password: Minimum 8 characters": 7 are refused', async () => {
      const { body } = await register({ ...NEW_USER, password: 'Secur3!' }).expect(422);
      expect(body.detail).toBe('Password must be at least 8 characters long');
      expect(body.field_errors.password).toEqual(['Password must be at least 8 characters long']);
    });

    it('"Username already exists"', async () => {
      await register().expect(201);
      // S4's sample shows 400; section 11 decides 409.
      const { body } = await register({ ...NEW_USER, email: 'other@example.com' }).expect(409);
      expect(body).toMatchObject({
        detail: 'Username already exists',
        code: 409,
        field_errors: { username: ['Username already exists'] },
      });
    });

    it('"409 | Resource already exists": the email is taken', async () => {
      await register().expect(201);
      const { body } = await register({ ...NEW_USER, username: 'otheruser' }).expect(409);
      expect(body).toMatchObject({ code: 409, field_errors: { email: [expect.any(String)] } });
    });

    it('"422 Unprocessable Entity": the example, for an email that is missing', async () => {
      const { username, password } = NEW_USER;
      const { body } = await register({ username, password }).expect(422);
      expect(body.detail).toEqual([{ loc: ['body', 'email'], msg: 'field required', type: 'value_error.missing' }]);
      expect(body.field_errors).toEqual({ email: ['field required'] });
    });

    it('a field that the document does not name is refused', async () => {
      const { body } = await register({ ...NEW_USER, role: 'admin' }).expect(422);
      expect(body.detail).toMatchObject([{ loc: ['body', 'role'] }]);
      await login().expect(401);
    });
  });

  describe('POST /api/v1/auth/login: "Authenticate user and receive JWT tokens"', () => {
    it('accepts the curl example, and answers the fields of the response', async () => {
      await register().expect(201);
      const { body } = await login().expect(200);
      expect(body).toMatchObject({
        access_token: expect.any(String),
        refresh_token: expect.any(String),
        token_type: 'bearer',
        expires_in: 900,
        user: USER_FIELDS,
      });
    });

    it('"401 Unauthorized": "Invalid username or password"', async () => {
      await register().expect(201);
      const wrong = await login({ username: 'newuser', password: 'securepassword124' }).expect(401);
      const unknown = await login({ username: 'nouser', password: 'securepassword123' }).expect(401);
      expect(wrong.body.detail).toBe('Invalid username or password');
      expect(unknown.body.detail).toBe('Invalid username or password');
    });

    it('"Too many login attempts. Please try again later.": after 10 failures, even for the right password', async () => {
      await register().expect(201);
      const { body: open } = await login().expect(200);
      for (let n = 1; n <= 10; n++) await login({ username: 'newuser', password: `wrong ${n}` }).expect(401);
      const { body, headers } = await login().expect(429);
      expect(body).toMatchObject({ detail: 'Too many login attempts. Please try again later.', code: 429 });
      expect(Number(headers['retry-after'])).toBeGreaterThan(0);
      await me(open.access_token).expect(200);
      await refresh(open.refresh_token).expect(200);
    });
  });

  describe('POST /api/v1/auth/refresh: "Refresh access token using refresh token"', () => {
    it('answers 200 and a new pair', async () => {
      const user = await aSignedInUser(app);
      const { body } = await refresh(user.refreshToken).expect(200);
      expect(body).toEqual({
        access_token: expect.any(String),
        refresh_token: expect.any(String),
        token_type: 'bearer',
        expires_in: 900,
      });
    });

    it('"Error Responses": an altered token is 401', async () => {
      const { refreshToken } = await aSignedInUser(app);
      const altered = (refreshToken.startsWith('A') ? 'B' : 'A') + refreshToken.slice(1);
      const { body } = await refresh(altered).expect(401);
      expect(body).toMatchObject({ detail: 'Invalid refresh token', code: 401 });
      await refresh(refreshToken).expect(200);
    });
  });

  describe('POST /api/v1/auth/logout: "Logout user and invalidate tokens"', () => {
    it('answers 204 No Content, and both tokens are invalid', async () => {
      const user = await aSignedInUser(app);
      const { text } = await app.http.post(`${API}/auth/logout`).set(user.auth).expect(204);
      expect(text).toBe('');
      await me(user.accessToken).expect(401);
      await refresh(user.refreshToken).expect(401);
    });

    it('"Error Responses": a second logout is 401', async () => {
      const user = await aSignedInUser(app);
      await app.http.post(`${API}/auth/logout`).set(user.auth).expect(204);
      const { body } = await app.http.post(`${API}/auth/logout`).set(user.auth).expect(401);
      expect(body.detail).toBe('Could not validate credentials');
    });
  });

  describe('"User Management Endpoints"', () => {
    it('GET /api/v1/users/me: the fields of the response, with stats', async () => {
      const user = await aSignedInUser(app, { username: 'newuser', email: 'newuser@example.com' });
      const { body } = await me(user.accessToken).expect(200);
      expect(body).toMatchObject({
        ...USER_FIELDS,
        id: user.id,
        created_at: TIME,
        updated_at: TIME,
        stats: { total_uploads: 0, total_storage_used: 0 },
      });
    });

    it('GET /api/v1/users/me: "role" is admin for an admin', async () => {
      const { body } = await me((await anAdmin(app)).accessToken).expect(200);
      expect(body.role).toBe('admin');
    });

    it('PUT /api/v1/users/me: "Update current user profile", and updated_at moves', async () => {
      const user = await aSignedInUser(app);
      const { body: before } = await me(user.accessToken).expect(200);
      const changes = { username: 'newuser', email: 'newuser@example.com' };
      const { body } = await app.http.put(`${API}/users/me`).set(user.auth).send(changes).expect(200);
      expect(body).toMatchObject({ ...USER_FIELDS, id: user.id, created_at: before.created_at });
      expect(Date.parse(body.updated_at)).toBeGreaterThan(Date.parse(before.updated_at));
      await login({ username: 'newuser', password: PASSWORD }).expect(200);
    });

    it('PUT /api/v1/users/me does not change the role', async () => {
      const user = await aSignedInUser(app);
      await app.http.put(`${API}/users/me`).set(user.auth).send({ role: 'admin' }).expect(422);
      expect((await me(user.accessToken)).body.role).toBe('user');
    });

    describe('POST /api/v1/users/change-password: "Change user password"', () => {
      const change = (user: SignedIn, body: object) =>
        app.http.post(`${API}/users/change-password`).set(user.auth).send(body);

      it('answers 200, and the new password is the one that counts', async () => {
        const user = await aSignedInUser(app);
        const body = { current_password: PASSWORD, new_password: 'securepassword123' };
        await change(user, body).expect(200, { message: 'Password changed successfully' });
        await login({ username: user.username, password: 'securepassword123' }).expect(200);
        await login({ username: user.username, password: PASSWORD }).expect(401);
      });

      it('"400 Bad Request": "Current password is incorrect"', async () => {
        const user = await aSignedInUser(app);
        const { body } = await change(user, {
          current_password: 'wrong',
          new_password: 'securepassword123',
        }).expect(400);
        expect(body).toMatchObject({ detail: 'Current password is incorrect', code: 400 });
        await login({ username: user.username, password: PASSWORD }).expect(200);
      });

      it('"422 Unprocessable Entity": "Password must be at least 8 characters long"', async () => {
        const user = await aSignedInUser(app);
        const { body } = await change(user, { current_password: PASSWORD, new_password: 'Secur3!' }).expect(422);
        expect(body).toMatchObject({
          detail: 'Password must be at least 8 characters long',
          code: 422,
          field_errors: { new_password: ['Password must be at least 8 characters long'] },
        });
        await login({ username: user.username, password: PASSWORD }).expect(200);
      });

      it('"Headers: Authorization": without it 401', async () => {
        const body = { current_password: PASSWORD, new_password: 'securepassword123' };
        await app.http.post(`${API}/users/change-password`).send(body).expect(401);
      });
    });
  });

  describe('"HTTP Status Codes" and "Standard Error Format"', () => {
    const isError = (body: unknown, code: number) =>
      expect(body).toMatchObject({
        detail: expect.any(String),
        status: 'error',
        code,
        error_code: expect.stringMatching(/^[a-z]+(_[a-z]+)*$/),
        request_id: expect.any(String),
      });

    it('"204 | Successful DELETE requests": DELETE /users/me with the password', async () => {
      const user = await aSignedInUser(app);
      const remove = (password: string) => app.http.delete(`${API}/users/me`).set(user.auth).send({ password });
      isError((await remove('wrong').expect(400)).body, 400);
      await me(user.accessToken).expect(200);
      await remove(PASSWORD).expect(204);
      await me(user.accessToken).expect(401);
      await login({ username: user.username, password: PASSWORD }).expect(401);
    });

    it('"204 | Successful DELETE requests": DELETE /users/{id} has a message instead', async () => {
      const user = await aSignedInUser(app);
      // S2 shows the message; section 4 decides 200.
      await app.http
        .delete(`${API}/users/${user.id}`)
        .set(user.auth)
        .expect(200, { message: 'User deleted successfully' });
    });

    it('"400 | Invalid request data": a body that is not JSON', async () => {
      isError((await app.http.post(`${API}/auth/login`).type('json').send('username=x').expect(400)).body, 400);
    });

    it('"401 | Missing or invalid authentication"', async () => {
      isError((await app.http.get(`${API}/users/me`).expect(401)).body, 401);
      isError((await me('invalid').expect(401)).body, 401);
    });

    it('"403 | Valid auth, insufficient permissions"', async () => {
      const user = await aSignedInUser(app);
      const other = await aUser(app);
      const change = app.http.put(`${API}/users/${other.id}`).set(user.auth).send({ username: 'newuser' });
      isError((await change.expect(403)).body, 403);
    });

    it('"403 | Valid auth, insufficient permissions": the right password of a disabled account', async () => {
      const user = await aUser(app, { isActive: false });
      isError((await login({ username: user.username, password: PASSWORD }).expect(403)).body, 403);
      await login({ username: user.username, password: 'wrong' }).expect(401);
    });

    it('"404 | Resource doesn\'t exist"', async () => {
      const user = await aSignedInUser(app);
      isError((await app.http.get(`${API}/users/${NOBODY}`).set(user.auth).expect(404)).body, 404);
      isError((await app.http.get(`${API}/nothing`).expect(404)).body, 404);
    });

    it('"409 | Resource already exists": with "field_errors"', async () => {
      const user = await aSignedInUser(app);
      await aUser(app, { username: 'newuser' });
      const { body } = await app.http.put(`${API}/users/me`).set(user.auth).send({ username: 'NewUser' }).expect(409);
      isError(body, 409);
      expect(body.field_errors).toEqual({ username: ['Username already exists'] });
    });

    it('"409": the last admin cannot go', async () => {
      const admin = await anAdmin(app);
      isError((await app.http.delete(`${API}/users/${admin.id}`).set(admin.auth).expect(409)).body, 409);
      await me(admin.accessToken).expect(200);
    });

    it('"413 | Payload Too Large": JSON over 1 MiB, credentials over 16 KiB', async () => {
      const user = await aSignedInUser(app);
      const bio = 'x'.repeat(1024 * 1024);
      isError((await app.http.put(`${API}/users/me`).set(user.auth).send({ bio }).expect(413)).body, 413);
      isError((await login({ username: 'newuser', password: 'x'.repeat(16 * 1024) }).expect(413)).body, 413);
    });

    it('"415 | Unsupported Media Type": a body that is neither JSON nor a form', async () => {
      const { body } = await app.http.post(`${API}/auth/login`).type('text/plain').send('newuser').expect(415);
      isError(body, 415);
    });

    it('"422 | Validation errors": "field_errors" has "field_name": ["error message"] for each', async () => {
      const { body } = await register({ username: 'a', email: 'b', password: 7 }).expect(422);
      expect(body).toMatchObject({ status: 'error', code: 422, error_code: 'validation_error' });
      for (const field of ['username', 'email', 'password']) {
        const messages = body.detail.filter(({ loc }: { loc: string[] }) => loc.join() === `body,${field}`);
        expect(messages.length).toBeGreaterThan(0);
        expect(body.field_errors[field]).toEqual(messages.map(({ msg }: { msg: string }) => msg));
      }
    });

    it('"500 | Server-side errors": in the same format', async () => {
      const user = await aSignedInUser(app);
      await app.pool.query('ALTER TABLE users RENAME TO users_away');
      try {
        isError((await me(user.accessToken).expect(500)).body, 500);
      } finally {
        await app.pool.query('ALTER TABLE users_away RENAME TO users');
      }
    });

    it('405 for a method that the path does not take, with Allow', async () => {
      const { body, headers } = await app.http.delete(`${API}/auth/login`).expect(405);
      isError(body, 405);
      expect(headers.allow).toBe('POST');
    });
  });

  describe('"All list endpoints support pagination with consistent parameters"', () => {
    let user: SignedIn;
    beforeEach(async () => {
      user = await aSignedInUser(app);
    });
    const addUsers = (count: number) => Promise.all(Array.from({ length: count }, () => aUser(app)));
    const list = (query: string) => app.http.get(`${API}/users${query}`).set(user.auth);

    it('"page (default: 1), size (default: 20)": items, total, page, size and pages', async () => {
      await addUsers(24);
      const { body } = await list('').expect(200);
      expect(body).toMatchObject({ total: 25, page: 1, size: 20, pages: 2 });
      expect(body.items).toHaveLength(20);
    });

    it('"page: Page number (1-based)": the pages make up the list', async () => {
      await addUsers(24);
      const pages = [];
      for (const page of [1, 2, 3]) pages.push((await list(`?page=${page}&size=10`).expect(200)).body);
      expect(pages).toMatchObject([1, 2, 3].map((page) => ({ total: 25, page, size: 10, pages: 3 })));
      expect(pages.map(({ items }) => items.length)).toEqual([10, 10, 5]);
      expect(new Set(pages.flatMap(({ items }) => items.map(({ id }: { id: string }) => id))).size).toBe(25);
    });

    it('past the end is an empty page', async () => {
      await addUsers(24);
      const { body } = await list('?page=4&size=10').expect(200);
      expect(body).toMatchObject({ items: [], total: 25, page: 4, size: 10, pages: 3 });
    });

    it('"size: max 100"', async () => {
      await addUsers(24);
      const { body } = await list('?size=100').expect(200);
      expect(body).toMatchObject({ total: 25, page: 1, size: 100, pages: 1 });
      await list('?size=101').expect(422);
    });

    it.each(['?page=0', '?page=-1', '?size=0', '?page=x', '?page=1&skip=0', '?size=10&limit=10', '?offset=3'])(
      'GET /users%s is 422',
      async (query) => {
        const { body } = await list(query).expect(422);
        expect(body.detail).toEqual(expect.any(Array));
      },
    );

    it('the list of sessions has the same parameters and the same body', async () => {
      const { body } = await app.http.get(`${API}/auth/sessions?page=1&size=10`).set(user.auth).expect(200);
      expect(body).toMatchObject({ total: 1, page: 1, size: 10, pages: 1, items: [{ is_current: true }] });
    });
  });

  describe('"Testing the API"', () => {
    it('curl and HTTPie: "Login and get token", then "Get user profile"', async () => {
      const user = await aUser(app, { username: 'testuser' });
      const { body } = await app.http
        .post(`${API}/auth/login`)
        .set('Accept', 'application/json, */*;q=0.5')
        // S4's testpass is a password that section 2 lets nobody have.
        .send({ username: 'testuser', password: PASSWORD })
        .expect(200);
      const profile = await me(body.access_token).expect(200);
      expect(profile.body).toMatchObject({ id: user.id, username: 'testuser' });
    });

    it('the literal {"username": "testuser", "password": "testpass"} is a wrong password, not a wrong shape', async () => {
      await aUser(app, { username: 'testuser' });
      const { body } = await login({ username: 'testuser', password: 'testpass' }).expect(401);
      expect(body.detail).toBe('Invalid username or password');
    });
  });
});

describe('S4, "Rate Limiting"', () => {
  let app: TestApp;
  beforeEach(async () => {
    app = await startTestApp({ RATE_LIMIT_ENABLED: 'true', TRUST_PROXY: '1' });
  });
  afterEach(() => app.close());

  const CREDENTIALS = { username: 'testuser', password: 'testpass' };
  const post = (path: string, address: string) =>
    app.http.post(`${API}${path}`).set('X-Forwarded-For', address).send(CREDENTIALS);
  const me = (user: SignedIn) => app.http.get(`${API}/users/me`).set(user.auth);

  it('"Authentication endpoints: 5 requests per minute per IP": the 6th is 429, whatever the route', async () => {
    for (const path of ['/auth/login', '/auth/register', '/users', '/auth/login', '/auth/register']) {
      expect((await post(path, '203.0.113.7')).status).not.toBe(429);
    }
    for (const path of ['/auth/login', '/auth/register', '/users']) await post(path, '203.0.113.7').expect(429);
    await post('/auth/login', '203.0.113.8').expect(401);
  });

  it('"429 Too Many Requests": "Too many login attempts. Please try again later."', async () => {
    for (let n = 1; n <= 5; n++) await post('/auth/login', '203.0.113.7').expect(401);
    const { body } = await post('/auth/login', '203.0.113.7').expect(429);
    expect(body).toMatchObject({
      detail: 'Too many login attempts. Please try again later.',
      status: 'error',
      code: 429,
      error_code: expect.any(String),
    });
  });

  it('"Authentication endpoints": a refresh is none of the 5', async () => {
    // S4 does not say; section 1 puts /auth/refresh into the anonymous group.
    for (let n = 1; n <= 6; n++) {
      const { headers } = await app.http.post(`${API}/auth/refresh`).send({ refresh_token: 'x' }).expect(401);
      expect(headers['x-ratelimit-limit']).toBe('100');
    }
  });

  it('"General API: 100 requests per minute per user": the 101st is 429, another user goes on', async () => {
    const user = await aSignedInUser(app);
    const other = await aSignedInUser(app);
    for (let n = 1; n <= 100; n++) await me(user).expect(200);
    const { body } = await me(user).expect(429);
    expect(body).toMatchObject({ detail: expect.any(String), status: 'error', code: 429 });
    await me(other).expect(200);
  });

  it('"X-RateLimit-Limit: 100, X-RateLimit-Remaining: 95" after 5 requests, and Reset in Unix seconds', async () => {
    const user = await aSignedInUser(app);
    const begin = Math.floor(Date.now() / 1000);
    for (let n = 1; n <= 4; n++) await me(user).expect(200);
    const { headers } = await me(user).expect(200);
    expect(headers).toMatchObject({ 'x-ratelimit-limit': '100', 'x-ratelimit-remaining': '95' });
    expect(Number(headers['x-ratelimit-reset'])).toBeGreaterThanOrEqual(begin + 60);
    expect(Number(headers['x-ratelimit-reset'])).toBeLessThanOrEqual(Math.ceil(Date.now() / 1000) + 60);
    expect(headers).not.toHaveProperty('x-ratelimit-retry-after');
    expect(headers).not.toHaveProperty('retry-after');
  });

  it('"X-RateLimit-Retry-After": on a 429 the seconds until the window ends, as Retry-After', async () => {
    for (let n = 1; n <= 5; n++) await post('/auth/login', '203.0.113.7');
    const { headers } = await post('/auth/login', '203.0.113.7').expect(429);
    expect(headers).toMatchObject({ 'x-ratelimit-limit': '5', 'x-ratelimit-remaining': '0' });
    expect(Number(headers['x-ratelimit-retry-after'])).toBeGreaterThan(0);
    expect(Number(headers['x-ratelimit-retry-after'])).toBeLessThanOrEqual(60);
    expect(headers['retry-after']).toBe(headers['x-ratelimit-retry-after']);
  });

  it('"All responses include rate limiting headers", whatever their status', async () => {
    const user = await aSignedInUser(app);
    const { http } = app;
    const answers = [
      await http.post(`${API}/auth/register`).set('X-Forwarded-For', '203.0.113.9').send(NEW_USER).expect(201),
      await me(user).expect(200),
      await http.get(`${API}/users?size=0`).set(user.auth).expect(422),
      await http.get(`${API}/users/${NOBODY}`).set(user.auth).expect(404),
      await http.get(`${API}/users/me`).expect(401),
      await http.get(`${API}/nothing`).expect(404),
      await http.delete(`${API}/auth/login`).expect(405),
      await http.put(`${API}/users/me`).set(user.auth).type('json').send('{').expect(400),
      await http.put(`${API}/users/me`).set(user.auth).type('text/plain').send('x').expect(415),
      await http
        .put(`${API}/users/me`)
        .set(user.auth)
        .send({ bio: 'x'.repeat(1024 * 1024) })
        .expect(413),
      await http.post(`${API}/auth/logout`).set(user.auth).expect(204),
    ];
    for (const { headers, status } of answers) {
      expect({ status, headers }).toMatchObject({
        headers: {
          'x-ratelimit-limit': expect.stringMatching(/^\d+$/),
          'x-ratelimit-remaining': expect.stringMatching(/^\d+$/),
          'x-ratelimit-reset': expect.stringMatching(/^\d{10}$/),
        },
      });
    }
  });

  it('"All responses include rate limiting headers": health is not limited and has none', async () => {
    // Section 1: health, docs and metrics are not limited and carry none.
    for (const path of ['/health', `${API}/health`]) {
      const { headers } = await app.http.get(path).expect(200);
      expect(Object.keys(headers).filter((name) => name.startsWith('x-ratelimit'))).toEqual([]);
    }
  });
});
