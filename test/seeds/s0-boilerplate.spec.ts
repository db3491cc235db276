import { aSignedInUser, anAdmin, aUser, signIn } from '../support/builders.js';
import { startTestApp, type TestApp } from '../support/test-app.js';

const REGISTRATION = { email: 'user@example.com', password: 'Test@12345', full_name: 'string', is_superuser: false };
const USER_FIELDS = {
  id: expect.stringMatching(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-/), // S0 shows 1; section 11 decides UUID
  email: 'user@example.com',
  full_name: 'string',
  is_active: true,
  is_superuser: false,
  created_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z$/), // S0 shows no zone; section 1 decides Z
  updated_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z$/),
};
const NOBODY = '0197f0a0-7b1c-7e7e-8a00-3d2f1c0b9a88';

describe('S0, the boilerplate document', () => {
  let app: TestApp;
  beforeAll(async () => {
    app = await startTestApp();
  });
  beforeEach(async () => {
    await app.pool.query('DELETE FROM users');
  });
  afterAll(() => app.close());

  const register = (body: object) => app.http.post('/api/v1/auth/register').send(body);
  const loginByForm = (fields: object) => app.http.post('/api/v1/auth/login').type('form').send(fields);

  describe('"Register a new user"', () => {
    it('answers the example request with the fields of the example response', async () => {
      const { body } = await register(REGISTRATION).expect(201);
      expect(body).toMatchObject(USER_FIELDS);
      expect(JSON.stringify(body)).not.toMatch(/password|Test@12345/);
    });

    it('"is_superuser": true does not make a guest a superuser', async () => {
      const { body } = await register({ ...REGISTRATION, is_superuser: true }).expect(403);
      expect(body).toMatchObject({ detail: expect.any(String), status: 'error', code: 403 });
      const { rows } = await app.pool.query('SELECT count(*)::int AS users FROM users');
      expect(rows).toEqual([{ users: 0 }]);
    });

    it('"is_superuser": true from an admin makes a superuser', async () => {
      const admin = await anAdmin(app);
      const { body } = await register({ ...REGISTRATION, is_superuser: true })
        .set(admin.auth)
        .expect(201);
      expect(body).toMatchObject({ email: 'user@example.com', is_superuser: true, role: 'admin' });
    });

    it('"After registration, use the /api/v1/auth/login endpoint to get an authorization token": it answers none itself', async () => {
      const { body } = await register(REGISTRATION).expect(201);
      expect(body).not.toHaveProperty('access_token');
      const login = await loginByForm({ username: 'user@example.com', password: 'Test@12345' }).expect(200);
      expect(login.body.user.id).toBe(body.id);
    });
  });

  describe('"Password requirements"', () => {
    const withPassword = (password: string) => register({ ...REGISTRATION, password });

    it.each([
      ['"Minimum 8 characters"', 'Test@12', 'Password must be at least 8 characters long'],
      ['"Maximum 512 characters"', `Aa1${'x'.repeat(510)}`, 'Password must be at most 512 characters long'],
      // Section 11: the classes are asked for below 16 characters.
      ['"At least one uppercase letter"', 'test@12345', /upper-case/],
      ['"At least one lowercase letter"', 'TEST@12345', /lower-case/],
      ['"At least one digit"', 'Test@abcde', /digit/],
    ])('%s: another is refused, and the field is named', async (_rule, password, sentence) => {
      const { body } = await withPassword(password).expect(422);
      expect(body.detail).toMatch(sentence);
      expect(body.field_errors).toEqual({ password: [expect.stringMatching(sentence)] });
    });

    it('every broken rule is listed', async () => {
      const { body } = await withPassword('@@@@').expect(422);
      expect(body.detail).toBe('Password must be at least 8 characters long');
      expect(body.field_errors.password).toHaveLength(4);
    });

    it('"Minimum 8 characters": 8 are enough', async () => {
      await withPassword('Test@123').expect(201);
    });

    it('"Maximum 512 characters (bcrypt limitation handled automatically)": all 512 count', async () => {
      const password = `Aa1${'x'.repeat(509)}`;
      await withPassword(password).expect(201);
      const login = (attempt: string) => loginByForm({ username: 'user@example.com', password: attempt });
      await login(password).expect(200);
      await login(`${password.slice(0, 511)}y`).expect(401);
      await login(`${password.slice(0, 72)}y${password.slice(73)}`).expect(401);
      await login(password.slice(0, 72)).expect(401);
    });
  });

  describe('"Login", "Request body (form data)"', () => {
    beforeEach(() => register(REGISTRATION).expect(201));

    it('answers the token and, "for immediate use", "complete user information"', async () => {
      const { body } = await loginByForm({ username: 'user@example.com', password: 'Test@12345' }).expect(200);
      expect(body).toMatchObject({ access_token: expect.any(String), token_type: 'bearer', user: USER_FIELDS });
    });

    it("accepts the form's own OAuth2 fields", async () => {
      await loginByForm({
        grant_type: 'password',
        username: 'user@example.com',
        password: 'Test@12345',
        scope: '',
        client_id: 'string',
        client_secret: 'string',
      }).expect(200);
    });

    it("accepts the form with an OAuth2 client's Basic header", async () => {
      await loginByForm({ grant_type: 'password', username: 'user@example.com', password: 'Test@12345' })
        .auth('client', 'secret')
        .expect(200);
    });

    it('accepts a form whose field is named email', async () => {
      await loginByForm({ email: 'user@example.com', password: 'Test@12345' }).expect(200);
    });

    it('"401 Unauthorized: Invalid Credentials (Login)" is the same for a wrong password and an unknown user', async () => {
      const wrong = await loginByForm({ username: 'user@example.com', password: 'Test@12346' }).expect(401);
      const unknown = await loginByForm({ username: 'nobody@example.com', password: 'Test@12345' }).expect(401);
      expect(wrong.body).toMatchObject({ detail: 'Invalid username or password', status: 'error', code: 401 });
      expect({ ...unknown.body, request_id: '' }).toEqual({ ...wrong.body, request_id: '' });
    });
  });

  describe('"All API endpoints require authentication EXCEPT" register and login', () => {
    const endpoints: ['get' | 'post' | 'put' | 'patch' | 'delete', string][] = [
      ['get', '/api/v1/users'],
      ['get', '/api/v1/users/'],
      ['get', '/api/v1/users/me'],
      ['put', '/api/v1/users/me'],
      ['patch', '/api/v1/users/me'],
      ['delete', '/api/v1/users/me'],
      ['get', `/api/v1/users/${NOBODY}`],
      ['put', `/api/v1/users/${NOBODY}`],
      ['patch', `/api/v1/users/${NOBODY}`],
      ['delete', `/api/v1/users/${NOBODY}`],
      ['post', '/api/v1/users/change-password'],
      ['post', '/api/v1/auth/change-password'],
      ['post', '/api/v1/auth/logout'],
      ['post', '/api/v1/auth/logout-all'],
      ['get', '/api/v1/auth/sessions'],
      ['delete', `/api/v1/auth/sessions/${NOBODY}`],
      ['get', '/api/v1/files'],
      ['post', '/api/v1/files'],
      ['get', `/api/v1/files/${NOBODY}`],
      ['put', `/api/v1/files/${NOBODY}`],
      ['patch', `/api/v1/files/${NOBODY}`],
      ['delete', `/api/v1/files/${NOBODY}`],
      ['get', `/api/v1/files/${NOBODY}/download`],
      ['get', '/api/v1/admin/users'],
    ];

    it('no other is open than those that need no session to make sense', async () => {
      const { body } = await app.http.get('/openapi.json').expect(200);
      const open = Object.entries<Record<string, { 'x-access': string }>>(body.paths).flatMap(([path, item]) =>
        Object.entries(item)
          .filter(([, operation]) => ['public', 'optional'].includes(operation['x-access']))
          .map(([method]) => `${method} ${path}`),
      );
      // S0 knows the first two; section 1 of the contract adds the others.
      expect(open.sort()).toEqual(
        [
          'post /api/v1/auth/register',
          'post /api/v1/auth/login',
          'post /api/v1/auth/refresh',
          'post /api/v1/auth/forgot-password',
          'post /api/v1/auth/reset-password',
          'post /api/v1/auth/verify-email',
          'post /api/v1/auth/resend-verification',
          'post /api/v1/users',
          'get /api/v1/health',
          'get /health',
          // These have a proof of their own: a token of a mail, of a login, of an operator, or a signature.
          'post /api/v1/auth/undo-email-change',
          'post /api/v1/auth/mfa/verify',
          'get /metrics',
          'get /api/v1/uploads/{id}/signed',
          'get /api/v1/files/{id}/signed',
          // What the protocol of resumable uploads can do, asked before anything is sent.
          'options /api/v1/uploads/resumable',
          'options /api/v1/files/resumable',
        ].sort(),
      );
    });

    it('"All /api/v1/files/* endpoints": with the token of the login they upload, list, download and delete', async () => {
      const { auth } = await aSignedInUser(app);
      const files = '/api/v1/files';
      const { body: file } = await app.http
        .post(files)
        .set(auth)
        .attach('file', Buffer.from('some text'), 'notes.txt')
        .expect(201);
      expect((await app.http.get(files).set(auth).expect(200)).body).toMatchObject({ total: 1, items: [file] });
      await app.http.get(`${files}/${file.id}/download`).set(auth).expect(200, 'some text');
      await app.http.delete(`${files}/${file.id}`).set(auth).expect(204);
      await app.http.get(`${files}/${file.id}`).set(auth).expect(404);
    });

    it.each(endpoints)('"Missing Token": %s %s is 401', async (method, path) => {
      const { body, headers } = await app.http[method](path).expect(401);
      expect(body).toMatchObject({ detail: 'Not authenticated', status: 'error', code: 401 });
      expect(headers['www-authenticate']).toBe('Bearer');
    });

    it.each(endpoints)('"Invalid Token": %s %s is 401', async (method, path) => {
      const { body, headers } = await app.http[method](path)
        .set('Authorization', 'Bearer eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9...')
        .expect(401);
      expect(body).toMatchObject({ detail: 'Could not validate credentials', status: 'error', code: 401 });
      expect(headers['www-authenticate']).toBe('Bearer');
    });

    // S0 knows no refresh and no open POST /users; section 1's list of public routes has both.
    it.each(['/api/v1/auth/register', '/api/v1/auth/login', '/api/v1/auth/refresh', '/api/v1/users'])(
      '"Public (no authentication)": POST %s looks at the body without a token',
      async (path) => {
        const { body } = await app.http.post(path).send({}).expect(422);
        expect(body.detail).toEqual(expect.any(Array));
      },
    );

    it('"<access_token> is the token received from the login endpoint": the curl example', async () => {
      await register(REGISTRATION).expect(201);
      const login = await loginByForm({ username: 'user@example.com', password: 'Test@12345' }).expect(200);
      const { body } = await app.http
        .get('/api/v1/users/me')
        .set('Authorization', `Bearer ${login.body.access_token}`)
        .expect(200);
      expect(body).toMatchObject(USER_FIELDS);
    });
  });

  describe('"Users"', () => {
    it('"Get current user" answers the fields of the example', async () => {
      const user = await aSignedInUser(app, { email: 'user@example.com', fullName: 'string' });
      const { body } = await app.http.get('/api/v1/users/me').set(user.auth).expect(200);
      expect(body).toMatchObject({ ...USER_FIELDS, id: user.id });
    });

    it('"Update current user" answers the new email and the new full_name, and keeps them', async () => {
      const user = await aSignedInUser(app, { email: 'user@example.com', fullName: 'string' });
      const changes = { email: 'newemail@example.com', full_name: 'New Name' };
      const { body } = await app.http.put('/api/v1/users/me').set(user.auth).send(changes).expect(200);
      expect(body).toMatchObject({ ...USER_FIELDS, ...changes, id: user.id });
      const me = await app.http.get('/api/v1/users/me').set(user.auth).expect(200);
      expect(me.body).toEqual(body);
      await signIn(app, { ...user, email: 'newemail@example.com' });
    });

    it('"Get all users" answers an admin each user with the fields of the example', async () => {
      const admin = await anAdmin(app);
      await aUser(app, { email: 'user1@example.com', fullName: 'User One' });
      await aUser(app, { email: 'user2@example.com', fullName: 'User Two' });
      const { body } = await app.http.get('/api/v1/users').set(admin.auth).expect(200);
      // S0 shows a bare array; section 11 decides a page object.
      expect(body).toMatchObject({ total: 3, items: expect.any(Array) });
      for (const [email, full_name] of [
        ['user1@example.com', 'User One'],
        ['user2@example.com', 'User Two'],
      ]) {
        const item = body.items.find((user: { email: string }) => user.email === email);
        expect(item).toMatchObject({ ...USER_FIELDS, email, full_name });
      }
    });

    it('"Get all users" answers a user everybody else without the email', async () => {
      // S0 shows the email to every user; section 2's public view decides.
      const user = await aSignedInUser(app);
      const other = await aUser(app, { email: 'user1@example.com', fullName: 'User One' });
      const { body } = await app.http.get('/api/v1/users').set(user.auth).expect(200);
      const item = body.items.find(({ id }: { id: string }) => id === other.id);
      expect(item).toMatchObject({ full_name: 'User One', is_active: true });
      expect(item).not.toHaveProperty('email');
    });
  });

  it('"400 Bad Request" answers a body that is not JSON', async () => {
    const { body } = await app.http
      .post('/api/v1/auth/register')
      .type('json')
      .send('{"email": "user@example.com", }')
      .expect(400);
    expect(body).toMatchObject({ detail: expect.any(String), status: 'error', code: 400 });
  });
});
