import { randomUUID } from 'node:crypto';
import { Secret } from 'otpauth';
import { aSignedInUser, anAdmin, aUser, PASSWORD, signIn, type SignedIn } from '../support/builders.js';
import { codeOf, enableSecondFactor, freshCode, wrongCodeFor } from '../support/second-factor.js';
import { startTestApp, type TestApp } from '../support/test-app.js';

const MFA = '/api/v1/auth/mfa';
const LOGIN = '/api/v1/auth/login';

describe('the second factor of an account', () => {
  let app: TestApp;
  beforeAll(async () => {
    app = await startTestApp();
  });
  afterAll(() => app.close());

  const status = async ({ auth }: SignedIn) => (await app.http.get(MFA).set(auth).expect(200)).body;
  const send = (what: string, { auth }: SignedIn, body: object) => app.http.post(`${MFA}/${what}`).set(auth).send(body);
  const setUp = async (user: SignedIn): Promise<string> =>
    (await send('setup', user, { password: PASSWORD }).expect(200)).body.secret;
  const expectPasswordAlone = (user: SignedIn) => signIn(app, user);
  const audited = async (userId: string): Promise<string[]> => {
    const { rows } = await app.pool.query(
      "SELECT action FROM audit_log WHERE target_id = $1 AND action LIKE 'mfa.%' ORDER BY id",
      [userId],
    );
    return rows.map(({ action }) => action);
  };

  describe('setup', () => {
    it('answers the secret, a URI and a picture of it, and changes nothing yet', async () => {
      const user = await aSignedInUser(app);
      const { body } = await send('setup', user, { password: PASSWORD }).expect(200);
      expect(Object.keys(body).sort()).toEqual(['otpauth_uri', 'qr_svg', 'secret']);
      const uri = new URL(body.otpauth_uri);
      expect(uri.searchParams.get('secret')).toBe(body.secret);
      expect(uri.searchParams.get('issuer')).toBe('Gatehouse');
      expect(decodeURIComponent(uri.pathname)).toContain(user.email);
      expect(body.qr_svg).toMatch(/^<svg [^]*<\/svg>\s*$/);
      expect(body.qr_svg).not.toMatch(/<script|href|url\(/i);
      expect(await status(user)).toEqual({ enabled: false, required: false, recovery_codes_left: 0 });
      await expectPasswordAlone(user);
    });

    it('draws the longest name of product and user', async () => {
      const longNamed = await startTestApp({ PRODUCT_NAME: '漢'.repeat(60) });
      const email = `${'ü'.repeat(32)}@${'漢'.repeat(60)}.${'漢'.repeat(20)}.example`;
      const { auth } = await aSignedInUser(longNamed, { email });
      const { body } = await longNamed.http.post(`${MFA}/setup`).set(auth).send({ password: PASSWORD }).expect(200);
      await longNamed.close();
      expect(decodeURIComponent(new URL(body.otpauth_uri).pathname)).toContain(email);
      expect(body.qr_svg).toContain('<svg ');
    });

    it('asks for the password', async () => {
      const user = await aSignedInUser(app);
      const { body } = await send('setup', user, { password: 'Wrong-Horse-1' }).expect(400);
      expect(body.error_code).toBe('wrong_password');
      const { rows } = await app.pool.query('SELECT 1 FROM second_factors WHERE user_id = $1', [user.id]);
      expect(rows).toEqual([]);
    });

    it('begun again, replaces what was not confirmed', async () => {
      const user = await aSignedInUser(app);
      const [first, second] = [await setUp(user), await setUp(user)];
      expect(second).not.toBe(first);
      const { body } = await send('confirm', user, { code: codeOf(first) }).expect(400);
      expect(body.error_code).toBe('wrong_code');
      await send('confirm', user, { code: codeOf(second) }).expect(200);
    });

    it('begun by two requests at once, leaves one secret', async () => {
      const user = await aSignedInUser(app);
      const secrets = await Promise.all([setUp(user), setUp(user)]);
      const answers = [];
      for (const secret of secrets) answers.push(await send('confirm', user, { code: codeOf(secret) }));
      const good = answers.filter(({ status }) => status === 200);
      expect(good).toHaveLength(1);
      expect((await status(user)).enabled).toBe(true);
    });

    it('replaces no secret that is confirmed while the setup is under way', async () => {
      const user = await aSignedInUser(app);
      await setUp(user);
      const confirming = await app.pool.connect();
      await confirming.query('BEGIN');
      await confirming.query('UPDATE second_factors SET confirmed_at = now() WHERE user_id = $1', [user.id]);
      const pending = send('setup', user, { password: PASSWORD }).then(({ status }) => status);
      for (let waiting = 0; waiting === 0;) {
        const { rows } = await app.pool.query(
          "SELECT count(*)::integer AS n FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'",
        );
        waiting = rows[0].n;
      }
      await confirming.query('COMMIT');
      confirming.release();
      expect(await pending).toBe(409);
    });

    it('is refused where there is one already', async () => {
      const user = await aSignedInUser(app);
      const { secret } = await enableSecondFactor(app, user);
      const { body } = await send('setup', user, { password: PASSWORD }).expect(409);
      expect(body.error_code).toBe('mfa_already_enabled');
      const again = await send('confirm', user, { code: codeOf(secret, 1) }).expect(409);
      expect(again.body.error_code).toBe('mfa_already_enabled');
    });
  });

  describe('confirming', () => {
    it('turns it on, shows ten recovery codes, and ends the other sessions but not this one or the keys', async () => {
      const user = await aSignedInUser(app);
      const other = await signIn(app, user);
      const { body: key } = await app.http
        .post('/api/v1/users/me/api-keys')
        .set(user.auth)
        .send({ name: 'a key' })
        .expect(201);
      const secret = await setUp(user);
      const code = codeOf(secret);
      const { body } = await send('confirm', user, { code: ` ${code.slice(0, 3)} ${code.slice(3)} ` }).expect(200);
      expect(body.recovery_codes).toHaveLength(10);
      expect(await status(user)).toEqual({ enabled: true, required: false, recovery_codes_left: 10 });
      await app.http.get('/api/v1/users/me').set(other.auth).expect(401);
      await app.http.get('/api/v1/users/me').set('X-API-Key', key.key).expect(200);
      expect(await audited(user.id)).toEqual(['mfa.enabled']);
    });

    it('is refused without a setup, and by a wrong code', async () => {
      const user = await aSignedInUser(app);
      expect((await send('confirm', user, { code: '123456' }).expect(409)).body.error_code).toBe('mfa_setup_missing');
      const secret = await setUp(user);
      for (const code of [wrongCodeFor(secret), '', 'abc', '1'.repeat(7), codeOf(secret, 40)]) {
        const { body } = await send('confirm', user, { code }).expect(400);
        expect(body).toMatchObject({ error_code: 'wrong_code', detail: 'The code is not correct' });
      }
      await send('confirm', user, { code: 123456 }).expect(422);
      expect((await status(user)).enabled).toBe(false);
      await expectPasswordAlone(user);
    });

    it('by many requests at once with one code, makes one set of recovery codes', async () => {
      const user = await aSignedInUser(app);
      const code = codeOf(await setUp(user));
      const answers = await Promise.all(Array.from({ length: 10 }, () => send('confirm', user, { code })));
      expect(answers.map(({ status }) => status).sort()).toEqual([200, ...Array.from({ length: 9 }, () => 409)]);
      expect((await status(user)).recovery_codes_left).toBe(10);
    });

    it('uses the code up: it does not sign in as well', async () => {
      const user = await aSignedInUser(app);
      const secret = await setUp(user);
      const code = codeOf(secret);
      await send('confirm', user, { code }).expect(200);
      const { body } = await app.http.post(LOGIN).send({ email: user.email, password: PASSWORD }).expect(200);
      await app.http.post(`${MFA}/verify`).send({ mfa_token: body.mfa_token, code }).expect(401);
    });

    it('leaves no session to a login that was under way', async () => {
      const user = await aSignedInUser(app);
      const secret = await setUp(user);
      const login = () => app.http.post(LOGIN).send({ email: user.email, password: PASSWORD });
      const [, ...answers] = await Promise.all([
        send('confirm', user, { code: codeOf(secret) }).expect(200),
        ...Array.from({ length: 10 }, login),
      ]);
      const { rows } = await app.pool.query<{ id: string }>('SELECT id FROM sessions WHERE user_id = $1', [user.id]);
      expect(rows).toHaveLength(1);
      for (const { status, body } of answers)
        if (status === 200 && body.access_token)
          await app.http.get('/api/v1/users/me').set('Authorization', `Bearer ${body.access_token}`).expect(401);
    });
  });

  describe('turning it off and renewing recovery codes', () => {
    it.each([
      ['a code of the app', (_codes: string[], code: string) => ({ code })],
      ['a recovery code', (codes: string[]) => ({ code: codes[3].toUpperCase() })],
      ['a recovery code in its own field', (codes: string[]) => ({ recovery_code: codes[3] })],
    ])('is done by password and %s', async (_title, proofFor) => {
      const user = await aSignedInUser(app);
      const { secret, recoveryCodes } = await enableSecondFactor(app, user);
      const renewed = await send('recovery-codes', user, {
        password: PASSWORD,
        ...proofFor(recoveryCodes, await freshCode(app, user.id, secret)),
      }).expect(200);
      const codes: string[] = renewed.body.recovery_codes;
      expect(codes).toHaveLength(10);
      expect(codes.filter((code) => recoveryCodes.includes(code))).toEqual([]);
      expect((await status(user)).recovery_codes_left).toBe(10);
      const old = await send('disable', user, { password: PASSWORD, code: recoveryCodes[5] }).expect(400);
      expect(old.body.error_code).toBe('wrong_code');

      const proof = proofFor(codes, await freshCode(app, user.id, secret));
      await send('disable', user, { password: PASSWORD, ...proof }).expect(204, {});
      expect(await status(user)).toEqual({ enabled: false, required: false, recovery_codes_left: 0 });
      await expectPasswordAlone(user);
      const actions = await audited(user.id);
      expect(actions.filter((action) => action !== 'mfa.recovery_code_used')).toEqual([
        'mfa.enabled',
        'mfa.recovery_codes_renewed',
        'mfa.disabled',
      ]);
      expect(actions.filter((action) => action === 'mfa.recovery_code_used')).toHaveLength(
        _title.includes('rec') ? 2 : 0,
      );
    });

    it.each(['recovery-codes', 'disable'])('%s is refused without both, and where there is none', async (what) => {
      const user = await aSignedInUser(app);
      const none = await send(what, user, { password: PASSWORD, code: '123456' }).expect(409);
      expect(none.body.error_code).toBe('mfa_not_enabled');
      const { secret, recoveryCodes } = await enableSecondFactor(app, user);
      const code = await freshCode(app, user.id, secret);
      for (const [body, errorCode] of [
        [{ password: 'Wrong-Horse-1', code }, 'wrong_password'],
        [{ password: 'Wrong-Horse-1', code: recoveryCodes[0] }, 'wrong_password'],
        [{ password: PASSWORD, code: wrongCodeFor(secret) }, 'wrong_code'],
        [{ password: PASSWORD, code: '' }, 'wrong_code'],
      ] as const) {
        expect((await send(what, user, body).expect(400)).body.error_code).toBe(errorCode);
      }
      await send(what, user, { password: PASSWORD }).expect(422);
      const both = await send(what, user, { password: PASSWORD, code, recovery_code: recoveryCodes[0] }).expect(422);
      expect(both.body.field_errors.code).toEqual(['give code or recovery_code, not both']);
      expect(await status(user)).toEqual({ enabled: true, required: false, recovery_codes_left: 10 });
      await send(what, user, { password: PASSWORD, code }).expect(what === 'disable' ? 204 : 200);
    });

    it('counts wrong codes like wrong passwords; then the right ones are refused too', async () => {
      const locking = await startTestApp({ LOGIN_LOCKOUT: '3/900' });
      const user = await aSignedInUser(locking);
      const { secret, recoveryCodes } = await enableSecondFactor(locking, user);
      const disable = (password: string, code: string) =>
        locking.http.post(`${MFA}/disable`).set(user.auth).send({ password, code });
      for (let i = 0; i < 3; i++) await disable(PASSWORD, wrongCodeFor(secret)).expect(400);
      for (const code of [await freshCode(locking, user.id, secret), recoveryCodes[0]]) {
        const { body, headers } = await disable(PASSWORD, code).expect(429);
        expect(body.error_code).toBe('too_many_attempts');
        expect(Number(headers['retry-after'])).toBeGreaterThan(0);
      }
      await locking.http
        .get(MFA)
        .set(user.auth)
        .expect(200, { enabled: true, required: false, recovery_codes_left: 10 });
      await locking.close();
    });
  });

  describe('by an admin', () => {
    const remove = (id: string, auth: Record<string, string>) =>
      app.http.delete(`/api/v1/admin/users/${id}/mfa`).set(auth);

    it('is removed, and the user is signed out everywhere', async () => {
      const [admin, user] = [await anAdmin(app), await aSignedInUser(app)];
      await enableSecondFactor(app, user);
      await remove(user.id, admin.auth).expect(204, {});
      await app.http.get('/api/v1/users/me').set(user.auth).expect(401);
      await expectPasswordAlone(user);
      const { rows } = await app.pool.query(
        "SELECT actor_id FROM audit_log WHERE action = 'mfa.disabled' AND target_id = $1",
        [user.id],
      );
      expect(rows).toEqual([{ actor_id: admin.id }]);
      const left = await app.pool.query(
        'SELECT (SELECT count(*) FROM second_factors WHERE user_id = $1) + (SELECT count(*) FROM recovery_codes WHERE user_id = $1) AS n',
        [user.id],
      );
      expect(left.rows).toEqual([{ n: '0' }]);
    });

    it('is not removed where there is none, from nobody, from oneself, by a key or by anybody else', async () => {
      const [admin, user] = [await anAdmin(app), await aSignedInUser(app)];
      const none = await remove(user.id, admin.auth).expect(409);
      expect(none.body.error_code).toBe('mfa_not_enabled');
      await app.http.get('/api/v1/users/me').set(user.auth).expect(200);
      expect((await remove(randomUUID(), admin.auth).expect(404)).body.error_code).toBe('user_not_found');
      await remove('x', admin.auth).expect(404);
      await enableSecondFactor(app, admin);
      expect((await remove(admin.id, admin.auth).expect(403)).body.error_code).toBe('own_second_factor');
      await enableSecondFactor(app, user);
      await remove(user.id, (await aSignedInUser(app)).auth).expect(403);
      await remove(user.id, user.auth).expect(403);
      await remove(user.id, {}).expect(401);
      const { body: key } = await app.http
        .post('/api/v1/users/me/api-keys')
        .set(admin.auth)
        .send({ name: 'all', scopes: ['admin', 'users:write'] })
        .expect(201);
      expect((await remove(user.id, { 'X-API-Key': key.key }).expect(403)).body.error_code).toBe('insufficient_scope');
      expect((await status(user)).enabled).toBe(true);
    });
  });

  it('is out of reach for API keys, whatever their scopes', async () => {
    const admin = await anAdmin(app);
    const { secret } = await enableSecondFactor(app, admin);
    const scopes = ['users:read', 'users:write', 'uploads:read', 'uploads:write', 'broadcast:read', 'admin'];
    const { body: key } = await app.http
      .post('/api/v1/users/me/api-keys')
      .set(admin.auth)
      .send({ name: 'all', scopes })
      .expect(201);
    const both = { password: PASSWORD, code: await freshCode(app, admin.id, secret) };
    for (const call of [
      app.http.get(MFA),
      app.http.post(`${MFA}/setup`).send({ password: PASSWORD }),
      app.http.post(`${MFA}/confirm`).send({ code: both.code }),
      app.http.post(`${MFA}/recovery-codes`).send(both),
      app.http.post(`${MFA}/disable`).send(both),
    ]) {
      const { body } = await call.set('X-API-Key', key.key).expect(403);
      expect(body.error_code).toBe('insufficient_scope');
    }
    expect((await status(admin)).enabled).toBe(true);
  });

  it('is not in the database in a form that can be read', async () => {
    const user = await aSignedInUser(app);
    const { secret, recoveryCodes } = await enableSecondFactor(app, user);
    const raw = Buffer.from(Secret.fromBase32(secret).bytes);
    const { rows: tables } = await app.pool.query<{ name: string }>(
      "SELECT quote_ident(table_name) AS name FROM information_schema.tables WHERE table_schema = 'public' AND table_type = 'BASE TABLE'",
    );
    let dump = '';
    for (const { name } of tables) {
      const { rows } = await app.pool.query<{ row: string }>(`SELECT t::text AS row FROM ${name} t`);
      dump += rows.map(({ row }) => row).join('\n');
    }
    expect(dump).toContain(user.id);
    const forms = [secret, raw.toString('hex'), raw.toString('base64'), raw.toString('latin1')];
    const codes = recoveryCodes.flatMap((code) => [code, code.replace(/-/g, '')]);
    for (const text of [...forms, ...codes]) expect(dump.toLowerCase()).not.toContain(text.toLowerCase());
  });

  it('leaves with its account', async () => {
    const user = await aSignedInUser(app);
    await enableSecondFactor(app, user);
    await app.http.delete('/api/v1/users/me').set(user.auth).send({ password: PASSWORD }).expect(204);
    const { rows } = await app.pool.query('SELECT 1 FROM second_factors WHERE user_id = $1', [user.id]);
    expect(rows).toEqual([]);
  });

  it('answers in the envelope of the root dialect', async () => {
    const user = await aSignedInUser(app);
    const { body } = await app.http.get('/auth/mfa').set(user.auth).expect(200);
    expect(body).toEqual({
      data: { enabled: false, required: false, recovery_codes_left: 0 },
      status: 'success',
      code: 200,
    });
  });

  it.each(['setup', 'confirm', 'recovery-codes', 'disable'])('%s is refused to guests', async (what) => {
    await aUser(app);
    const { body } = await app.http.post(`${MFA}/${what}`).send({ password: PASSWORD, code: '123456' }).expect(401);
    expect(body.error_code).toBe('not_authenticated');
  });
});
