import { randomBytes } from 'node:crypto';
import { AccountMails, AUTH, INVALID, NEW_PASSWORD, someEmail } from '../support/account-mails.js';
import { aSignedInUser, anAdmin, aUser, PASSWORD, signIn, type TestUser } from '../support/builders.js';
import {
  ageTokens,
  FACTOR_DISABLED,
  FACTOR_ENABLED,
  Mailboxes,
  PASSWORD_CHANGED,
  PUBLIC_URL,
  type ReadMail,
  RESET,
  settle,
  VERIFY,
} from '../support/mailboxes.js';
import { enableSecondFactor } from '../support/second-factor.js';
import { startTestApp, type TestApp } from '../support/test-app.js';
import { until } from '../support/uploads.js';

describe('mails of accounts', () => {
  let app: TestApp;
  let mailboxes: Mailboxes;
  let mails: AccountMails;

  beforeAll(async () => {
    mailboxes = await Mailboxes.start();
    app = await startTestApp(mailboxes.settings);
    mails = new AccountMails(app, mailboxes);
  });
  afterAll(async () => {
    await app.close();
    await mailboxes.stop();
  });

  const [forgot, resend, verify] = [...(['forgot', 'resend', 'verify'] as const)].map(
    (name) => (argument: string) => mails[name](argument),
  );
  const reset = (...given: Parameters<AccountMails['reset']>) => mails.reset(...given);

  it.each<[string, (mail: ReadMail) => string]>([
    ['text', ({ text }) => text],
    ['HTML', ({ html }) => html],
  ])('carry their link in the %s, on the configured page, and the product by its name', async (_, part) => {
    const user = await aUser(app);
    await mails.resetToken(user);
    const mail = await mailboxes.last(app, user.email, RESET);
    expect(mail.to).toBe(user.email);
    expect(mail.link?.href).toMatch(new RegExp(`^${PUBLIC_URL}/account/reset\\?token=[\\w-]{43}$`));
    expect(part(mail)).toContain(mail.link?.href);
    expect(part(mail)).toContain('Teapot');
  });

  it('say nothing that a user has written', async () => {
    const email = someEmail();
    const names = { full_name: 'Visit https://evil.example now', username: `evil_${randomBytes(4).toString('hex')}` };
    const agent = 'Mozilla/5.0 (X11; Linux x86_64) https://evil.example Firefox/140.0';
    await app.http
      .post(`${AUTH}/register`)
      .set('User-Agent', agent)
      .send({ email, password: PASSWORD, ...names })
      .expect(201);
    await mails.post('forgot-password', { email }, { 'User-Agent': agent });
    const read = await mailboxes.of(app, email);
    expect(read.map(({ subject }) => subject).sort()).toEqual([
      'Confirm your email address for Teapot',
      'Set a new password for Teapot',
    ]);
    for (const { text, html } of read) expect(text + html).not.toMatch(/evil/);
    expect((await mailboxes.last(app, email, RESET)).text).toMatch(
      /from the address\s127\.0\.0\.1,\swith\sFirefox\son\sLinux/,
    );
  });

  describe('about the second factor', () => {
    const about = async ({ email }: TestUser, what: RegExp) =>
      (await mailboxes.last(app, email, what)).text.replace(/\s+/g, ' ');

    it('tell the owner that it was set up, and that it was removed', async () => {
      const user = await aSignedInUser(app);
      const { recoveryCodes } = await enableSecondFactor(app, user);
      expect(await about(user, FACTOR_ENABLED)).toMatch(/asks for a code .* from the address 127\.0\.0\.1, with/);
      const proof = { password: PASSWORD, code: recoveryCodes[0] };
      await mails.post('mfa/disable', proof, user.auth);
      expect(await about(user, FACTOR_DISABLED)).toMatch(/asks for no code .* from the address 127\.0\.0\.1, with/);
      expect(await mails.countMails(user, FACTOR_DISABLED)).toBe(1);
    });

    it('tell of an admin’s doing, and not where the admin was', async () => {
      const [admin, user] = [await anAdmin(app), await aSignedInUser(app)];
      await enableSecondFactor(app, user);
      await app.http.delete(`/api/v1/admin/users/${user.id}/mfa`).set(admin.auth).expect(204);
      expect(await about(user, FACTOR_DISABLED)).not.toMatch(/127\.0\.0\.1|unknown program/);
      expect(await mailboxes.of(app, admin.email)).toEqual([]);
    });

    it('tell of a reset that removed it', async () => {
      const user = await aSignedInUser(app);
      await enableSecondFactor(app, user);
      await reset(await mails.resetToken(user));
      expect(await mails.countMails(user, FACTOR_DISABLED)).toBe(1);
    });

    it('are none where there was none', async () => {
      const user = await aSignedInUser(app);
      await mails.post('mfa/setup', { password: PASSWORD }, user.auth);
      await reset(await mails.resetToken(user));
      expect(await mails.countMails(user, /second factor/)).toBe(0);
    });
  });

  describe('POST /auth/verify-email', () => {
    it('verifies what the registration mail was sent to', async () => {
      const email = someEmail();
      const { body } = await app.http.post(`${AUTH}/register`).send({ email, password: PASSWORD }).expect(201);
      expect(body.is_verified).toBe(false);
      const token = await mailboxes.token(app, email, VERIFY);
      expect(await verify(token)).toEqual({ status: 200, message: 'Email address verified successfully' });
      expect((await mails.rowOf(body)).is_verified).toBe(true);
      expect(await mails.auditOf(body.id, 'email.verified')).toEqual([
        expect.objectContaining({ actor_id: null, ip_address: '127.0.0.1', details: {} }),
      ]);
      expect(await verify(token)).toMatchObject(INVALID);
      expect(await mails.countMails({ email }, VERIFY)).toBe(1);
    });

    it.each<[string, (user: TestUser, token: string) => Promise<unknown>]>([
      ['used', (_, token) => verify(token)],
      ['an hour old', ({ id }) => ageTokens(app, id, '1 hour')],
      [
        'of an account that is disabled',
        ({ id }) => app.pool.query('UPDATE users SET is_active = false WHERE id = $1', [id]),
      ],
      ['of an account that is gone', ({ id }) => app.pool.query('DELETE FROM users WHERE id = $1', [id])],
      [
        'of an address that has changed',
        async (user) => {
          const { auth } = await signIn(app, user);
          await app.http.patch('/api/v1/users/me').set(auth).send({ email: someEmail() }).expect(200);
        },
      ],
      [
        'of an address that was changed by somebody who told nobody',
        ({ id }) => app.pool.query('UPDATE users SET email = $2 WHERE id = $1', [id, someEmail()]),
      ],
    ])('refuses a token that is %s', async (_, happens) => {
      const user = await aUser(app);
      const token = await mails.verifyToken(user);
      await happens(user, token);
      expect(await verify(token)).toMatchObject(INVALID);
    });

    it.each([
      ['unknown', { token: 'A'.repeat(43) }, 400],
      ['empty', { token: '' }, 400],
      ['very long', { token: 'A'.repeat(10_000) }, 400],
      ['no text', { token: 7 }, 422],
      ['missing', {}, 422],
      ['not alone', { token: 'A', email: 'user@example.com' }, 422],
    ])('refuses a token that is %s', async (_, body, status) => {
      expect((await mails.post('verify-email', body)).status).toBe(status);
    });

    it('uses all of its kind up', async () => {
      const user = await aUser(app);
      const first = await mails.verifyToken(user);
      await ageTokens(app, user.id, '2 minutes');
      const second = await mails.verifyToken(user);
      expect(second).not.toBe(first);
      expect((await verify(first)).status).toBe(200);
      expect(await verify(second)).toMatchObject(INVALID);
    });

    it('tells the sockets of the user as any other change', async () => {
      const user = await aUser(app);
      await verify(await mails.verifyToken(user));
      const { rows } = await app.pool.query(
        `SELECT m.event, m.data FROM messages m JOIN channels c ON c.id = m.channel_id WHERE c.name = $1`,
        [`private-user.${user.id}`],
      );
      expect(rows.map(({ event, data }) => [event, JSON.parse(data).is_verified])).toEqual([['user.updated', true]]);
    });
  });

  describe('POST /auth/resend-verification', () => {
    it('signed in needs no address, and no body', async () => {
      const user = await aSignedInUser(app);
      await app.http.post(`${AUTH}/resend-verification`).set(user.auth).expect(202);
      expect((await verify(await mailboxes.token(app, user.email, VERIFY))).status).toBe(200);
    });

    it('sends one a minute, and five an hour', async () => {
      const user = await aUser(app);
      for (let i = 0; i < 3; i++) await resend(user.email);
      expect(await mails.countMails(user, VERIFY)).toBe(1);
      for (let i = 0; i < 6; i++) {
        await ageTokens(app, user.id, '1 minute');
        await resend(user.email);
        await settle(app);
      }
      expect(await mails.countMails(user, VERIFY)).toBe(5);
      await ageTokens(app, user.id, '56 minutes');
      await resend(user.email);
      expect(await mails.countMails(user, VERIFY)).toBe(6);
    });

    it('counts the mails of an address, whatever account has it and whatever becomes of that', async () => {
      const email = someEmail();
      for (let i = 0; i < 3; i++) {
        await app.http.post(`${AUTH}/register`).send({ email, password: PASSWORD }).expect(201);
        expect(await mails.countMails({ email }, VERIFY)).toBe(1);
        const { auth } = await signIn(app, { id: '', username: '', email, password: PASSWORD });
        const change = { current_password: PASSWORD, new_password: NEW_PASSWORD };
        await app.http.post(`${AUTH}/change-password`).set(auth).send(change).expect(200);
        await resend(email);
        expect(await mails.countMails({ email }, VERIFY)).toBe(1);
        await app.http.delete('/api/v1/users/me').set(auth).send({ password: NEW_PASSWORD }).expect(204);
      }
    });

    it.each<[string, () => Promise<string>]>([
      ['an address that is nobody’s', async () => someEmail()],
      [
        'one that is verified',
        async () => {
          const { id, email } = await aUser(app);
          await app.pool.query('UPDATE users SET is_verified = true WHERE id = $1', [id]);
          return email;
        },
      ],
      ['one of a disabled account', async () => (await aUser(app, { isActive: false })).email],
    ])('sends nothing to %s, and does not say so', async (_, prepare) => {
      const email = await prepare();
      const answer = await resend(email);
      expect(answer).toEqual(await resend((await aUser(app)).email));
      expect(answer.status).toBe(202);
      expect(await mailboxes.of(app, email)).toEqual([]);
    });

    it('asks a guest for the address', async () => {
      expect(await mails.post('resend-verification', {})).toMatchObject({
        status: 422,
        error_code: 'validation_error',
        field_errors: { email: ['field required'] },
      });
    });

    it('tells who comes with bad credentials, and without an address, that they are bad', async () => {
      for (const headers of [{ Authorization: 'Bearer nonsense' }, { 'X-API-Key': 'gh_nonsense' }] as Record<
        string,
        string
      >[]) {
        expect(await mails.post('resend-verification', {}, headers)).toMatchObject({
          status: 401,
          error_code: 'invalid_token',
        });
        expect((await mails.post('resend-verification', { email: someEmail() }, headers)).status).toBe(202);
      }
    });

    it('is not for API keys, but with an address for everybody', async () => {
      const user = await aSignedInUser(app);
      const { body } = await app.http.post('/api/v1/users/me/api-keys').set(user.auth).send({ name: 'k' }).expect(201);
      const headers = { 'X-API-Key': body.key as string };
      expect(await mails.post('resend-verification', {}, headers)).toMatchObject({
        status: 403,
        error_code: 'insufficient_scope',
      });
      expect(await mails.countMails(user, VERIFY)).toBe(0);
      expect((await mails.post('resend-verification', { email: user.email }, headers)).status).toBe(202);
      expect(await mails.countMails(user, VERIFY)).toBe(1);
    });
  });

  describe('POST /auth/forgot-password and /auth/reset-password', () => {
    it('give a new password to who has the mailbox, end all sessions and tell', async () => {
      const user = await aSignedInUser(app);
      const other = await signIn(app, user);
      const token = await mails.resetToken(user);
      expect(await reset(token)).toEqual({ status: 200, message: 'Password reset successfully' });
      for (const { auth } of [user, other]) await app.http.get('/api/v1/users/me').set(auth).expect(401);
      await app.http.post(`${AUTH}/refresh`).send({ refresh_token: user.refreshToken }).expect(401);
      await app.http.post(`${AUTH}/login`).send({ email: user.email, password: PASSWORD }).expect(401);
      await signIn(app, { ...user, password: NEW_PASSWORD });
      expect((await mails.rowOf(user)).is_verified).toBe(true);
      const { text, link } = await mailboxes.last(app, user.email, PASSWORD_CHANGED);
      expect(text).toMatch(/127\.0\.0\.1/);
      expect(link?.href).toBe(`${PUBLIC_URL}/account/reset`);
      for (const action of ['password.reset_requested', 'password.reset'])
        expect(await mails.auditOf(user.id, action)).toEqual([
          expect.objectContaining({ actor_id: null, target_type: 'user', ip_address: '127.0.0.1', details: {} }),
        ]);
    });

    it('go by the address in any case, and write to the one that the account has', async () => {
      const user = await aUser(app);
      await forgot(user.email.toUpperCase());
      expect((await mailboxes.last(app, user.email, RESET)).to).toBe(user.email);
    });

    it('send nothing to an address that only looks like the account’s', async () => {
      const user = await aUser(app, { email: `kim.${randomBytes(4).toString('hex')}@example.com` });
      // The Kelvin sign, whose lower case is k.
      const lookalike = user.email.replace('k', '\u212a');
      expect((await forgot(lookalike)).status).toBe(202);
      expect(await mailboxes.of(app, lookalike)).toEqual([]);
      const { rows } = await app.pool.query('SELECT lower($1) = $2 AS "isSame"', [lookalike, user.email]);
      expect(await mails.countMails(user, RESET)).toBe(rows[0].isSame ? 1 : 0);
    });

    it.each<[string, () => Promise<string>]>([
      ['nobody’s', async () => someEmail()],
      ['a disabled account’s', async () => (await aUser(app, { isActive: false })).email],
      [
        'an account’s that was written to a moment ago',
        async () => {
          const user = await aUser(app);
          await mails.resetToken(user);
          return user.email;
        },
      ],
    ])('answer the same, and queue the same, for an address that is %s', async (_, prepare) => {
      const addresses = [await prepare(), (await aUser(app)).email];
      await settle(app);
      const before = await app.pool.query('SELECT count(*)::int AS count FROM mails');
      const answers = [];
      for (const email of addresses) {
        const { status, body, headers } = await app.http.post(`${AUTH}/forgot-password`).send({ email });
        const { 'x-request-id': id, date, ...same } = headers;
        expect([id, date]).toEqual([expect.any(String), expect.any(String)]);
        answers.push({ status, body, same });
      }
      expect(answers[0]).toEqual(answers[1]);
      expect(answers[0].status).toBe(202);
      const after = await app.pool.query('SELECT count(*)::int AS count FROM mails');
      expect(after.rows[0].count - before.rows[0].count).toBe(2);
      const sent = await mailboxes.of(app, addresses[0]);
      expect(sent.filter(({ subject }) => RESET.test(subject)).length).toBe(/a moment ago/.test(_) ? 1 : 0);
      // What was not sent is not kept either.
      const { rows } = await app.pool.query(`SELECT 1 FROM mails WHERE email = ANY ($1) AND state <> 'queued'`, [
        addresses,
      ]);
      expect(rows).toEqual([]);
    });

    it('send one mail, however many are asked for at once', async () => {
      const user = await aUser(app);
      await Promise.all(Array.from({ length: 20 }, () => forgot(user.email)));
      expect(await mails.countMails(user, RESET)).toBe(1);
      expect(await mails.auditOf(user.id, 'password.reset_requested')).toHaveLength(1);
    });

    it('leave the token good when the password is refused', async () => {
      const user = await aUser(app);
      const token = await mails.resetToken(user);
      expect(await reset(token, 'Passw0rd')).toMatchObject({ status: 422, error_code: 'weak_password' });
      expect(await reset(token, user.email)).toMatchObject({
        status: 422,
        field_errors: { new_password: ['Password must not be the email address or username'] },
      });
      expect(await reset(token, NEW_PASSWORD, { confirm_password: 'Else-1234' })).toMatchObject({
        status: 422,
        error_code: 'passwords_differ',
      });
      expect(await reset(token, NEW_PASSWORD, { confirm_password: NEW_PASSWORD })).toMatchObject({ status: 200 });
    });

    it.each<[string, (user: TestUser, token: string) => Promise<unknown>]>([
      ['was used', (_, token) => reset(token, 'First-Horse-1')],
      ['is an hour old', ({ id }) => ageTokens(app, id, '1 hour')],
      [
        'is older than the password',
        async (user) => {
          const { auth } = await signIn(app, user);
          const change = { current_password: PASSWORD, new_password: 'Third-Horse-3' };
          await app.http.post(`${AUTH}/change-password`).set(auth).send(change).expect(200);
        },
      ],
      [
        'is older than a password that was changed by somebody who told nobody',
        // reverse(): a fixed letter in the place of another could be the letter that is there already.
        ({ id }) =>
          app.pool.query(
            'UPDATE users SET password_hash = left(password_hash, 7) || reverse(substr(password_hash, 8)) WHERE id = $1',
            [id],
          ),
      ],
      [
        'is older than the address',
        async (user) => {
          const { auth } = await signIn(app, user);
          await app.http.patch('/api/v1/users/me').set(auth).send({ email: someEmail() }).expect(200);
        },
      ],
      [
        'is of a disabled account',
        ({ id }) => app.pool.query('UPDATE users SET is_active = false WHERE id = $1', [id]),
      ],
    ])('refuse a token that %s, and say no more', async (_, happens) => {
      const user = await aUser(app);
      const token = await mails.resetToken(user);
      await happens(user, token);
      const { password_hash: before } = await mails.rowOf(user);
      const { request_id, ...answer } = await reset(token);
      const { request_id: otherId, ...unknown } = await reset('A'.repeat(43));
      expect(answer).toEqual(unknown);
      expect(answer).toMatchObject(INVALID);
      expect(request_id).not.toBe(otherId);
      expect((await mails.rowOf(user)).password_hash).toBe(before);
    });

    it('are good for an address that has just another case now', async () => {
      const user = await aSignedInUser(app);
      const token = await mails.resetToken(user);
      const email = user.email.toUpperCase();
      await app.http.patch('/api/v1/users/me').set(user.auth).send({ email }).expect(200);
      expect((await reset(token)).status).toBe(200);
    });

    it('keep the API keys and the role of an account that was verified before', async () => {
      const admin = await anAdmin(app);
      const { body } = await app.http
        .post('/api/v1/users/me/api-keys')
        .set(admin.auth)
        .send({ name: 'ci' })
        .expect(201);
      expect((await reset(await mails.resetToken(admin))).status).toBe(200);
      await app.http.get('/api/v1/users/me').set('X-API-Key', body.key).expect(200);
      const user = await aSignedInUser(app);
      const { body: key } = await app.http
        .post('/api/v1/users/me/api-keys')
        .set(user.auth)
        .send({ name: 'ci' })
        .expect(201);
      expect((await verify(await mails.verifyToken(user))).status).toBe(200);
      expect((await reset(await mails.resetToken(user))).status).toBe(200);
      await app.http.get('/api/v1/users/me').set('X-API-Key', key.key).expect(200);
    });

    it('let in again whom others have locked out, at every node', async () => {
      const node = await startTestApp(mailboxes.settings, { beside: app });
      const user = await aUser(app);
      const login = (at: TestApp, password: string) =>
        at.http.post(`${AUTH}/login`).send({ email: user.email, password });
      for (const at of [app, node]) {
        for (let i = 0; i < 10; i++) await login(at, 'wrong').expect(401);
        await login(at, PASSWORD).expect(429);
      }
      expect((await reset(await mails.resetToken(user))).status).toBe(200);
      await login(app, NEW_PASSWORD).expect(200);
      await until(async () => (await login(node, NEW_PASSWORD)).status === 200, 'the other node to let in');
      await node.close();
    });

    it('do not begin the count anew of an account whose codes could be guessed so', async () => {
      const user = await aUser(app);
      await app.pool.query('UPDATE users SET has_second_factor = true, is_verified = true WHERE id = $1', [user.id]);
      const login = (password: string) => app.http.post(`${AUTH}/login`).send({ email: user.email, password });
      for (let i = 0; i < 10; i++) await login('wrong').expect(401);
      expect((await reset(await mails.resetToken(user))).status).toBe(200);
      await login(NEW_PASSWORD).expect(429);
    });
  });

  it('go out with a new token at a later attempt, and the request is noted once', async () => {
    const user = await aUser(app);
    await mails.resetToken(user);
    const { rows } = await app.pool.query('SELECT mail_id FROM one_time_tokens WHERE user_id = $1', [user.id]);
    const before = await mailboxes.token(app, user.email, RESET);
    await app.pool.query(`UPDATE mails SET state = 'queued', email = $2, next_attempt_at = now() WHERE id = $1`, [
      rows[0].mail_id,
      user.email,
    ]);
    await app.pool.query(`SELECT pg_notify('gatehouse_mail', '')`);
    const after = await mailboxes.token(app, user.email, RESET);
    expect(after).not.toBe(before);
    expect(await reset(before)).toMatchObject(INVALID);
    expect((await reset(after)).status).toBe(200);
    expect(await mails.auditOf(user.id, 'password.reset_requested')).toHaveLength(1);
  });

  it('answer at the root as well, in its envelope', async () => {
    const user = await aUser(app);
    const { body } = await app.http.post('/auth/forgot-password').send({ email: user.email }).expect(202);
    expect(body).toEqual({ data: { message: expect.any(String) }, status: 'success', code: 202 });
    const token = await mailboxes.token(app, user.email, RESET);
    await app.http.post('/auth/reset-password').send({ token, new_password: NEW_PASSWORD }).expect(200);
    const { body: refusal } = await app.http.post('/auth/verify-email').send({ token }).expect(400);
    expect(refusal).toMatchObject({ status: 'error', code: 400, error_code: 'invalid_one_time_token' });
  });

  it('share the limit of credentials', async () => {
    const limited = await startTestApp({ RATE_LIMIT_ENABLED: 'true', RATE_LIMIT_CREDENTIALS: '5/60' });
    const calls: [string, object][] = [
      ['forgot-password', { email: someEmail() }],
      ['resend-verification', { email: someEmail() }],
      ['reset-password', { token: 'x', new_password: NEW_PASSWORD }],
      ['verify-email', { token: 'x' }],
      ['undo-email-change', { token: 'x' }],
    ];
    const statuses = async () => {
      const answers = [];
      for (const [call, body] of calls) answers.push((await limited.http.post(`${AUTH}/${call}`).send(body)).status);
      return answers;
    };
    expect(await statuses()).toEqual([202, 202, 400, 400, 400]);
    expect(await statuses()).toEqual([429, 429, 429, 429, 429]);
    await limited.close();
  });
});
