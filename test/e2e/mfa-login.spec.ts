import { Secret } from 'otpauth';
import { aSignedInUser, aUser, PASSWORD, type SignedIn, type TestUser } from '../support/builders.js';
import {
  codeOf,
  earlyInStep,
  enableSecondFactor,
  forgetSteps,
  freshCode,
  type SecondFactor,
  wrongCodeFor,
} from '../support/second-factor.js';
import { startTestApp, type TestApp } from '../support/test-app.js';
import { claimsOf, forgeJwt } from '../security/tools.js';

const LOGIN = '/api/v1/auth/login';
const VERIFY = '/api/v1/auth/mfa/verify';
const ME = '/api/v1/users/me';
const JWT_SECRET = 'the secret that signs the tokens of this file: 8d1f';

describe('signing in with a second factor', () => {
  let app: TestApp;
  beforeAll(async () => {
    app = await startTestApp({ JWT_SECRET, LOGIN_LOCKOUT: '25/900' });
  });
  afterAll(() => app.close());

  const withFactor = async (at = app): Promise<SignedIn & SecondFactor> => {
    const user = await aSignedInUser(at);
    return { ...user, ...(await enableSecondFactor(at, user)) };
  };
  const login = (user: TestUser, password = PASSWORD, at = app) =>
    at.http.post(LOGIN).send({ email: user.email, password });
  const tokenFor = async (user: TestUser, at = app): Promise<string> =>
    (await login(user, PASSWORD, at).expect(200)).body.mfa_token;
  const verify = (body: object, at = app) => at.http.post(VERIFY).send(body);
  const sessionsOf = async ({ id }: TestUser): Promise<number> =>
    (await app.pool.query('SELECT 1 FROM sessions WHERE user_id = $1', [id])).rowCount ?? 0;
  const lastLoginOf = async ({ id }: TestUser): Promise<unknown> =>
    (await app.pool.query('SELECT last_login FROM users WHERE id = $1', [id])).rows[0].last_login;
  const expectRefused = async (body: object, errorCode = 'invalid_mfa_token') => {
    const answer = await verify(body).expect(401);
    expect(answer.body.error_code).toBe(errorCode);
    expect(answer.headers['www-authenticate']).toBe('Bearer');
  };

  it('answers no tokens to the password alone, and makes no session', async () => {
    const user = await withFactor();
    const [sessions, lastLogin] = [await sessionsOf(user), await lastLoginOf(user)];
    const { body, headers } = await login(user).expect(200);
    expect(body).toEqual({ mfa_required: true, mfa_token: expect.any(String), expires_in: 300 });
    expect(headers['cache-control']).toBe('no-store');
    expect([await sessionsOf(user), await lastLoginOf(user)]).toEqual([sessions, lastLogin]);
  });

  it('answers what a login answers to the code', async () => {
    const user = await withFactor();
    const plain = await login(await aUser(app)).expect(200);
    const token = await tokenFor(user);
    const lastLogin = await lastLoginOf(user);
    const code = await freshCode(app, user.id, user.secret);
    const { body } = await verify({ mfa_token: token, code: `${code.slice(0, 3)} ${code.slice(3)}` }).expect(200);
    expect(Object.keys(body).sort()).toEqual(Object.keys(plain.body).sort());
    expect(body).toMatchObject({ token_type: 'bearer', expires_in: 900, user: { id: user.id, email: user.email } });
    await app.http.get(ME).set('Authorization', `Bearer ${body.access_token}`).expect(200);
    await app.http.post('/api/v1/auth/refresh').send({ refresh_token: body.refresh_token }).expect(200);
    expect(await lastLoginOf(user)).not.toEqual(lastLogin);
  });

  it('asks for it by username and by the form too, and in the envelope of the root dialect', async () => {
    const user = await withFactor();
    const form = { grant_type: 'password', username: user.username, password: PASSWORD };
    const { body } = await app.http.post(LOGIN).type('form').send(form).expect(200);
    expect(body).toEqual({ mfa_required: true, mfa_token: expect.any(String), expires_in: 300 });
    const root = await app.http.post('/auth/login').send({ username: user.email, password: PASSWORD }).expect(200);
    expect(root.body).toMatchObject({ status: 'success', code: 200, data: { mfa_required: true } });
    const code = await freshCode(app, user.id, user.secret);
    const { body: done } = await app.http
      .post('/auth/mfa/verify')
      .send({ mfa_token: root.body.data.mfa_token, code })
      .expect(200);
    expect(done).toMatchObject({ status: 'success', code: 200, data: { user: { id: user.id } } });
    expect((await app.http.post(VERIFY).type('form').send({ mfa_token: 'x', code }).expect(415)).body.code).toBe(415);
  });

  it('wants either a code or a recovery code', async () => {
    const user = await withFactor();
    const token = await tokenFor(user);
    for (const [body, message] of [
      [{}, 'either code or recovery_code is required'],
      [{ code: '123456', recovery_code: user.recoveryCodes[0] }, 'give code or recovery_code, not both'],
    ] as const) {
      const refused = await verify({ mfa_token: token, ...body }).expect(422);
      expect(refused.body.field_errors).toEqual({ code: [message], recovery_code: [message] });
    }
    for (const body of [{ code: null }, { code: 123456 }, { code: ['123456'] }, { recovery_code: {} }])
      await verify({ mfa_token: token, ...body }).expect(422);
    await verify({ code: '123456' }).expect(422);
    await verify({ mfa_token: token, code: '123456', role: 'admin' }).expect(422);
  });

  it('takes the codes of the step before and after, and no others', async () => {
    const user = await withFactor();
    await earlyInStep();
    for (const away of [-2, 2, -3, 3]) {
      await forgetSteps(app, user.id);
      await expectRefused({ mfa_token: await tokenFor(user), code: codeOf(user.secret, away) }, 'wrong_code');
    }
    for (const away of [-1, 0, 1]) {
      await forgetSteps(app, user.id);
      await verify({ mfa_token: await tokenFor(user), code: codeOf(user.secret, away) }).expect(200);
    }
  });

  it('takes the code of a step once, and none of a step before it afterwards', async () => {
    const user = await withFactor();
    await earlyInStep();
    await forgetSteps(app, user.id);
    await verify({ mfa_token: await tokenFor(user), code: codeOf(user.secret) }).expect(200);
    for (const away of [0, -1])
      await expectRefused({ mfa_token: await tokenFor(user), code: codeOf(user.secret, away) }, 'wrong_code');
    await verify({ mfa_token: await tokenFor(user), code: codeOf(user.secret, 1) }).expect(200);
    await expectRefused({ mfa_token: await tokenFor(user), code: codeOf(user.secret) }, 'wrong_code');
  });

  it('lets one in of twenty who come at once with one code', async () => {
    const user = await withFactor();
    const tokens = await Promise.all(Array.from({ length: 20 }, () => tokenFor(user)));
    const before = await sessionsOf(user);
    const code = await freshCode(app, user.id, user.secret);
    const answers = await Promise.all(tokens.map((token) => verify({ mfa_token: token, code })));
    expect(answers.map(({ status }) => status).sort()).toEqual([200, ...Array.from({ length: 19 }, () => 401)]);
    expect(await sessionsOf(user)).toBe(before + 1);
  });

  it('lets one in of ten who come at once with one recovery code, and nobody with it again', async () => {
    const user = await withFactor();
    const tokens = await Promise.all(Array.from({ length: 10 }, () => tokenFor(user)));
    const [recoveryCode] = user.recoveryCodes;
    const answers = await Promise.all(
      tokens.map((token) =>
        verify({ mfa_token: token, recovery_code: ` ${recoveryCode.toUpperCase().replace(/-/g, ' ')}` }),
      ),
    );
    expect(answers.map(({ status }) => status).sort()).toEqual([200, ...Array.from({ length: 9 }, () => 401)]);
    await expectRefused({ mfa_token: await tokenFor(user), recovery_code: recoveryCode }, 'wrong_code');
    await verify({ mfa_token: await tokenFor(user), recovery_code: user.recoveryCodes[1] }).expect(200);
    const { rows } = await app.pool.query('SELECT 1 FROM recovery_codes WHERE user_id = $1', [user.id]);
    expect(rows).toHaveLength(8);
  });

  it('takes a recovery code where the app’s is asked for, and counts no guess for it', async () => {
    const user = await withFactor();
    await verify({ mfa_token: await tokenFor(user), code: user.recoveryCodes[0].toUpperCase() }).expect(200);
    const { rows } = await app.pool.query(
      `SELECT details->>'reason' AS reason FROM audit_log WHERE actor_id = $1 AND action = 'login.failed'`,
      [user.id],
    );
    expect(rows).toEqual([]);
    await expectRefused({ mfa_token: await tokenFor(user), code: user.recoveryCodes[0] }, 'wrong_code');
  });

  it('does not take a code of the app for a recovery code, nor those of somebody else', async () => {
    const [user, other] = [await withFactor(), await withFactor()];
    const token = await tokenFor(user);
    const code = await freshCode(app, user.id, user.secret);
    await expectRefused({ mfa_token: token, recovery_code: code }, 'wrong_code');
    await expectRefused({ mfa_token: token, recovery_code: other.recoveryCodes[0] }, 'wrong_code');
    await expectRefused({ mfa_token: token, code: await freshCode(app, other.id, other.secret) }, 'wrong_code');
    await expectRefused({ mfa_token: token, code: '١٢٣٤٥٦' }, 'wrong_code');
    await verify({ mfa_token: token, code }).expect(200);
  });

  describe('the token between password and code', () => {
    it('survives a wrong code and is good for one success', async () => {
      const user = await withFactor();
      const token = await tokenFor(user);
      await expectRefused({ mfa_token: token, code: wrongCodeFor(user.secret) }, 'wrong_code');
      await verify({ mfa_token: token, code: await freshCode(app, user.id, user.secret) }).expect(200);
      await expectRefused({ mfa_token: token, code: await freshCode(app, user.id, user.secret) });
      await expectRefused({ mfa_token: token, recovery_code: user.recoveryCodes[0] });
      await verify({ mfa_token: await tokenFor(user), recovery_code: user.recoveryCodes[0] }).expect(200);
    });

    it('lets one in of two who come with it at once, by different codes', async () => {
      const user = await withFactor();
      const token = await tokenFor(user);
      const answers = await Promise.all(
        user.recoveryCodes.slice(0, 4).map((code) => verify({ mfa_token: token, recovery_code: code })),
      );
      expect(answers.map(({ status }) => status).sort()).toEqual([200, 401, 401, 401]);
      const { rows } = await app.pool.query('SELECT 1 FROM recovery_codes WHERE user_id = $1', [user.id]);
      expect(rows).toHaveLength(9);
    });

    it('S04 is no other token, and no other token is it', async () => {
      const user = await withFactor();
      const token = await tokenFor(user);
      await app.http.get(ME).set('Authorization', `Bearer ${token}`).expect(401);
      await app.http.get(ME).set('X-API-Key', token).expect(401);
      await app.http.post('/api/v1/auth/refresh').send({ refresh_token: token }).expect(401);
      await app.http.get(`/api/v1/broadcasting/stream?channel=news&ticket=${token}`).expect(401);
      const { body: stream } = await app.http.post('/api/v1/broadcasting/stream/ticket').set(user.auth).expect(201);
      const code = await freshCode(app, user.id, user.secret);
      for (const other of [user.accessToken, user.refreshToken, stream.ticket, '', 'x', `${token}x`, 'x'.repeat(5_000)])
        await expectRefused({ mfa_token: other, code });
      await verify({ mfa_token: token, code }).expect(200);
    });

    it('S01 S02 S05 forged or altered, is refused', async () => {
      const user = await withFactor();
      const other = await withFactor();
      const token = await tokenFor(user);
      const [header, payload, signature] = token.split('.');
      const claims = claimsOf(token);
      expect(claims).toMatchObject({ aud: 'gatehouse-mfa', iss: 'gatehouse', sub: user.id });
      expect(Number(claims.exp) - Number(claims.iat)).toBe(300);
      const altered = Buffer.from(JSON.stringify({ ...claims, sub: other.id })).toString('base64url');
      const code = await freshCode(app, user.id, user.secret);
      const otherCode = await freshCode(app, other.id, other.secret);
      for (const forged of [
        forgeJwt({ alg: 'none', typ: 'JWT' }, claims, JWT_SECRET, ''),
        forgeJwt({ alg: 'none', typ: 'JWT' }, claims, JWT_SECRET, signature),
        forgeJwt({ alg: 'HS256', typ: 'JWT' }, claims, JWT_SECRET),
        forgeJwt({ alg: 'HS512', typ: 'JWT' }, claims, JWT_SECRET),
        forgeJwt({ alg: 'HS256', typ: 'JWT' }, { ...claims, aud: 'gatehouse-api' }, JWT_SECRET),
        forgeJwt({ alg: 'HS256', typ: 'JWT', jwk: { kty: 'oct', k: 'AAAA' } }, claims, ''),
        `${header}.${payload}.`,
        `${header}.${altered}.${signature}`,
        `${header}.${payload}.${signature.slice(0, -2)}`,
      ]) {
        await expectRefused({ mfa_token: forged, code });
        await expectRefused({ mfa_token: forged, code: otherCode });
      }
      await verify({ mfa_token: token, code }).expect(200);
    });

    it('S03 ends after five minutes', async () => {
      const user = await withFactor();
      const token = await tokenFor(user);
      const code = await freshCode(app, user.id, user.secret);
      const clock = jest.spyOn(Date, 'now').mockReturnValue(Date.now() + 301_000);
      await expectRefused({ mfa_token: token, code });
      clock.mockRestore();
      await verify({ mfa_token: token, code }).expect(200);
    });

    it('dies with a change of the password', async () => {
      const user = await withFactor();
      const token = await tokenFor(user);
      await app.http
        .post('/api/v1/auth/change-password')
        .set(user.auth)
        .send({ current_password: PASSWORD, new_password: 'Another-Horse-1' })
        .expect(200);
      await expectRefused({ mfa_token: token, code: await freshCode(app, user.id, user.secret) });
    });

    it('dies with the second factor, and with the account', async () => {
      const [user, deleted] = [await withFactor(), await withFactor()];
      const token = await tokenFor(user);
      await app.http
        .post('/api/v1/auth/mfa/disable')
        .set(user.auth)
        .send({ password: PASSWORD, code: user.recoveryCodes[0] })
        .expect(204);
      await expectRefused({ mfa_token: token, recovery_code: user.recoveryCodes[1] });
      const gone = await tokenFor(deleted);
      await app.http.delete(ME).set(deleted.auth).send({ password: PASSWORD }).expect(204);
      await expectRefused({ mfa_token: gone, recovery_code: deleted.recoveryCodes[1] });
    });

    it('opens no account that was disabled meanwhile', async () => {
      const user = await withFactor();
      const token = await tokenFor(user);
      await app.pool.query('UPDATE users SET is_active = false WHERE id = $1', [user.id]);
      const { body } = await verify({ mfa_token: token, recovery_code: user.recoveryCodes[0] }).expect(403);
      expect(body.error_code).toBe('account_disabled');
      expect((await login(user).expect(403)).body.error_code).toBe('account_disabled');
    });

    it('is forgotten some time after it was spent', async () => {
      const user = await withFactor();
      await app.pool.query(
        `INSERT INTO spent_login_tokens SELECT gen_random_uuid(), now() - interval '2 hours' FROM generate_series(1, 5)`,
      );
      await verify({ mfa_token: await tokenFor(user), recovery_code: user.recoveryCodes[0] }).expect(200);
      const { rows } = await app.pool.query('SELECT 1 FROM spent_login_tokens WHERE expires_at < now()');
      expect(rows).toEqual([]);
    });
  });

  it('is written into the audit log, and no code or token is, nor into the log', async () => {
    const user = await withFactor();
    const from = app.log.length;
    const wrong = wrongCodeFor(user.secret);
    const tokens = [await tokenFor(user), await tokenFor(user), await tokenFor(user)];
    await verify({ mfa_token: tokens[0], code: wrong }).expect(401);
    const code = await freshCode(app, user.id, user.secret);
    const { body } = await verify({ mfa_token: tokens[1], code }).expect(200);
    await verify({ mfa_token: tokens[2], recovery_code: user.recoveryCodes[0] }).expect(200);
    await verify({ mfa_token: tokens[2], recovery_code: user.recoveryCodes[1] }).expect(401);

    const { rows } = await app.pool.query(
      `SELECT action, actor_id, target_type, details FROM audit_log
       WHERE (actor_id = $1 OR target_id = $1::text) AND (action LIKE 'login.%' OR action = 'mfa.recovery_code_used') ORDER BY id`,
      [user.id],
    );
    const ofSession = (factor: string) => ({ second_factor: factor, session_id: expect.any(String) });
    expect(rows.slice(-4)).toEqual([
      { action: 'login.failed', actor_id: null, target_type: 'user', details: { reason: 'wrong_code' } },
      { action: 'login.succeeded', actor_id: user.id, target_type: 'user', details: ofSession('totp') },
      { action: 'mfa.recovery_code_used', actor_id: user.id, target_type: 'user', details: {} },
      {
        action: 'login.succeeded',
        actor_id: user.id,
        target_type: 'user',
        details: ofSession('recovery_code'),
      },
    ]);

    const audit = await app.pool.query<{ row: string }>('SELECT a::text AS row FROM audit_log a');
    const written = [...app.log.slice(from), ...audit.rows.map(({ row }) => row)].join('\n');
    expect(written).toContain('mfa/verify');
    const secrets = [...user.recoveryCodes, ...tokens, ...tokens.map((token) => token.split('.')[2]), user.secret];
    const raw = Buffer.from(Secret.fromBase32(user.secret).bytes).toString('hex');
    for (const secret of [...secrets, body.access_token, body.refresh_token, raw, PASSWORD])
      expect(written).not.toContain(secret);
    for (const digits of [code, wrong]) expect(written).not.toMatch(new RegExp(`(?<![0-9a-f-])${digits}(?![0-9a-f-])`));
  });

  it('says in the log whose second factor cannot be read, and why, and to the client nothing', async () => {
    const user = await withFactor();
    await app.pool.query(`UPDATE second_factors SET secret = $2 WHERE user_id = $1`, [user.id, Buffer.alloc(48)]);
    const { body } = await verify({ mfa_token: await tokenFor(user), code: codeOf(user.secret) }).expect(500);
    expect(body).toMatchObject({ error_code: 'internal_error', detail: 'Internal server error' });
    expect(
      app.log.filter((line) => line.includes(`The second factor of user ${user.id} cannot be decrypted`)),
    ).toHaveLength(1);
    await verify({ mfa_token: await tokenFor(user), recovery_code: user.recoveryCodes[0] }).expect(200);
  });

  describe('guesses', () => {
    let limited: TestApp;
    beforeAll(async () => {
      limited = await startTestApp({ LOGIN_LOCKOUT: '3/900' });
    });
    afterAll(() => limited.close());

    it('S14 count for the account, whatever came right between them; then nothing is good any more', async () => {
      const user = await withFactor(limited);
      const token = await tokenFor(user, limited);
      await verify({ mfa_token: token, code: wrongCodeFor(user.secret) }, limited).expect(401);
      await login(user, 'Wrong-Horse-1', limited).expect(401);
      await tokenFor(user, limited);
      await verify({ mfa_token: token, recovery_code: 'wrong' }, limited).expect(401);
      const right = await freshCode(limited, user.id, user.secret);
      for (const body of [{ code: right }, { recovery_code: user.recoveryCodes[0] }, { code: 'x' }]) {
        const { body: refused, headers } = await verify({ mfa_token: token, ...body }, limited).expect(429);
        expect(refused.error_code).toBe('too_many_attempts');
        expect(Number(headers['retry-after'])).toBeGreaterThan(0);
      }
      await login(user, PASSWORD, limited).expect(429);
      const { rows } = await limited.pool.query('SELECT 1 FROM recovery_codes WHERE user_id = $1', [user.id]);
      expect(rows).toHaveLength(10);
      await limited.http.get(ME).set(user.auth).expect(200);
    });

    it('S14 made at once are not more guesses, and the right one among them after the limit is refused', async () => {
      const user = await withFactor(limited);
      const token = await tokenFor(user, limited);
      const before = await limited.pool.query('SELECT 1 FROM sessions WHERE user_id = $1', [user.id]);
      const wrong = wrongCodeFor(user.secret);
      const guesses = Array.from({ length: 15 }, () => verify({ mfa_token: token, code: wrong }, limited));
      const answers = await Promise.all(guesses);
      expect(answers.map(({ status }) => status).sort()).toEqual([401, 401, 401, ...Array(12).fill(429)]);
      await verify({ mfa_token: token, code: await freshCode(limited, user.id, user.secret) }, limited).expect(429);
      const after = await limited.pool.query('SELECT 1 FROM sessions WHERE user_id = $1', [user.id]);
      expect(after.rowCount).toBe(before.rowCount);
    });

    it('S15 of one address share the bucket of the credentials', async () => {
      // The builder signs up once, before anything is counted.
      await aUser(app);
      const counted = await startTestApp({ RATE_LIMIT_ENABLED: 'true', RATE_LIMIT_CREDENTIALS: '3/60' });
      await login(await aUser(counted), PASSWORD, counted).expect(200);
      for (let i = 0; i < 2; i++) await verify({ mfa_token: 'x', code: '123456' }, counted).expect(401);
      const { body } = await verify({ mfa_token: 'x', code: '123456' }, counted).expect(429);
      await counted.close();
      expect(body).toMatchObject({
        error_code: 'rate_limited',
        detail: 'Too many login attempts. Please try again later.',
      });
    });
  });
});
