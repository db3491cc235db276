import { AccountMails, AUTH, INVALID, ME, NEW_PASSWORD, someEmail } from '../support/account-mails.js';
import { aSignedInUser, anAdmin, aUser, PASSWORD, type SignedIn, signIn, type TestUser } from '../support/builders.js';
import {
  ADDRESS_CHANGED,
  ageChanges,
  ageTokens,
  Mailboxes,
  PASSWORD_CHANGED,
  PUBLIC_URL,
  RESET,
  VERIFY,
} from '../support/mailboxes.js';
import { enableSecondFactor } from '../support/second-factor.js';
import { startTestApp, type TestApp } from '../support/test-app.js';

const HOUR_MS = 3_600_000;
/** A token that says what it was made for is one more thing to be believed: these say nothing, and are 256 random bits. */
const TOKEN = /^[A-Za-z0-9_-]{43}$/;

describe('mail flows', () => {
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

  const login = (email: string, password: string) => app.http.post(`${AUTH}/login`).send({ email, password });
  const asGuest = (headers: Record<string, string>) => app.http.get(ME).set(headers);
  const setVerified = ({ id }: { id: string }) =>
    app.pool.query('UPDATE users SET is_verified = true WHERE id = $1', [id]);
  const tokensOf = async (user: SignedIn) => ({
    verify: await mails.verifyToken(user),
    reset: await mails.resetToken(user),
  });

  it('S04 a token from a mail is no access token, no refresh token, and none of another purpose', async () => {
    const user = await aSignedInUser(app);
    const { verify, reset } = await tokensOf(user);
    const other = await aSignedInUser(app);
    const undo = await mails.move(other, someEmail());
    for (const token of [verify, reset, undo]) {
      await asGuest({ Authorization: `Bearer ${token}` }).expect(401);
      await asGuest({ 'X-API-Key': token }).expect(401);
      await app.http.post(`${AUTH}/refresh`).send({ refresh_token: token }).expect(401);
    }
    for (const token of [verify, undo, user.accessToken, user.refreshToken])
      expect(await mails.reset(token)).toMatchObject(INVALID);
    for (const token of [reset, undo, user.accessToken]) expect(await mails.verify(token)).toMatchObject(INVALID);
    for (const token of [reset, verify, user.refreshToken]) expect(await mails.undo(token)).toMatchObject(INVALID);
    await asGuest(user.auth).expect(200);
  });

  it('S16 of 20 uses of one token at once, one succeeds', async () => {
    const user = await aUser(app);
    const token = await mails.resetToken(user);
    const passwords = Array.from({ length: 20 }, (_, n) => `Horse-Number-${n}`);
    const answers = await Promise.all(passwords.map((password) => mails.reset(token, password)));
    const winners = passwords.filter((_, n) => answers[n].status === 200);
    expect(answers.filter(({ error_code }) => error_code === 'invalid_one_time_token')).toHaveLength(19);
    await login(user.email, winners[0]).expect(200);
    expect(await mails.countMails(user, PASSWORD_CHANGED)).toBe(1);
  });

  it('S16 tokens are 256 bits, each another, and nowhere but in their mails', async () => {
    const user = await aSignedInUser(app);
    const { verify, reset } = await tokensOf(user);
    await ageTokens(app, user.id, '2 minutes');
    const all = [verify, reset, await mails.resetToken(user), await mails.move(user, someEmail())];
    expect(new Set(all).size).toBe(4);
    const { rows: tables } = await app.pool.query(
      `SELECT table_name AS name FROM information_schema.tables WHERE table_schema = 'public' AND table_type = 'BASE TABLE'`,
    );
    expect(tables.length).toBeGreaterThan(10);
    for (const token of all) {
      expect(token).toMatch(TOKEN);
      const forms = [token, Buffer.from(token, 'base64url').toString('hex'), Buffer.from(token).toString('hex')];
      for (const { name } of tables) {
        const { rows } = await app.pool.query(
          `SELECT 1 FROM "${name}" t WHERE EXISTS (SELECT FROM unnest($1::text[]) form WHERE strpos(t::text, form) > 0)`,
          [forms],
        );
        expect([name, rows]).toEqual([name, []]);
      }
      expect(app.log.filter((line) => line.includes(token))).toEqual([]);
    }
  });

  it('S16 a token ends within the hour, by the clock of the database', async () => {
    const user = await aUser(app);
    const token = await mails.resetToken(user);
    const { rows } = await app.pool.query(
      'SELECT expires_at - created_at AS life, expires_at FROM one_time_tokens WHERE user_id = $1',
      [user.id],
    );
    expect(rows).toEqual([{ life: expect.objectContaining({ hours: 1 }), expires_at: expect.any(Date) }]);
    expect(rows[0].expires_at.getTime()).toBeLessThanOrEqual(Date.now() + HOUR_MS);
    await ageTokens(app, user.id, '59 minutes 30 seconds');
    expect((await mails.reset(token, 'weak')).status).toBe(422);
    await ageTokens(app, user.id, '30 seconds');
    expect(await mails.reset(token)).toMatchObject(INVALID);
  });

  it('S16 a token is for its account alone', async () => {
    const [user, other] = [await aUser(app), await aUser(app)];
    const before = await mails.rowOf(other);
    expect((await mails.reset(await mails.resetToken(user))).status).toBe(200);
    expect(await mails.rowOf(other)).toEqual(before);
    for (const more of [{ email: other.email }, { user_id: other.id }])
      expect((await mails.reset('A'.repeat(43), NEW_PASSWORD, more)).status).toBe(422);
  });

  it('S16 every token is dead after a change of the password, a reset, or a change of the address', async () => {
    const ends: ((user: SignedIn, token: string) => Promise<unknown>)[] = [
      ({ auth }) =>
        app.http
          .post(`${AUTH}/change-password`)
          .set(auth)
          .send({ current_password: PASSWORD, new_password: NEW_PASSWORD })
          .expect(200),
      (_, token) => mails.reset(token),
      ({ auth }) => app.http.patch(ME).set(auth).send({ email: someEmail() }).expect(200),
    ];
    for (const end of ends) {
      const user = await aSignedInUser(app);
      const { verify, reset } = await tokensOf(user);
      await ageTokens(app, user.id, '2 minutes');
      await end(user, await mails.resetToken(user));
      expect(await mails.verify(verify)).toMatchObject(INVALID);
      expect(await mails.reset(reset)).toMatchObject(INVALID);
    }
  });

  it('S16 neither answer nor headers tell whether an address has an account', async () => {
    const known = await aUser(app);
    for (const call of ['forgot-password', 'resend-verification']) {
      const answers = [];
      for (const email of [known.email, someEmail()]) {
        const { status, body, headers } = await app.http.post(`${AUTH}/${call}`).send({ email });
        answers.push({ status, body, headers: { ...headers, date: null, 'x-request-id': null } });
      }
      expect(answers[0]).toEqual(answers[1]);
    }
  });

  it.each<[string, (user: SignedIn) => Promise<string>]>([
    [
      'change',
      async ({ auth }) => {
        const change = { current_password: PASSWORD, new_password: NEW_PASSWORD };
        await app.http
          .post(`${AUTH}/change-password`)
          .set(auth)
          .set('User-Agent', 'Call +1 555 0100 or visit evil.example')
          .send(change)
          .expect(200);
        return 'an unknown program';
      },
    ],
    [
      'reset',
      async (user) => {
        await setVerified(user);
        const token = await mails.resetToken(user);
        await mails.post('reset-password', { token, new_password: NEW_PASSWORD }, { 'User-Agent': 'curl/8.5.0' });
        return 'curl';
      },
    ],
  ])('S17 a %s of the password ends the other sessions and mails the owner', async (_, change) => {
    const user = await aSignedInUser(app);
    const other = await signIn(app, user);
    const agent = await change(user);
    await asGuest(other.auth).expect(401);
    await app.http.post(`${AUTH}/refresh`).send({ refresh_token: other.refreshToken }).expect(401);
    const { text, html } = await mailboxes.last(app, user.email, PASSWORD_CHANGED);
    expect(text.replace(/\s+/g, ' ')).toContain(`from the address 127.0.0.1, with ${agent}.`);
    expect(text + html).not.toMatch(/evil|555/);
  });

  it('S17 a change that is refused mails nobody', async () => {
    const user = await aSignedInUser(app);
    const change = { current_password: 'wrong', new_password: NEW_PASSWORD };
    await app.http.post(`${AUTH}/change-password`).set(user.auth).send(change).expect(400);
    await mails.reset('A'.repeat(43));
    expect(await mailboxes.of(app, user.email)).toEqual([]);
  });

  const FORGED = {
    Host: 'evil.example',
    'X-Forwarded-Host': 'evil.example',
    'X-Forwarded-Proto': 'https',
    'X-Original-Host': 'evil.example',
    Forwarded: 'host=evil.example;proto=https',
    Origin: 'https://evil.example',
    Referer: 'https://evil.example/',
  };

  it('S18 no link is built from what a request says of the host', async () => {
    const email = someEmail();
    await app.http.post(`${AUTH}/register`).set(FORGED).send({ email, password: PASSWORD }).expect(201);
    await mails.post('forgot-password', { email }, FORGED);
    const user = { ...(await signIn(app, { id: '', username: '', email, password: PASSWORD })) };
    await app.http.patch(ME).set(user.auth).set(FORGED).send({ email: someEmail() }).expect(200);
    const links = [];
    for (const subject of [VERIFY, RESET, ADDRESS_CHANGED]) {
      const { link, text, html } = await mailboxes.last(app, email, subject);
      expect(text + html).not.toContain('evil');
      links.push(`${link?.origin}${link?.pathname}`);
    }
    expect(links).toEqual(['verify', 'reset', 'undo'].map((page) => `${PUBLIC_URL}/account/${page}`));
    for (const page of ['verify', 'reset', 'undo'])
      expect((await app.http.get(`/account/${page}`).set(FORGED).expect(200)).text).not.toContain('evil');
  });

  it('S18 without PUBLIC_URL neither; pages of an application are linked as they are configured', async () => {
    const { SMTP_URL } = mailboxes.settings;
    const own = await startTestApp({
      SMTP_URL,
      PORT: '8123',
      MAIL_RESET_URL: 'https://app.example.com/reset?lang=en#top',
    });
    const calls = new AccountMails(own, mailboxes);
    const email = someEmail();
    await own.http.post(`${AUTH}/register`).set(FORGED).send({ email, password: PASSWORD }).expect(201);
    await calls.post('forgot-password', { email }, FORGED);
    const { link: verify } = await mailboxes.last(own, email, VERIFY);
    const { link: reset } = await mailboxes.last(own, email, RESET);
    await own.close();
    expect(verify?.href).toMatch(/^http:\/\/localhost:8123\/account\/verify\?token=[\w-]{43}$/);
    expect(reset?.href).toMatch(/^https:\/\/app\.example\.com\/reset\?lang=en&token=[\w-]{43}#top$/);
  });

  it('S19 changing the address tells the old one, whose link gives the account back and ends all sessions', async () => {
    const user = await aSignedInUser(app);
    const email = someEmail();
    const token = await mails.move(user, email);
    const thief = await signIn(app, { ...user, email });
    expect((await mails.undo(token)).status).toBe(200);
    for (const { auth, refreshToken } of [user, thief]) {
      await asGuest(auth).expect(401);
      await app.http.post(`${AUTH}/refresh`).send({ refresh_token: refreshToken }).expect(401);
    }
    await login(email, PASSWORD).expect(401);
    await login(user.email, PASSWORD).expect(200);
  });

  it('S19 the link is good for 72 hours, once', async () => {
    const [user, late] = [await aSignedInUser(app), await aSignedInUser(app)];
    const [token, lateToken] = [await mails.move(user, someEmail()), await mails.move(late, someEmail())];
    await ageChanges(app, user.id, '71 hours 59 minutes');
    await ageChanges(app, late.id, '72 hours');
    expect((await mails.undo(token)).status).toBe(200);
    expect(await mails.undo(token)).toMatchObject(INVALID);
    expect(await mails.undo(lateToken)).toMatchObject(INVALID);
  });

  it('S19 whatever a thief does with the account meanwhile, the link takes it back', async () => {
    const owner = await aSignedInUser(app);
    await setVerified(owner);
    const loot = someEmail();
    const token = await mails.move(owner, loot);
    const thief = { ...owner, email: loot };
    await mails.verify(await mailboxes.token(app, loot, VERIFY));
    const { body: key } = await app.http.post(`${ME}/api-keys`).set(owner.auth).send({ name: 'x' }).expect(201);
    await enableSecondFactor(app, thief);
    expect((await mails.reset(await mails.resetToken(thief), 'Thief-Horse-1')).status).toBe(200);
    await app.http.post(`${AUTH}/register`).send({ email: owner.email, password: PASSWORD }).expect(409);
    expect((await mails.undo(token)).status).toBe(200);
    await asGuest({ 'X-API-Key': key.key }).expect(401);
    await login(loot, 'Thief-Horse-1').expect(401);
    await login(owner.email, 'Thief-Horse-1').expect(401);
    expect((await mails.reset(await mailboxes.token(app, owner.email, RESET))).status).toBe(200);
    const { body } = await login(owner.email, NEW_PASSWORD).expect(200);
    expect(body.user).toMatchObject({ id: owner.id, email: owner.email, is_verified: true });
  });

  describe('S20 who signs up with the address of another', () => {
    /** Everything that opens an account, in the hands of its maker. */
    const prepare = async (email: string): Promise<SignedIn & { key: string }> => {
      const { body } = await app.http.post(`${AUTH}/register`).send({ email, password: PASSWORD }).expect(201);
      const maker = await signIn(app, { ...(body as TestUser), password: PASSWORD });
      const { body: key } = await app.http.post(`${ME}/api-keys`).set(maker.auth).send({ name: 'x' }).expect(201);
      return { ...maker, key: key.key };
    };
    const expectShutOut = async (maker: SignedIn & { key: string }) => {
      await asGuest(maker.auth).expect(401);
      await asGuest({ 'X-API-Key': maker.key }).expect(401);
      await app.http.post(`${AUTH}/refresh`).send({ refresh_token: maker.refreshToken }).expect(401);
      await login(maker.email, PASSWORD).expect(401);
    };

    it('is left with nothing once the owner of the mailbox resets the password', async () => {
      const email = someEmail();
      const maker = await prepare(email);
      const early = await mails.resetToken({ email });
      await ageTokens(app, maker.id, '2 minutes');
      await enableSecondFactor(app, maker);
      const again = await app.http.post(`${AUTH}/login`).send({ email, password: PASSWORD }).expect(200);
      expect((await mails.reset(await mails.resetToken({ email }))).status).toBe(200);
      await expectShutOut(maker);
      await app.http.post(`${AUTH}/mfa/verify`).send({ mfa_token: again.body.mfa_token, code: '000000' }).expect(401);
      expect(await mails.reset(early)).toMatchObject(INVALID);
      const { body } = await login(email, NEW_PASSWORD).expect(200);
      expect(body.user).toMatchObject({ id: maker.id, is_verified: true });
      expect(body.access_token).toEqual(expect.any(String));
      expect(await mails.auditOf(maker.id, 'mfa.disabled')).toHaveLength(1);
    });

    it('cannot take the account back by the address that it had before', async () => {
      const [own, email] = [someEmail(), someEmail()];
      const maker = await prepare(own);
      const undo = await mails.move(maker, email);
      expect((await mails.reset(await mails.resetToken({ email }))).status).toBe(200);
      expect(await mails.undo(undo)).toMatchObject(INVALID);
      await expectShutOut({ ...maker, email });
      await login(email, NEW_PASSWORD).expect(200);
    });
  });

  it.each<[string, (user: SignedIn) => Promise<string>]>([
    ['the mailbox', async ({ email }) => email],
    [
      'a session, and moves the account to a mailbox of his own',
      async (user) => {
        const email = someEmail();
        await mails.move(user, email);
        return email;
      },
    ],
  ])('S20 the second factor of an account that was verified stays, if a thief has %s', async (_, take) => {
    const user = await aSignedInUser(app);
    await setVerified(user);
    await enableSecondFactor(app, user);
    const email = await take(user);
    expect((await mails.reset(await mails.resetToken({ email }))).status).toBe(200);
    const { body } = await login(email, NEW_PASSWORD).expect(200);
    expect(body).toMatchObject({ mfa_required: true });
    expect(body).not.toHaveProperty('access_token');
  });

  it('S20 the second factor and the keys of an admin stay, verified or not', async () => {
    const admin = await anAdmin(app);
    const { body: key } = await app.http.post(`${ME}/api-keys`).set(admin.auth).send({ name: 'x' }).expect(201);
    await enableSecondFactor(app, admin);
    expect((await mails.reset(await mails.resetToken(admin))).status).toBe(200);
    expect((await login(admin.email, NEW_PASSWORD).expect(200)).body).toMatchObject({ mfa_required: true });
    await asGuest({ 'X-API-Key': key.key }).expect(200);
  });
});
