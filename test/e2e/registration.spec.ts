import { aUser, anAdmin, aSignedInUser } from '../support/builders.js';
import { startTestApp, type TestApp } from '../support/test-app.js';

const PASSWORD = 'SecurePass123!';

describe.each(['/api/v1/auth/register', '/api/v1/users'])('POST %s', (path) => {
  let app: TestApp;
  let count = 0;
  const fresh = () => ({ email: `new${count++}@example.com`, password: PASSWORD });
  const post = (body: object) => app.http.post(path).send(body);

  beforeAll(async () => {
    app = await startTestApp();
  });
  afterAll(() => app.close());

  it('answers the whole user with 201', async () => {
    const { body } = await post({ ...fresh(), username: 'john_doe', first_name: 'John', last_name: 'Doe' }).expect(201);
    expect(body).toEqual({
      id: expect.stringMatching(/^[0-9a-f]{8}-[0-9a-f]{4}-7/),
      email: expect.stringMatching(/^new/),
      username: 'john_doe',
      full_name: 'John Doe',
      role: 'user',
      is_active: true,
      is_superuser: false,
      is_verified: false,
      created_at: expect.stringMatching(/Z$/),
      updated_at: expect.stringMatching(/Z$/),
      last_login: null,
      profile: { first_name: 'John', last_name: 'Doe', bio: null, phone_number: null },
      stats: { total_uploads: 0, total_storage_used: 0 },
    });
  });

  it('keeps a full name that was given, before first and last name', async () => {
    const { body } = await post({ ...fresh(), full_name: 'Dr Jo', first_name: 'Jo', last_name: 'Do' }).expect(201);
    expect(body.full_name).toBe('Dr Jo');
  });

  it('derives a username from the email and makes it unique', async () => {
    const first = await post({ email: `Ann.Lee@one${count}.example`, password: PASSWORD }).expect(201);
    const second = await post({ email: `ann.lee@two${count++}.example`, password: PASSWORD }).expect(201);
    expect(first.body.username).toBe('ann_lee');
    expect(second.body.username).toMatch(/^ann_lee_\d+$/);
  });

  it.each([
    ['éàü@example.com', /^eau$/],
    ['日本@example.com', /^user$|^user_\d+$/],
    ['a@example.com', /^user_a$/],
  ])('derives an allowed username from %s', async (email, username) => {
    const { body } = await post({ email, password: PASSWORD }).expect(201);
    expect(body.username).toMatch(username);
    await app.pool.query('DELETE FROM users WHERE id = $1', [body.id]);
  });

  it('refuses an email taken in another case with 409 and the field', async () => {
    const taken = await aUser(app);
    const { body } = await post({ email: taken.email.toUpperCase(), password: PASSWORD }).expect(409);
    expect(body).toMatchObject({ error_code: 'email_taken', field_errors: { email: ['Email already exists'] } });
  });

  it('refuses a username taken in another case with 409 and the field', async () => {
    const taken = await aUser(app);
    const { body } = await post({ ...fresh(), username: taken.username.toUpperCase() }).expect(409);
    expect(body).toMatchObject({ detail: 'Username already exists', field_errors: { username: [expect.any(String)] } });
  });

  it('takes two spellings of one Unicode address for one', async () => {
    await post({ email: `caf\u00e9${count}@example.com`, password: PASSWORD }).expect(201);
    await post({ email: `cafe\u0301${count++}@example.com`, password: PASSWORD }).expect(409);
  });

  it.each([
    ['no email', { password: PASSWORD }, ['email'], 'field required'],
    ['no password', { email: 'x@example.com' }, ['password'], 'field required'],
    ['an email that is none', { email: 'nope', password: PASSWORD }, ['email'], 'email must be a valid email address'],
    [
      'an email of 255 characters',
      { email: `${'a'.repeat(64)}@${'b'.repeat(190)}`, password: PASSWORD },
      ['email'],
      undefined,
    ],
    [
      'a username of 2',
      { email: 'x@example.com', password: PASSWORD, username: 'ab' },
      ['username'],
      'username must be at least 3 characters long',
    ],
    [
      'a username of 51',
      { email: 'x@example.com', password: PASSWORD, username: 'a'.repeat(51) },
      ['username'],
      undefined,
    ],
    [
      'a username with a dash',
      { email: 'x@example.com', password: PASSWORD, username: 'a-b-c' },
      ['username'],
      undefined,
    ],
    ['a null username', { email: 'x@example.com', password: PASSWORD, username: null }, ['username'], undefined],
    [
      'an unknown field',
      { email: 'x@example.com', password: PASSWORD, nick: 'x' },
      ['nick'],
      'extra fields not permitted',
    ],
    ['an array for a text', { email: ['x@example.com'], password: PASSWORD }, ['email'], 'email must be a string'],
    ['an object for a text', { email: 'x@example.com', password: { a: 1 } }, ['password'], 'password must be a string'],
    [
      'a text for a flag',
      { email: 'x@example.com', password: PASSWORD, is_superuser: 'true' },
      ['is_superuser'],
      undefined,
    ],
    ['a NUL', { email: 'x@example.com', password: PASSWORD, full_name: 'a\0b' }, ['full_name'], undefined],
    [
      'half a surrogate pair',
      { email: 'x@example.com', password: PASSWORD, full_name: 'a\ud800' },
      ['full_name'],
      undefined,
    ],
    [
      'a name of 101',
      { email: 'x@example.com', password: PASSWORD, first_name: '😀'.repeat(101) },
      ['first_name'],
      undefined,
    ],
  ])('refuses %s with 422 and the field', async (_title, body, fields, message) => {
    const answer = await post(body).expect(422);
    expect(Object.keys(answer.body.field_errors)).toEqual(fields);
    expect(answer.body.detail).toEqual(
      answer.body.detail.map(() => ({ loc: ['body', ...fields], msg: expect.any(String), type: expect.any(String) })),
    );
    if (message) expect(answer.body.field_errors[fields[0]]).toContain(message);
  });

  it('counts a name in code points', async () => {
    const { body } = await post({ ...fresh(), first_name: '😀'.repeat(100) }).expect(201);
    expect(body.profile.first_name).toBe('😀'.repeat(100));
  });

  it.each([
    ['short', 'Ab1defg', 'Password must be at least 8 characters long'],
    ['without upper case', 'abcdefg1x', 'Password must contain an upper-case letter'],
    ['without lower case', 'ABCDEFG1X', 'Password must contain a lower-case letter'],
    ['without a digit', 'Abcdefghi', 'Password must contain a digit'],
    ['of 513 characters', 'Aa1'.repeat(171), 'Password must be at most 512 characters long'],
    ['that everybody has', 'Password1', 'Password is too common'],
  ])('refuses a password %s with the sentence as detail', async (_title, password, sentence) => {
    const { body } = await post({ ...fresh(), password }).expect(422);
    expect(body).toMatchObject({
      detail: sentence,
      error_code: 'weak_password',
      field_errors: { password: [sentence] },
    });
  });

  it('lists every rule that a password breaks', async () => {
    const { body } = await post({ ...fresh(), password: 'abc' }).expect(422);
    expect(body.field_errors.password).toHaveLength(3);
  });

  it('asks no classes of a passphrase, and takes 512 characters', async () => {
    await post({ ...fresh(), password: 'correct horse ba' }).expect(201);
    await post({ ...fresh(), password: '😀'.repeat(512) }).expect(201);
  });

  it.each(['email', 'username'] as const)('refuses the %s as password', async (field) => {
    const identity = { email: 'Quite.Long1@example.com', username: 'Quite_Long_12345' };
    const { body } = await post({ ...identity, password: identity[field] }).expect(422);
    expect(body.detail).toBe('Password must not be the email address or username');
  });

  it('refuses a confirmation that differs', async () => {
    const { body } = await post({ ...fresh(), confirm_password: 'Other123!' }).expect(422);
    expect(body).toMatchObject({
      detail: 'Passwords do not match',
      field_errors: { confirm_password: ['Passwords do not match'] },
    });
  });

  it('refuses is_superuser of guests and users with 403 and creates nothing', async () => {
    const body = { ...fresh(), is_superuser: true };
    const user = await aSignedInUser(app);
    await post(body).expect(403);
    await post(body).set(user.auth).expect(403);
    const { rows } = await app.pool.query('SELECT 1 FROM users WHERE email = $1', [body.email]);
    expect(rows).toEqual([]);
  });

  it('lets an admin create an admin', async () => {
    const admin = await anAdmin(app);
    const { body } = await post({ ...fresh(), is_superuser: true })
      .set(admin.auth)
      .expect(201);
    expect(body).toMatchObject({ role: 'admin', is_superuser: true });
  });

  it('takes no notice of a token that is dead', async () => {
    await post(fresh()).set({ Authorization: 'Bearer stale' }).expect(201);
  });
});

describe('closed registration', () => {
  let app: TestApp;
  beforeAll(async () => {
    app = await startTestApp({ REGISTRATION_OPEN: 'false' });
    await app.pool
      .query(`INSERT INTO users (id, email, username, role, is_active, is_verified, password_hash, created_at, updated_at)
      VALUES ('0197f0a0-7b1c-7e7e-8a00-3d2f1c0b9a88', 'boss@example.com', 'boss', 'admin', true, false,
              '$2b$10$xKp0sTUtdCEyzMkWHUjEMO8nX1PvYyUhB7Ws8fO1ZFGl8i1pKcvVW', now(), now())`);
  });
  afterAll(() => app.close());

  it('refuses guests with 403', async () => {
    const { body } = await app.http
      .post('/api/v1/users')
      .send({ email: 'x@example.com', password: PASSWORD })
      .expect(403);
    expect(body.error_code).toBe('registration_closed');
  });
});

describe('100 registrations of one address at once', () => {
  it('give one 201 and 99 answers of 409', async () => {
    const app = await startTestApp({ BCRYPT_COST: '10' });
    const body = { email: 'race@example.com', password: PASSWORD };
    const answers = await Promise.all(Array.from({ length: 100 }, () => app.http.post('/api/v1/users').send(body)));
    expect(answers.map(({ status }) => status).sort()).toEqual([201, ...Array<number>(99).fill(409)]);
    const { rows } = await app.pool.query('SELECT count(*)::int AS users FROM users');
    expect(rows).toEqual([{ users: 1 }]);
    await app.close();
  });
});
