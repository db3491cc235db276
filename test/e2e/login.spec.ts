import { createHmac } from 'node:crypto';
import { aSignedInUser, aUser, PASSWORD, signIn } from '../support/builders.js';
import { startTestApp, type TestApp } from '../support/test-app.js';

const LOGIN = '/api/v1/auth/login';

describe('POST /auth/login', () => {
  let app: TestApp;
  beforeAll(async () => {
    app = await startTestApp();
  });
  afterAll(() => app.close());

  it('answers tokens, their life and the user', async () => {
    const user = await aUser(app);
    const { body } = await app.http.post(LOGIN).send({ email: user.email, password: PASSWORD }).expect(200);
    expect(body).toMatchObject({
      token_type: 'bearer',
      expires_in: 900,
      user: { id: user.id, email: user.email, role: 'user' },
    });
    expect(body.user.last_login).toMatch(/Z$/);
    const claims = JSON.parse(Buffer.from(body.access_token.split('.')[1], 'base64url').toString());
    expect(Object.keys(claims).sort()).toEqual(['aud', 'exp', 'iat', 'iss', 'jti', 'role', 'sid', 'sub']);
    expect(claims.exp - claims.iat).toBe(900);
  });

  it.each([
    ['email', 'email'],
    ['username', 'username'],
    ['email', 'username'],
    ['username', 'email'],
  ] as const)('takes the %s in the field %s, in any case', async (kind, field) => {
    const user = await aUser(app);
    await app.http
      .post(LOGIN)
      .send({ [field]: user[kind].toUpperCase(), password: PASSWORD })
      .expect(200);
  });

  it("takes the OAuth 2 password form with the form's own fields and a Basic header", async () => {
    const user = await aUser(app);
    const { body } = await app.http
      .post(LOGIN)
      .type('form')
      .auth('client', 'secret')
      .send({
        grant_type: 'password',
        scope: '',
        client_id: 'x',
        client_secret: 'y',
        username: user.username,
        password: PASSWORD,
      })
      .expect(200);
    expect(body.access_token).toBeDefined();
  });

  it('refuses a form on every other route with 415', async () => {
    const { body } = await app.http.post('/api/v1/auth/refresh').type('form').send({ refresh_token: 'x' }).expect(415);
    expect(body.error_code).toBe('unsupported_media_type');
  });

  it.each([
    ['a wrong password', (email: string) => ({ email, password: 'Wrong-Horse-1' })],
    ['an unknown email', () => ({ email: 'nobody@example.com', password: PASSWORD })],
    ['an unknown username', () => ({ username: 'nobody', password: PASSWORD })],
    ['an empty password', (email: string) => ({ email, password: '' })],
  ])('refuses %s with one and the same 401', async (_title, bodyFor) => {
    const user = await aUser(app);
    const answer = await app.http.post(LOGIN).send(bodyFor(user.email)).expect(401);
    expect(answer.body).toMatchObject({
      detail: 'Invalid username or password',
      status: 'error',
      code: 401,
      error_code: 'login_failed',
    });
    expect(answer.headers['www-authenticate']).toBe('Bearer');
  });

  it('asks for a name', async () => {
    const { body } = await app.http.post(LOGIN).send({ password: PASSWORD }).expect(422);
    expect(body.field_errors).toEqual({
      email: ['email or username is required'],
      username: ['email or username is required'],
    });
  });

  it('tells only the owner of the password that an account is disabled', async () => {
    const user = await aUser(app, { isActive: false });
    await app.http.post(LOGIN).send({ email: user.email, password: 'Wrong-Horse-1' }).expect(401);
    const { body } = await app.http.post(LOGIN).send({ email: user.email, password: PASSWORD }).expect(403);
    expect(body.error_code).toBe('account_disabled');
  });

  it('makes a session of its own at each login', async () => {
    const user = await aUser(app);
    await signIn(app, user);
    const second = await signIn(app, user);
    const { body } = await app.http.get('/api/v1/auth/sessions').set(second.auth).expect(200);
    expect(body.total).toBe(2);
    expect(body.items.map((item: { is_current: boolean }) => item.is_current)).toEqual([true, false]);
  });

  it('makes the hash anew when the configured cost has changed', async () => {
    const user = await aUser(app);
    const costly = await app.pool.query<{ password_hash: string }>('SELECT password_hash FROM users WHERE id = $1', [
      user.id,
    ]);
    const cheaper = await import('bcryptjs').then(({ default: bcrypt }) => bcrypt);
    const prehash = createHmac('sha256', 'gatehouse password v1').update(PASSWORD).digest('base64');
    await app.pool.query('UPDATE users SET password_hash = $2 WHERE id = $1', [user.id, cheaper.hashSync(prehash, 5)]);
    await signIn(app, user);
    const { rows } = await app.pool.query<{ password_hash: string }>('SELECT password_hash FROM users WHERE id = $1', [
      user.id,
    ]);
    expect(cheaper.getRounds(rows[0].password_hash)).toBe(cheaper.getRounds(costly.rows[0].password_hash));
    await signIn(app, user);
  });
});

describe('many logins at once', () => {
  it('all succeed while the hash is made anew because its cost has changed', async () => {
    const app = await startTestApp({ BCRYPT_COST: '10' });
    const user = await aUser(app);
    const { default: bcrypt } = await import('bcryptjs');
    const prehash = createHmac('sha256', 'gatehouse password v1').update(PASSWORD).digest('base64');
    await app.pool.query('UPDATE users SET password_hash = $2 WHERE id = $1', [user.id, bcrypt.hashSync(prehash, 5)]);
    const answers = await Promise.all(
      Array.from({ length: 8 }, () => app.http.post(LOGIN).send({ email: user.email, password: PASSWORD })),
    );
    expect(answers.map(({ status }) => status)).toEqual(Array(8).fill(200));
    await app.close();
  });
});

describe('hashes that take their time', () => {
  let app: TestApp;
  beforeAll(async () => {
    app = await startTestApp({ BCRYPT_COST: '10' });
  });
  afterAll(() => app.close());

  it('never lets 32 logins at once hold up other requests', async () => {
    const user = await aUser(app);
    let isPending = true;
    const logins = Promise.all(
      Array.from({ length: 32 }, () => app.http.post(LOGIN).send({ email: user.email, password: PASSWORD })),
    ).finally(() => {
      isPending = false;
    });
    await app.http.get('/health').expect(200);
    expect(isPending).toBe(true);
    expect((await logins).map(({ status }) => status)).toEqual(Array(32).fill(200));
  });

  it('answers 503 with Retry-After when too many hashes wait', async () => {
    const user = await aUser(app);
    const answers = await Promise.all(
      Array.from({ length: 300 }, () => app.http.post(LOGIN).send({ email: user.email, password: PASSWORD })),
    );
    const refused = answers.filter(({ status }) => status === 503);
    expect(refused.length).toBeGreaterThan(0);
    expect(refused[0].headers['retry-after']).toMatch(/^\d+$/);
    expect(answers.every(({ status }) => status === 200 || status === 503)).toBe(true);
  });
});

describe('signing out', () => {
  let app: TestApp;
  beforeAll(async () => {
    app = await startTestApp();
  });
  afterAll(() => app.close());

  const me = (auth: { Authorization: string }) => app.http.get('/api/v1/users/me').set(auth);
  const refresh = (token: string) => app.http.post('/api/v1/auth/refresh').send({ refresh_token: token });

  it('kills the access and the refresh token of the session at once', async () => {
    const user = await aSignedInUser(app);
    await app.http.post('/api/v1/auth/logout').set(user.auth).expect(204, {});
    await me(user.auth).expect(401);
    await refresh(user.refreshToken).expect(401);
  });

  it('leaves other sessions alone, unless their refresh token is given', async () => {
    const user = await aUser(app);
    const [one, two, three] = [await signIn(app, user), await signIn(app, user), await signIn(app, user)];
    await app.http.post('/api/v1/auth/logout').set(one.auth).send({ refresh_token: two.refreshToken }).expect(204);
    await me(two.auth).expect(401);
    await me(three.auth).expect(200);
  });

  it("does not end another user's session by its refresh token", async () => {
    const [user, other] = [await aSignedInUser(app), await aSignedInUser(app)];
    await app.http.post('/api/v1/auth/logout').set(user.auth).send({ refresh_token: other.refreshToken }).expect(204);
    await me(other.auth).expect(200);
  });

  it('ends every session of the caller with logout-all', async () => {
    const user = await aUser(app);
    const [one, two] = [await signIn(app, user), await signIn(app, user)];
    await app.http.post('/api/v1/auth/logout-all').set(one.auth).expect(204);
    await me(one.auth).expect(401);
    await me(two.auth).expect(401);
    await refresh(two.refreshToken).expect(401);
  });

  it('ends one device from another', async () => {
    const user = await aUser(app);
    const [phone, laptop] = [await signIn(app, user), await signIn(app, user)];
    const { body } = await app.http.get('/api/v1/auth/sessions').set(laptop.auth);
    const { id } = body.items.find((item: { is_current: boolean }) => !item.is_current);
    await app.http.delete(`/api/v1/auth/sessions/${id}`).set(laptop.auth).expect(204);
    await me(phone.auth).expect(401);
    await app.http.delete(`/api/v1/auth/sessions/${id}`).set(laptop.auth).expect(404);
    await app.http.delete('/api/v1/auth/sessions/nonsense').set(laptop.auth).expect(404);
  });

  it("reports another user's session as missing", async () => {
    const [user, other] = [await aSignedInUser(app), await aSignedInUser(app)];
    const { body } = await app.http.get('/api/v1/auth/sessions').set(other.auth);
    await app.http.delete(`/api/v1/auth/sessions/${body.items[0].id}`).set(user.auth).expect(404);
    await me(other.auth).expect(200);
  });
});

describe('changing the password', () => {
  let app: TestApp;
  beforeAll(async () => {
    app = await startTestApp();
  });
  afterAll(() => app.close());

  const change = (auth: { Authorization: string }, body: object, path = '/api/v1/auth/change-password') =>
    app.http.post(path).set(auth).send(body);

  it.each(['/api/v1/auth/change-password', '/api/v1/users/change-password'])(
    'ends the other sessions and keeps this one (%s)',
    async (path) => {
      const user = await aUser(app);
      const [here, there] = [await signIn(app, user), await signIn(app, user)];
      const { body } = await change(
        here.auth,
        { current_password: PASSWORD, new_password: 'NewSecurePass123!' },
        path,
      ).expect(200);
      expect(body).toEqual({ message: 'Password changed successfully' });
      await app.http.get('/api/v1/users/me').set(here.auth).expect(200);
      await app.http.get('/api/v1/users/me').set(there.auth).expect(401);
      await app.http.post('/api/v1/auth/login').send({ email: user.email, password: PASSWORD }).expect(401);
      await app.http.post('/api/v1/auth/login').send({ email: user.email, password: 'NewSecurePass123!' }).expect(200);
    },
  );

  it('refuses a wrong current password with 400', async () => {
    const user = await aSignedInUser(app);
    const { body } = await change(user.auth, {
      current_password: 'Wrong-Horse-1',
      new_password: 'NewSecurePass123!',
    }).expect(400);
    expect(body.detail).toBe('Current password is incorrect');
  });

  it('refuses a weak new password with 422', async () => {
    const user = await aSignedInUser(app);
    const { body } = await change(user.auth, { current_password: PASSWORD, new_password: 'short' }).expect(422);
    expect(body).toMatchObject({
      detail: 'Password must be at least 8 characters long',
      field_errors: { new_password: expect.any(Array) },
    });
  });

  it('refuses a confirmation that differs', async () => {
    const user = await aSignedInUser(app);
    await change(user.auth, {
      current_password: PASSWORD,
      new_password: 'NewSecurePass123!',
      confirm_password: 'x',
    }).expect(422);
  });

  it('lets one of two changes at once win', async () => {
    const user = await aUser(app);
    const session = await signIn(app, user);
    const answers = await Promise.all(
      ['First-Change-1', 'Second-Change-1'].map((password) =>
        change(session.auth, { current_password: PASSWORD, new_password: password }),
      ),
    );
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 400]);
  });

  it('leaves no session to a login that was under way with the old password', async () => {
    const user = await aUser(app);
    const session = await signIn(app, user);
    const [changed, ...logins] = await Promise.all([
      change(session.auth, { current_password: PASSWORD, new_password: 'NewSecurePass123!' }),
      ...Array.from({ length: 6 }, () =>
        app.http.post('/api/v1/auth/login').send({ email: user.email, password: PASSWORD }),
      ),
    ]);
    expect(changed.status).toBe(200);
    const tokens = logins.filter(({ status }) => status === 200).map(({ body }) => body.access_token as string);
    const answers = await Promise.all(
      tokens.map((token) => app.http.get('/api/v1/users/me').set({ Authorization: `Bearer ${token}` })),
    );
    expect(answers.map(({ status }) => status)).toEqual(tokens.map(() => 401));
  });
});
