import { aSignedInUser, aUser, type SignedIn, signIn } from '../support/builders.js';
import { VERIFY } from '../support/mailboxes.js';
import { tokenInOutbox } from '../support/outbox.js';
import { closeSockets, connect, refusal } from '../support/sockets.js';
import { startTestApp, type TestApp } from '../support/test-app.js';

const API = '/api/v1';
const REGISTRATION = {
  confirm_password: 'SecurePass123!',
  email: 'user@example.com',
  first_name: 'John',
  last_name: 'Doe',
  password: 'SecurePass123!',
};
const TIME = expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
const PROFILE_FIELDS = {
  created_at: TIME,
  email: 'user@example.com',
  id: expect.stringMatching(/^[0-9a-f-]{36}$/), // S3 shows an ObjectId; section 11 decides UUID
  is_active: true,
  is_verified: false,
  last_login: TIME,
};

describe('S3, the profiles document', () => {
  let app: TestApp;
  beforeAll(async () => {
    app = await startTestApp();
  });
  beforeEach(async () => {
    await app.pool.query('DELETE FROM users');
  });
  afterAll(() => app.close());

  const register = (body: object = REGISTRATION) => app.http.post(`${API}/auth/register`).send(body);
  const login = (body: object = { email: 'user@example.com', password: 'SecurePass123!' }) =>
    app.http.post(`${API}/auth/login`).send(body);
  const refresh = (refresh_token: string) => app.http.post(`${API}/auth/refresh`).send({ refresh_token });
  const me = (accessToken: string) => app.http.get(`${API}/users/me`).set('Authorization', `Bearer ${accessToken}`);
  async function john(): Promise<SignedIn> {
    const { body } = await register().expect(201);
    return signIn(app, { ...body, password: 'SecurePass123!' });
  }

  describe('POST /auth/register: "Create a new user account with email and password"', () => {
    it('accepts the example, and the names are in the profile', async () => {
      const { body } = await register().expect(201);
      expect(body).toMatchObject({
        ...PROFILE_FIELDS,
        last_login: null,
        full_name: 'John Doe',
        profile: { first_name: 'John', last_name: 'Doe' },
      });
      await login().expect(200);
    });

    it('derives a username of its own for each, as the example has none', async () => {
      const first = await register().expect(201);
      const second = await register({ ...REGISTRATION, email: 'user@example.org' }).expect(201);
      expect(first.body.username).toMatch(/^[A-Za-z0-9_]{3,50}$/);
      expect(second.body.username).toMatch(/^[A-Za-z0-9_]{3,50}$/);
      expect(second.body.username).not.toBe(first.body.username);
    });

    it('"confirm_password" must match', async () => {
      const { body } = await register({ ...REGISTRATION, confirm_password: 'SecurePass1234!' }).expect(422);
      expect(body.field_errors).toEqual({ confirm_password: [expect.any(String)] });
      await login().expect(401);
    });
  });

  describe('POST /auth/login: "Authenticate user with email and password"', () => {
    it('accepts the example', async () => {
      await register().expect(201);
      const { body } = await login().expect(200);
      expect(body).toMatchObject({ access_token: expect.any(String), refresh_token: expect.any(String) });
      await me(body.access_token).expect(200);
    });

    it('takes the email without regard to case', async () => {
      await register().expect(201);
      await login({ email: 'User@Example.COM', password: 'SecurePass123!' }).expect(200);
    });

    it('refuses another password', async () => {
      await register().expect(201);
      await login({ email: 'user@example.com', password: 'securePass123!' }).expect(401);
    });
  });

  describe('POST /auth/refresh: "Generate new access token using refresh token"', () => {
    it('answers access_token, expires_in, refresh_token and token_type', async () => {
      const user = await john();
      const { body } = await refresh(user.refreshToken).expect(200);
      expect(body).toEqual({
        access_token: expect.any(String),
        expires_in: 900, // S3 shows 1800; section 11 decides 900
        refresh_token: expect.any(String),
        token_type: 'bearer',
      });
      expect(body.access_token).not.toBe(user.accessToken);
      await me(body.access_token).expect(200);
    });

    it('the token before answers with the same current token, so that two tabs go on', async () => {
      const user = await john();
      const first = await refresh(user.refreshToken).expect(200);
      const again = await refresh(user.refreshToken).expect(200);
      expect(again.body.refresh_token).toBe(first.body.refresh_token);
      await me(again.body.access_token).expect(200);
    });

    it('an older token ends the whole session', async () => {
      const user = await john();
      const second = await refresh(user.refreshToken).expect(200);
      const third = await refresh(second.body.refresh_token).expect(200);
      const { body } = await refresh(user.refreshToken).expect(401);
      expect(body.detail).toBe('Invalid refresh token');
      await refresh(third.body.refresh_token).expect(401);
      await me(third.body.access_token).expect(401);
    });

    it('the example token, which nobody issued, is 401', async () => {
      const { body } = await refresh('eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9...').expect(401);
      expect(body.detail).toBe('Invalid refresh token');
    });

    it.each([
      ['is missing', {}],
      ['is a number', { refresh_token: 1 }],
      ['is null', { refresh_token: null }],
    ])('"422 Validation Error" with loc, msg and type: the refresh_token %s', async (_what, request) => {
      const { body } = await app.http.post(`${API}/auth/refresh`).send(request).expect(422);
      expect(body.detail).toEqual([
        { loc: ['body', 'refresh_token'], msg: expect.any(String), type: expect.any(String) },
      ]);
    });
  });

  describe('POST /auth/logout: "Logout user by blacklisting tokens"', () => {
    const logout = (user: SignedIn, body?: object) => app.http.post(`${API}/auth/logout`).set(user.auth).send(body);

    it("the session's access and refresh tokens are dead at once", async () => {
      const user = await john();
      // S3 does not say which code; section 11 decides 204.
      const { text } = await logout(user).expect(204);
      expect(text).toBe('');
      const { body } = await me(user.accessToken).expect(401);
      expect(body.detail).toBe('Could not validate credentials');
      await refresh(user.refreshToken).expect(401);
    });

    it('accepts the refresh_token in the body', async () => {
      const user = await john();
      await logout(user, { refresh_token: user.refreshToken }).expect(204);
      await me(user.accessToken).expect(401);
      await refresh(user.refreshToken).expect(401);
    });

    it('every access token of the session is dead, also those from a refresh', async () => {
      const user = await john();
      const refreshed = await refresh(user.refreshToken).expect(200);
      await logout(user).expect(204);
      await me(refreshed.body.access_token).expect(401);
      await refresh(refreshed.body.refresh_token).expect(401);
    });

    it('the blacklisted tokens open nothing any more: no list, no file, no stream, no socket', async () => {
      const user = await john();
      const client = await connect(app, user);
      await logout(user).expect(204);
      expect(await client.ended()).toBe('logged_out');
      for (const path of ['users', 'users/me', 'uploads', 'files', 'auth/sessions', 'broadcasting/stream?channel=news'])
        await app.http.get(`${API}/${path}`).set(user.auth).expect(401);
      await app.http.post(`${API}/uploads`).set(user.auth).attach('file', Buffer.from('x'), 'x.txt').expect(401);
      expect(await refusal(app, user)).toMatchObject({ code: 401, detail: 'Could not validate credentials' });
      closeSockets();
    });

    it('another device stays signed in', async () => {
      const user = await john();
      const otherDevice = await signIn(app, user);
      await logout(user).expect(204);
      await me(otherDevice.accessToken).expect(200);
      await refresh(otherDevice.refreshToken).expect(200);
    });

    it('logout-all signs out every device', async () => {
      const user = await john();
      const otherDevice = await signIn(app, user);
      await app.http.post(`${API}/auth/logout-all`).set(user.auth).expect(204);
      for (const device of [user, otherDevice]) {
        await me(device.accessToken).expect(401);
        await refresh(device.refreshToken).expect(401);
      }
    });

    it('a device is signed out from another one by its session', async () => {
      const user = await john();
      const otherDevice = await signIn(app, user);
      const { body } = await app.http.get(`${API}/auth/sessions`).set(user.auth).expect(200);
      expect(body).toMatchObject({ total: 2 });
      const other = body.items.find(({ is_current }: { is_current: boolean }) => !is_current);
      expect(other).toEqual({
        id: expect.any(String),
        created_at: TIME,
        last_used_at: TIME,
        ip_address: expect.any(String),
        user_agent: null,
        is_current: false,
      });
      await app.http.delete(`${API}/auth/sessions/${other.id}`).set(user.auth).expect(204);
      await me(otherDevice.accessToken).expect(401);
      await refresh(otherDevice.refreshToken).expect(401);
      await me(user.accessToken).expect(200);
    });
  });

  describe('POST /auth/change-password: "Change user password (requires authentication)"', () => {
    const CHANGE = {
      confirm_password: 'NewSecurePass123!',
      current_password: 'OldPassword123!',
      new_password: 'NewSecurePass123!',
    };
    const change = (user: SignedIn, body: object = CHANGE) =>
      app.http.post(`${API}/auth/change-password`).set(user.auth).send(body);
    let user: SignedIn;
    beforeEach(async () => {
      const password = 'OldPassword123!';
      const { body } = await register({ ...REGISTRATION, password, confirm_password: password }).expect(201);
      user = await signIn(app, { ...body, password });
    });

    it('accepts the example: the new password is good, the old one is not', async () => {
      const { body } = await change(user).expect(200);
      expect(body).toEqual({ message: 'Password changed successfully' });
      await login({ email: 'user@example.com', password: 'NewSecurePass123!' }).expect(200);
      await login({ email: 'user@example.com', password: 'OldPassword123!' }).expect(401);
    });

    it('other sessions end, this one stays', async () => {
      const otherDevice = await signIn(app, user);
      await change(user).expect(200);
      await me(user.accessToken).expect(200);
      await refresh(user.refreshToken).expect(200);
      await me(otherDevice.accessToken).expect(401);
      await refresh(otherDevice.refreshToken).expect(401);
    });

    it('"requires authentication"', async () => {
      await app.http.post(`${API}/auth/change-password`).send(CHANGE).expect(401);
      await login({ email: 'user@example.com', password: 'OldPassword123!' }).expect(200);
    });

    it('"confirm_password" must match, and may be left out', async () => {
      const { body } = await change(user, { ...CHANGE, confirm_password: 'NewSecurePass123?' }).expect(422);
      expect(body.field_errors).toEqual({ confirm_password: [expect.any(String)] });
      await login({ email: 'user@example.com', password: 'OldPassword123!' }).expect(200);
      await change(user, { current_password: CHANGE.current_password, new_password: CHANGE.new_password }).expect(200);
    });

    it('"current_password" must be right', async () => {
      const { body } = await change(user, { ...CHANGE, current_password: 'OldPassword123?' }).expect(400);
      expect(body.detail).toBe('Current password is incorrect');
      await login({ email: 'user@example.com', password: 'OldPassword123!' }).expect(200);
    });
  });

  describe('GET /users/me: "Get the profile of the currently authenticated user"', () => {
    it('answers the fields of the example', async () => {
      const user = await john();
      await app.http.put(`${API}/users/me`).set(user.auth).send({ bio: 'Software developer' }).expect(200);
      const { body } = await me(user.accessToken).expect(200);
      expect(body).toMatchObject({
        ...PROFILE_FIELDS,
        profile: { bio: 'Software developer', first_name: 'John', last_name: 'Doe' },
      });
    });

    it('"is_verified" is false until the link of the mail is used, and again after a change of the address', async () => {
      const [first, second] = ['first', 'second'].map((name) => `${name}.${Date.now()}@example.com`);
      const { body } = await register({ ...REGISTRATION, email: first }).expect(201);
      const user = await signIn(app, { ...body, password: 'SecurePass123!' });
      const verify = async (email: string) => {
        const token = await tokenInOutbox(app, email, VERIFY);
        await app.http.post(`${API}/auth/verify-email`).send({ token }).expect(200);
      };
      const isVerified = async () => (await me(user.accessToken).expect(200)).body.is_verified;
      expect(await isVerified()).toBe(false);
      await verify(first);
      expect(await isVerified()).toBe(true);
      await app.http.put(`${API}/users/me`).set(user.auth).send({ email: second }).expect(200);
      expect(await isVerified()).toBe(false);
      await verify(second);
      expect(await isVerified()).toBe(true);
    });

    it('"last_login" is the time of the latest login', async () => {
      const user = await john();
      const first = (await me(user.accessToken)).body.last_login;
      const second = (await login().expect(200)).body.user.last_login;
      expect(Date.parse(second)).toBeGreaterThan(Date.parse(first));
      expect((await me(user.accessToken)).body.last_login).toBe(second);
    });
  });

  describe('PUT /users/me: "Update the profile of the currently authenticated user"', () => {
    const CHANGES = {
      bio: 'Software developer passionate about technology',
      first_name: 'John',
      last_name: 'Doe',
      phone_number: '+1234567890',
    };

    it('accepts the example and answers the profile', async () => {
      const user = await aSignedInUser(app, { email: 'user@example.com' });
      const { body } = await app.http.put(`${API}/users/me`).set(user.auth).send(CHANGES).expect(200);
      expect(body).toMatchObject({ ...PROFILE_FIELDS, profile: CHANGES });
      expect((await me(user.accessToken)).body).toEqual(body);
    });

    it('changes only what is given, and null clears it', async () => {
      const user = await aSignedInUser(app);
      const put = (body: object) => app.http.put(`${API}/users/me`).set(user.auth).send(body);
      await put(CHANGES).expect(200);
      const given = await put({ first_name: 'Jane' }).expect(200);
      expect(given.body.profile).toEqual({ ...CHANGES, first_name: 'Jane' });
      const cleared = await put({ phone_number: null, bio: null }).expect(200);
      expect(cleared.body.profile).toEqual({ ...CHANGES, first_name: 'Jane', phone_number: null, bio: null });
    });

    it.each([
      ['phone_number', '1234567890'],
      ['bio', 'x'.repeat(501)],
      ['first_name', 'x'.repeat(101)],
      ['last_name', 7],
      ['nickname', 'Johnny'],
    ])('"422 Validation Error": %s of %j', async (field, value) => {
      const user = await aSignedInUser(app);
      const { body } = await app.http
        .put(`${API}/users/me`)
        .set(user.auth)
        .send({ [field]: value })
        .expect(422);
      expect(body.detail).toEqual([{ loc: ['body', field], msg: expect.any(String), type: expect.any(String) }]);
    });
  });

  describe('GET /users/{user_id}: "Get user profile by user ID (public information only)"', () => {
    it('answers the public view to another user: no email, no phone number', async () => {
      const john = await aSignedInUser(app, { email: 'user@example.com' });
      const names = { first_name: 'John', last_name: 'Doe' };
      await app.http
        .put(`${API}/users/me`)
        .set(john.auth)
        .send({ ...names, bio: 'Software developer', phone_number: '+1234567890' })
        .expect(200);
      const other = await aSignedInUser(app);
      const { body } = await app.http.get(`${API}/users/${john.id}`).set(other.auth).expect(200);
      // S3 shows the email as public; section 2 decides: only when DIRECTORY_SHOWS_EMAIL=true.
      expect(body).toEqual({
        id: john.id,
        username: john.username,
        full_name: 'John Doe',
        is_active: true,
        is_verified: false,
        created_at: TIME,
        last_login: TIME,
        profile: { bio: 'Software developer', ...names },
      });
    });

    it('answers the owner the phone number too', async () => {
      const user = await aSignedInUser(app);
      const { body } = await app.http.get(`${API}/users/${user.id}`).set(user.auth).expect(200);
      expect(body).toMatchObject({ email: user.email, profile: { phone_number: null } });
    });

    it("is 404 for an id of S3's kind", async () => {
      const user = await aSignedInUser(app);
      await app.http.get(`${API}/users/507f1f77bcf86cd799439011`).set(user.auth).expect(404);
    });
  });
});

describe('S3, with DIRECTORY_SHOWS_EMAIL=true', () => {
  let app: TestApp;
  beforeAll(async () => {
    app = await startTestApp({ DIRECTORY_SHOWS_EMAIL: 'true' });
  });
  afterAll(() => app.close());

  it('GET /users/{user_id} answers another user all fields of the example', async () => {
    const john = await signIn(app, await aUser(app, { email: 'user@example.com' }));
    const profile = { bio: 'Software developer', first_name: 'John', last_name: 'Doe' };
    await app.http.put(`${API}/users/me`).set(john.auth).send(profile).expect(200);
    const other = await aSignedInUser(app);
    const { body } = await app.http.get(`${API}/users/${john.id}`).set(other.auth).expect(200);
    expect(body).toMatchObject({ ...PROFILE_FIELDS, profile });
  });
});
