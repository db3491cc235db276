import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { constants, getPriority } from 'node:os';
import { dictionary } from '@zxcvbn-ts/language-common';
import bcrypt from 'bcryptjs';
import type { Piscina } from 'piscina';
import { brokenPasswordRules } from '../../src/common/validation/password-policy.js';
import { PasswordHasher } from '../../src/users/passwords/password-hasher.js';
import runWorker from '../../src/users/passwords/password.worker.js';
import { aSignedInUser, aUser, PASSWORD, signIn, type TestUser } from '../support/builders.js';
import { enableSecondFactor, wrongCodeFor } from '../support/second-factor.js';
import { startTestApp, type TestApp } from '../support/test-app.js';

const COST = 10;
/** A password of any length that keeps the classes and is nobody's favourite. */
const ofLength = (length: number) => `Zq7${'ab9kX'.repeat(200)}`.slice(0, length);

describe('passwords', () => {
  let app: TestApp;

  const someEmail = () => `${randomBytes(6).toString('hex')}@example.com`;
  const register = (password: unknown, more: object = {}) =>
    app.http.post('/api/v1/auth/register').send({ email: someEmail(), password, ...more });
  const login = (name: string, password: string) => app.http.post('/api/v1/auth/login').send({ email: name, password });
  const hashing = () => {
    const hasher = app.app.get(PasswordHasher, { strict: false });
    return { hash: jest.spyOn(hasher, 'hash'), matches: jest.spyOn(hasher, 'matches') };
  };

  beforeAll(async () => {
    app = await startTestApp({ BCRYPT_COST: String(COST) });
    await aUser(app);
  });
  afterEach(() => jest.restoreAllMocks());
  afterAll(() => app.close());

  it.each([
    ['the first', 0],
    ['the 72nd', 71],
    ['the 73rd', 72],
    ['the 512th', 511],
  ])('S09 passwords of 512 characters that differ at %s are different', async (_, at) => {
    const password = ofLength(512);
    const { body } = await register(password).expect(201);
    const other = password.slice(0, at) + (password[at] === 'Q' ? 'R' : 'Q') + password.slice(at + 1);
    await login(body.email, other).expect(401);
    await login(body.email, password).expect(200);
  });

  it('S09 8 and 512 characters are taken, 7 and 513 refused; characters are code points', async () => {
    await register(ofLength(8)).expect(201);
    await register(ofLength(512)).expect(201);
    await register(`Aa1${'🐎'.repeat(509)}`).expect(201);
    for (const password of [ofLength(7), ofLength(513), 'Aa1🐎🐎🐎🐎', `Aa1${'🐎'.repeat(510)}`, '']) {
      const { body } = await register(password).expect(422);
      expect(body.error_code).toBe('weak_password');
      expect(body.field_errors.password).toEqual(expect.arrayContaining([expect.stringMatching(/ characters long$/)]));
    }
  });

  it('S09 a password with NUL, which bcrypt would end at, is refused or counts whole', async () => {
    const { status, body } = await register('Abcdef12\u0000xyz');
    if (status === 201) await login(body.email, 'Abcdef12').expect(401);
    else expect(status).toBe(422);
  });

  it('S09 neither upper case nor blanks at the ends are ignored', async () => {
    const { body } = await register(' Correct-Horse-1 ').expect(201);
    await login(body.email, 'Correct-Horse-1').expect(401);
    await login(body.email, ' correct-horse-1 ').expect(401);
    await login(body.email, ' Correct-Horse-1 ').expect(200);
  });

  it('S10 each of the 3,000 most common passwords is refused, however its case is changed to satisfy the classes', () => {
    const common = dictionary['passwords-common'].slice(0, 3_000).map(String);
    expect(common.length).toBe(3_000);
    const rulesFor = (password: string) => brokenPasswordRules(password, { email: 'someone@example.com' });
    const taken = common.flatMap((word) =>
      [word, word.toUpperCase(), word[0].toUpperCase() + word.slice(1)].filter((p) => rulesFor(p).length === 0),
    );
    expect(taken).toEqual([]);
  });

  it.each(['Password1', 'Password123', 'Passw0rd', 'Welcome1', 'Qwerty123', 'Abcd1234', 'Trustno1', 'Iloveyou1'])(
    'S10 registering with %s is refused before hashing',
    async (password) => {
      const { hash } = hashing();
      const { body } = await register(password).expect(422);
      expect(body.error_code).toBe('weak_password');
      expect(hash).not.toHaveBeenCalled();
    },
  );

  it('S10 a common password is refused at a change too, and the old one goes on', async () => {
    const user = await aSignedInUser(app);
    const change = { current_password: PASSWORD, new_password: 'Password123' };
    const { body } = await app.http.post('/api/v1/auth/change-password').set(user.auth).send(change).expect(422);
    expect(body).toMatchObject({ error_code: 'weak_password', field_errors: { new_password: [expect.any(String)] } });
    await signIn(app, user);
  });

  it('S10 the email, its local part and the username are no passwords', async () => {
    const name = `Joe_${randomBytes(4).toString('hex')}9`;
    const email = `${name}@example.com`;
    const more = { email, username: name };
    for (const password of [email, email.toUpperCase(), name, name.toUpperCase()])
      await register(password, more).expect(422);
    await register(`${name}!`, more).expect(201);
  });

  it('S10 the username that is derived from the email is no password', async () => {
    const email = `john.doe${randomBytes(3).toString('hex')}1@example.com`;
    const derived = email.split('@')[0].replace('.', '_');
    const { status, body } = await register(derived.replace('john', 'John'), { email });
    expect([status, body.username ?? null]).toEqual([422, null]);
  });

  it('S11 a password of 1 MB is 413 and never reaches the hash', async () => {
    const user = await aSignedInUser(app);
    const { hash, matches } = hashing();
    const huge = 'Aa1'.repeat(350_000);
    const calls: [method: 'post' | 'delete', path: string, body: object][] = [
      ['post', '/api/v1/auth/register', { email: someEmail(), password: huge }],
      ['post', '/api/v1/users', { email: someEmail(), password: huge }],
      ['post', '/users', { email: someEmail(), password: huge }],
      ['post', '/api/v1/auth/login', { email: user.email, password: huge }],
      ['post', '/auth/login/', { email: user.email, password: huge }],
      ['post', '/api/v1/auth/change-password', { current_password: huge, new_password: huge }],
      ['post', '/api/v1/users/change-password', { current_password: PASSWORD, new_password: huge }],
      ['delete', '/api/v1/users/me', { password: huge }],
      ['post', '/api/v1/auth/reset-password', { token: 'x', new_password: huge }],
      ['post', '/auth/reset-password', { token: huge, new_password: PASSWORD }],
      ['post', '/api/v1/auth/mfa/setup', { password: huge }],
      ['post', '/api/v1/auth/mfa/confirm', { code: huge }],
      ['post', '/api/v1/auth/mfa/disable', { password: huge, code: '123456' }],
      ['post', '/api/v1/auth/mfa/recovery-codes', { password: huge, code: '123456' }],
      ['post', '/auth/mfa/verify', { mfa_token: huge, code: '123456' }],
    ];
    for (const [method, path, body] of calls) {
      const response = await app.http[method](path).set(user.auth).send(body);
      expect([path, response.status, response.body.error_code]).toEqual([path, 413, 'body_too_large']);
    }
    const form = await app.http
      .post('/api/v1/auth/login')
      .type('form')
      .send(`username=${user.username}&password=${huge}`);
    expect(form.status).toBe(413);
    expect(hash).not.toHaveBeenCalled();
    expect(matches).not.toHaveBeenCalled();
  });

  it('S11 a password that is too long but fits the body is refused before hashing', async () => {
    const { hash } = hashing();
    await register('Aa1'.repeat(4_000)).expect(422);
    expect(hash).not.toHaveBeenCalled();
  });

  it('S12 an unknown name and a wrong password: same status, same body, same headers, one comparison at the same cost', async () => {
    const user = await aUser(app);
    const disabled = await aUser(app, { isActive: false });
    const { hash, matches } = hashing();
    const answers = [];
    for (const name of [user.email, user.username, disabled.email, someEmail(), 'nobody_at_all', 'no body', 'ü@ü.ü']) {
      matches.mockClear();
      const response = await login(name, 'Wrong-Horse-1').expect(401);
      expect(matches).toHaveBeenCalledTimes(1);
      expect(bcrypt.getRounds(matches.mock.calls[0][1])).toBe(COST);
      expect(matches.mock.calls[0][1]).toHaveLength(60);
      const { request_id: requestId, ...body } = response.body;
      expect(requestId).toEqual(expect.any(String));
      answers.push({ body, headers: Object.keys(response.headers).sort() });
    }
    expect(answers[0].body).toEqual({
      detail: 'Invalid username or password',
      status: 'error',
      code: 401,
      error_code: 'login_failed',
    });
    for (const answer of answers) expect(answer).toEqual(answers[0]);
    expect(hash).not.toHaveBeenCalled();
  });

  it.each([4, 7, COST])('S12 a wrong password costs the same with a hash of cost %i', async (cost) => {
    const user = await aUser(app);
    const { id } = user;
    await app.pool.query('UPDATE users SET password_hash = $2 WHERE id = $1', [id, bcrypt.hashSync('other', cost)]);
    const { workers } = app.app.get(PasswordHasher, { strict: false }) as unknown as { workers: Piscina };
    const asked = jest.spyOn(workers, 'run');
    await login(user.email, 'Wrong-Horse-1').expect(401);
    expect(asked).toHaveBeenCalledTimes(1);
    const compared = jest.spyOn(bcrypt, 'compareSync');
    expect(runWorker(asked.mock.calls[0][0])).toBe(false);
    const work = compared.mock.calls.map(([, hash]) => 2 ** bcrypt.getRounds(hash));
    expect(work.reduce((sum, more) => sum + more)).toBe(2 ** COST);
  });

  // Of Linux alone.
  (process.platform === 'linux' ? it : it.skip)('are hashed in threads that requests go before', async () => {
    await login('nobody_at_all', PASSWORD).expect(401);
    const priorities = readdirSync('/proc/self/task').map((id) => {
      try {
        const stat = readFileSync(`/proc/self/task/${id}/stat`, 'utf8');
        return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[16]);
      } catch {
        return 'ended meanwhile';
      }
    });
    expect(priorities).toContain(constants.priority.PRIORITY_BELOW_NORMAL);
    expect(getPriority()).toBe(getPriority(process.ppid));
  });

  it('S12 no password opens an account that does not exist, and a disabled one is told only to who has the password', async () => {
    for (const password of ['', '.', 'undefined', 'null', PASSWORD]) await login('nobody_at_all', password).expect(401);
    const disabled = await aUser(app, { isActive: false });
    await login(disabled.email, 'Wrong-Horse-1').expect(401);
    await login(disabled.email, PASSWORD).expect(403);
  });

  it('S13 registering a taken address says that it is taken and nothing about whose it is', async () => {
    const user = await aUser(app, { fullName: 'Secret Name' });
    for (const body of [
      { email: user.email.toUpperCase(), password: PASSWORD },
      { email: someEmail(), username: user.username.toUpperCase(), password: PASSWORD },
    ]) {
      const response = await app.http.post('/api/v1/auth/register').send(body).expect(409);
      expect(Object.keys(response.body).sort()).toEqual(
        ['detail', 'status', 'code', 'error_code', 'field_errors', 'request_id'].sort(),
      );
      expect(response.text).not.toContain(user.id);
      expect(response.text).not.toContain('Secret Name');
      expect(response.text.toLowerCase()).not.toContain(user.email);
    }
  });

  describe('where registration is closed', () => {
    let closed: TestApp;
    beforeAll(async () => {
      closed = await startTestApp({ REGISTRATION_OPEN: 'false' });
    });
    afterAll(() => closed.close());

    it('S13 does not tell who exists', async () => {
      const user = await aUser(closed, { role: 'admin' }).catch(() => null);
      const known = user?.email ?? 'nobody@example.com';
      for (const email of [known, someEmail()]) {
        const { body } = await closed.http
          .post('/api/v1/auth/register')
          .send({ email, password: PASSWORD })
          .expect(403);
        expect(body.error_code).toBe('registration_closed');
      }
    });
  });

  describe('failed logins', () => {
    let limited: TestApp;
    beforeAll(async () => {
      limited = await startTestApp({
        RATE_LIMIT_ENABLED: 'true',
        TRUST_PROXY: '1',
        LOGIN_LOCKOUT: '3/900',
        RATE_LIMIT_CREDENTIALS: '5/60',
      });
    });
    afterAll(() => limited.close());

    let address = 0;
    const newAddress = () => `198.51.100.${++address}`;
    const attempt = (
      body: object | string,
      from = newAddress(),
      path = '/api/v1/auth/login',
    ): Promise<{ status: number; body: any; headers: Record<string, string> }> =>
      limited.http
        .post(path)
        .set('X-Forwarded-For', from)
        .type(typeof body === 'string' ? 'form' : 'json')
        .send(body as object) as never;
    const LOCKED = { error_code: 'too_many_attempts', detail: 'Too many login attempts. Please try again later.' };

    const signInFromElsewhere = async (user: TestUser) => {
      const { status, body } = await attempt({ email: user.email, password: user.password });
      expect(status).toBe(200);
      return { ...body, auth: { Authorization: `Bearer ${body.access_token}` } };
    };

    it('S14 count for the account across addresses; then even the right password is 429, while open sessions go on', async () => {
      const user = await aUser(limited);
      const bystander = await aUser(limited);
      const session = await signInFromElsewhere(user);
      for (let i = 0; i < 3; i++)
        expect((await attempt({ email: user.email, password: `Wrong-Horse-${i}` })).status).toBe(401);
      const refused = await attempt({ email: user.email, password: user.password });
      expect(refused.status).toBe(429);
      expect(refused.body).toMatchObject(LOCKED);
      expect(Number(refused.headers['retry-after'])).toBeGreaterThan(0);
      expect(Number(refused.headers['retry-after'])).toBeLessThanOrEqual(900);

      await limited.http.get('/api/v1/users/me').set(session.auth).expect(200);
      await limited.http.post('/api/v1/auth/refresh').send({ refresh_token: session.refresh_token }).expect(200);
      expect((await attempt({ email: bystander.email, password: bystander.password })).status).toBe(200);
    });

    it('S14 guesses made at once are not more guesses', async () => {
      const user = await aUser(limited);
      const answers = await Promise.all(
        Array.from({ length: 15 }, (_, i) => attempt({ email: user.email, password: `Wrong-Horse-${i}` })),
      );
      const statuses = answers.map(({ status }) => status).sort();
      expect(statuses).toEqual([401, 401, 401, ...Array.from({ length: 12 }, () => 429)]);
    });

    it('S14 a locked account costs no comparison, and a name that nobody has locks in the same way', async () => {
      const matches = jest.spyOn(limited.app.get(PasswordHasher, { strict: false }), 'matches');
      const name = someEmail();
      for (let i = 0; i < 3; i++) expect((await attempt({ email: name, password: 'Wrong-Horse-1' })).status).toBe(401);
      matches.mockClear();
      const refused = await attempt({ email: name.toUpperCase(), password: 'Wrong-Horse-1' });
      expect(refused.status).toBe(429);
      expect(refused.body).toMatchObject(LOCKED);
      expect(matches).not.toHaveBeenCalled();
    });

    /** Whatever asks a signed-in user for the password. */
    type Ask = [method: 'post' | 'delete', path: string, body: (password: string) => object, refusal: number];
    const NEXT = 'Another-Horse-1';
    const CODE = '123456';
    const ASKS: Ask[] = [
      ['post', 'auth/change-password', (current_password) => ({ current_password, new_password: NEXT }), 400],
      ['post', 'users/change-password', (current_password) => ({ current_password, new_password: NEXT }), 400],
      ['delete', 'users/me', (password) => ({ password }), 400],
    ];
    const SETUP: Ask = ['post', 'auth/mfa/setup', (password) => ({ password }), 400];
    const WITH_FACTOR: Ask[] = [
      ['post', 'auth/mfa/disable', (password) => ({ password, code: CODE }), 400],
      ['post', 'auth/mfa/recovery-codes', (password) => ({ password, code: CODE }), 400],
    ];
    const put = ([method, path, body]: Ask, auth: Record<string, string>, password: string) =>
      limited.http[method](`/api/v1/${path}`)
        .set({ ...auth, 'X-Forwarded-For': newAddress() })
        .send(body(password));
    const expectLocked = async (asks: Ask[], user: TestUser, auth: Record<string, string>) => {
      for (const ask of asks) {
        const { status, body } = await put(ask, auth, user.password);
        expect([ask[1], status, body.error_code]).toEqual([ask[1], 429, LOCKED.error_code]);
      }
      expect((await attempt({ email: user.email, password: user.password })).status).toBe(429);
      await limited.http.get('/api/v1/users/me').set(auth).expect(200);
    };

    it.each([...ASKS, SETUP])(
      'S14 wrong passwords at %s %s count like failed logins, and lock the others',
      async (...ask) => {
        const user = await aUser(limited);
        const { auth } = await signInFromElsewhere(user);
        for (let i = 0; i < 3; i++) expect((await put(ask, auth, `Wrong-Horse-${i}`)).status).toBe(ask[3]);
        await expectLocked([...ASKS, SETUP], user, auth);
      },
    );

    it.each(WITH_FACTOR)('S14 so they do at %s %s', async (...ask) => {
      const user = await aSignedInUser(limited);
      await enableSecondFactor(limited, user);
      for (let i = 0; i < 3; i++) expect((await put(ask, user.auth, `Wrong-Horse-${i}`)).status).toBe(ask[3]);
      await expectLocked([...ASKS, ...WITH_FACTOR], user, user.auth);
    });

    it('S14 so do wrong codes, which a right password does not forgive', async () => {
      const user = await aSignedInUser(limited);
      const { secret, recoveryCodes } = await enableSecondFactor(limited, user);
      for (let i = 0; i < 3; i++) {
        const { status, body } = await attempt({ email: user.email, password: user.password });
        expect([status, body.mfa_required]).toEqual([200, true]);
        const verify = { mfa_token: body.mfa_token, code: wrongCodeFor(secret) };
        expect((await attempt(verify, newAddress(), '/api/v1/auth/mfa/verify')).status).toBe(401);
      }
      const { status, body } = await attempt({ email: user.email, password: user.password });
      expect([status, body.error_code]).toEqual([429, LOCKED.error_code]);
      await expectLocked([...ASKS, ...WITH_FACTOR], user, user.auth);
      expect(recoveryCodes.length).toBeGreaterThan(0);
    });

    it('S14 one address has five attempts a minute, whichever accounts it tries', async () => {
      const from = newAddress();
      for (let i = 0; i < 5; i++)
        expect((await attempt({ email: someEmail(), password: 'Wrong-Horse-1' }, from)).status).toBe(401);
      const refused = await attempt({ email: someEmail(), password: 'Wrong-Horse-1' }, from);
      expect(refused.status).toBe(429);
      expect(refused.body.detail).toBe('Too many login attempts. Please try again later.');
      expect(refused.headers).toMatchObject({ 'retry-after': expect.any(String), 'x-ratelimit-remaining': '0' });
      expect((await attempt({ email: someEmail(), password: 'Wrong-Horse-1' })).status).toBe(401);
    });

    it('S15 email, username, their spellings, JSON, form and root dialect share the limit of the account', async () => {
      const ways: ((user: TestUser, password: string) => Promise<{ status: number }>)[] = [
        (user, password) => attempt({ email: user.email, password }),
        (user, password) => attempt({ username: user.username, password }),
        (user, password) => attempt({ email: user.username, password }),
        (user, password) => attempt({ username: ` ${user.email.toUpperCase()} `, password }),
        (user, password) => attempt({ username: user.username.toUpperCase(), password }, newAddress(), '/auth/login/'),
        (user, password) => attempt(`grant_type=password&username=${user.username}&password=${password}`),
      ];
      for (let first = 0; first < ways.length; first++) {
        const user = await aUser(limited);
        const order = [...ways.slice(first), ...ways.slice(0, first)];
        const statuses = [];
        for (const way of order.slice(0, 4)) statuses.push((await way(user, 'Wrong-Horse-1')).status);
        expect(statuses).toEqual([401, 401, 401, 429]);
        for (const way of ways) expect((await way(user, PASSWORD)).status).toBe(429);
      }
    });

    it('S15 every credential route in every spelling shares the bucket of the address', async () => {
      const spellings = [
        '/api/v1/auth/login',
        '/api/v1/auth/login/',
        '/auth/login',
        '/auth/login/?a=1',
        '/api/v1/auth/%6cogin',
        '/api/v1/auth/login#x',
        '/api/v1/auth/register',
        '/auth/register/',
        '/api/v1/users',
        '/users/',
        '/api/v1/auth/forgot-password',
        '/auth/reset-password/',
        '/api/v1/auth/verify-email',
        '/auth/resend-verification',
        '/api/v1/auth/undo-email-change',
        '/api/v1/auth/mfa/verify',
      ];
      for (let first = 0; first < spellings.length; first++) {
        const from = newAddress();
        const order = [...spellings.slice(first), ...spellings.slice(0, first)].slice(0, 6);
        const statuses = [];
        for (const path of order) {
          // supertest would tidy the path up.
          const response = await limited.app
            .getHttpAdapter()
            .getInstance()
            .inject({
              method: 'POST',
              url: path,
              headers: { 'x-forwarded-for': from, 'content-type': 'application/json' },
              payload: '{}',
              remoteAddress: '127.0.0.1',
            });
          statuses.push(response.statusCode);
        }
        expect([order[0], ...statuses]).toEqual([order[0], 422, 422, 422, 422, 422, 429]);
      }
    });

    it('S15 a spelling that leads past the bucket leads to no account either', async () => {
      const user = await aUser(limited);
      for (const path of [
        '/API/v1/auth/login',
        '/api/v1//auth/login',
        '/api/v1/auth/login;x',
        '/%61uth/login',
        '/Auth/login',
      ]) {
        const { status } = await attempt({ email: user.email, password: PASSWORD }, newAddress(), path);
        expect([path, status]).toEqual([path, 404]);
      }
    });
  });

  it('S19 changing the password asks the current one', async () => {
    const user = await aSignedInUser(app);
    const change = (body: object, path = '/api/v1/auth/change-password') =>
      app.http.post(path).set(user.auth).send(body);
    const next = 'Another-Horse-1';
    for (const path of ['/api/v1/auth/change-password', '/api/v1/users/change-password', '/users/change-password']) {
      await change({ new_password: next }, path).expect(422);
      await change({ current_password: null, new_password: next }, path).expect(422);
      const { body } = await change({ current_password: 'Wrong-Horse-1', new_password: next }, path).expect(400);
      expect(body.detail).toBe('Current password is incorrect');
    }
    await change({ current_password: PASSWORD, new_password: next, confirm_password: `${next}x` }).expect(422);
    await login(user.email, next).expect(401);
    await login(user.email, PASSWORD).expect(200);
    await change({ current_password: PASSWORD, new_password: next, confirm_password: next }).expect(200);
    await login(user.email, PASSWORD).expect(401);
    await login(user.email, next).expect(200);
  });

  it('S19 of two changes at once one wins', async () => {
    const user = await aSignedInUser(app);
    const news = ['First-Horse-1', 'Second-Horse-1', 'Third-Horse-1'];
    const answers = await Promise.all(
      news.map((password) =>
        app.http
          .post('/api/v1/auth/change-password')
          .set(user.auth)
          .send({ current_password: PASSWORD, new_password: password }),
      ),
    );
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 400, 400]);
    const winner = news[answers.findIndex(({ status }) => status === 200)];
    await login(user.email, winner).expect(200);
  });

  it('S19 deleting the own account asks the password', async () => {
    const user = await aSignedInUser(app);
    const remove = (body?: object, path = '/api/v1/users/me') => app.http.delete(path).set(user.auth).send(body);
    for (const path of ['/api/v1/users/me', '/users/me', '/api/v1/users/me/']) {
      await remove(undefined, path).expect(422);
      await remove({ password: null }, path).expect(422);
      const { body } = await remove({ password: 'Wrong-Horse-1' }, path).expect(400);
      expect(body.detail).toBe('Current password is incorrect');
    }
    await app.http.delete(`/api/v1/users/me?password=${PASSWORD}`).set(user.auth).expect(422);
    await app.http.get('/api/v1/users/me').set(user.auth).expect(200);
    await remove({ password: PASSWORD }).expect(204);
    await app.http.get('/api/v1/users/me').set(user.auth).expect(401);
    await login(user.email, PASSWORD).expect(401);
  });
});
