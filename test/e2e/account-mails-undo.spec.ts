import { MailFlowsSweeper } from '../../src/auth/mail-flows/mail-flows-sweeper.js';
import { AccountMails, AUTH, INVALID, ME, NEW_PASSWORD, someEmail } from '../support/account-mails.js';
import { aSignedInUser, anAdmin, aUser, PASSWORD, type SignedIn, signIn } from '../support/builders.js';
import {
  ADDRESS_CHANGED,
  ageChanges,
  CHANGED_BACK,
  Mailboxes,
  PUBLIC_URL,
  RESET,
  settle,
  VERIFY,
} from '../support/mailboxes.js';
import { startTestApp, type TestApp } from '../support/test-app.js';

describe('a change of address', () => {
  let app: TestApp;
  let mailboxes: Mailboxes;
  let mails: AccountMails;
  let user: SignedIn;

  beforeAll(async () => {
    mailboxes = await Mailboxes.start();
    app = await startTestApp(mailboxes.settings);
    mails = new AccountMails(app, mailboxes);
  });
  beforeEach(async () => {
    user = await aSignedInUser(app);
  });
  afterAll(async () => {
    await app.close();
    await mailboxes.stop();
  });

  const setVerified = ({ id }: { id: string }) =>
    app.pool.query('UPDATE users SET is_verified = true WHERE id = $1', [id]);
  /** The same user, who has another address by now. */
  const at = (email: string): SignedIn => ({ ...user, email });
  const patch = (auth: Record<string, string>, path: string, body: object) => app.http.patch(path).set(auth).send(body);
  const register = (email: string) => app.http.post(`${AUTH}/register`).send({ email, password: PASSWORD });

  it('is to be verified at the new address, and the old one is told how to undo it', async () => {
    const email = someEmail();
    await setVerified(user);
    await app.http.put(ME).set(user.auth).set('User-Agent', 'curl/8.5.0').send({ email }).expect(200);
    expect(await mailboxes.subjects(app, email)).toEqual([expect.stringMatching(VERIFY)]);
    const notice = await mailboxes.last(app, user.email, ADDRESS_CHANGED);
    expect(notice.link?.href).toMatch(new RegExp(`^${PUBLIC_URL}/account/undo\\?token=[\\w-]{43}$`));
    expect(notice.text).toMatch(/from\sthe\saddress\s127\.0\.0\.1,\swith\scurl\./);
    // Whose it may be now is not for the old mailbox to know.
    expect(notice.text + notice.html).not.toContain(email);
    expect((await mails.verify(await mailboxes.token(app, email, VERIFY))).status).toBe(200);
  });

  it.each<[string, (to: string) => Promise<unknown>]>([
    ['to other spelling', async () => patch(user.auth, ME, { email: user.email.toUpperCase() }).expect(200)],
    ['that is refused', async () => patch(user.auth, ME, { email: (await aUser(app)).email }).expect(409)],
    [
      'together with a name that is taken',
      async (email) => patch(user.auth, ME, { email, username: (await aUser(app)).username }).expect(409),
    ],
    ['to what it is', () => patch(user.auth, ME, { email: user.email, bio: 'x' }).expect(200)],
  ])('%s is none, and nobody is told', async (_, change) => {
    const email = someEmail();
    await change(email);
    expect([...(await mailboxes.subjects(app, email)), ...(await mailboxes.subjects(app, user.email))]).toEqual([]);
  });

  it('by an admin is told as well, and can be undone', async () => {
    const admin = await anAdmin(app);
    await patch(admin.auth, `/api/v1/users/${user.id}`, { email: someEmail() }).expect(200);
    // Where the admin was is not the user's to know.
    expect((await mailboxes.last(app, user.email, ADDRESS_CHANGED)).text).not.toMatch(/127\.0\.0\.1|unknown program/);
    expect((await mails.undo(await mailboxes.token(app, user.email, ADDRESS_CHANGED))).status).toBe(200);
    expect((await mails.rowOf(user)).email).toBe(user.email);
  });

  it('is undone: the address as it was, all sessions and keys ended, whoever loses told', async () => {
    await setVerified(user);
    const { body: key } = await app.http.post(`${ME}/api-keys`).set(user.auth).send({ name: 'thief' }).expect(201);
    const email = someEmail();
    const token = await mails.move(user, email);
    const later = await signIn(app, at(email));
    expect(await mails.undo(token)).toEqual({
      status: 200,
      message: 'The account has its previous address again, and all devices are signed out',
    });
    for (const auth of [user.auth, later.auth, { 'X-API-Key': key.key as string }] as Record<string, string>[])
      await app.http.get(ME).set(auth).expect(401);
    expect(await mails.rowOf(user)).toMatchObject({ email: user.email, is_verified: true });
    await signIn(app, user);
    const notice = await mailboxes.last(app, email, CHANGED_BACK);
    expect(notice.link).toBeNull();
    // Nor is it for a thief to know where the owner is.
    expect(notice.text + notice.html).not.toContain(user.email);
    expect(notice.text + notice.html).not.toContain('127.0.0.1');
    expect(await mails.auditOf(user.id, 'email.change_undone')).toEqual([
      expect.objectContaining({ actor_id: null, ip_address: '127.0.0.1', details: { password_voided: false } }),
    ]);
    // What the address that has lost was sent is void.
    expect(await mails.verify(await mailboxes.token(app, email, VERIFY))).toMatchObject(INVALID);
    const again = await mails.undo(token);
    expect(again).toMatchObject(INVALID);
    expect(again.detail).toMatch(/^This link is no longer valid; .* tell the operator of the server$/);
  });

  it('leaves an address unverified that was so before', async () => {
    const email = someEmail();
    const token = await mails.move(user, email);
    await mails.verify(await mailboxes.token(app, email, VERIFY));
    expect((await mails.undo(token)).status).toBe(200);
    expect((await mails.rowOf(user)).is_verified).toBe(false);
  });

  it('is undone once, however many ask for it at the same time', async () => {
    const token = await mails.move(user, someEmail());
    const answers = await Promise.all(Array.from({ length: 20 }, () => mails.undo(token)));
    expect(answers.map(({ status }) => status).sort()).toEqual([200, ...Array<number>(19).fill(400)]);
    expect(await mails.auditOf(user.id, 'email.change_undone')).toHaveLength(1);
  });

  it('a password that was changed since is void, and the owner gets a link to set another', async () => {
    const email = someEmail();
    await setVerified(user);
    const token = await mails.move(user, email);
    const change = { current_password: PASSWORD, new_password: 'Thief-Horse-1' };
    await app.http.post(`${AUTH}/change-password`).set(user.auth).send(change).expect(200);
    expect((await mails.undo(token)).message).toMatch(/A mail to set a new password is on its way$/);
    for (const password of [PASSWORD, 'Thief-Horse-1', ''])
      await app.http.post(`${AUTH}/login`).send({ email: user.email, password }).expect(401);
    expect((await mailboxes.last(app, user.email, RESET)).text).toMatch(/does not work any\s+more/);
    expect((await mails.reset(await mailboxes.token(app, user.email, RESET))).status).toBe(200);
    await signIn(app, { ...user, password: NEW_PASSWORD });
  });

  it('is undone after a reset by the new address, whose mailbox the thief has', async () => {
    const email = someEmail();
    await setVerified(user);
    const token = await mails.move(user, email);
    expect((await mails.verify(await mailboxes.token(app, email, VERIFY))).status).toBe(200);
    expect((await mails.reset(await mails.resetToken({ email }))).status).toBe(200);
    const pending = await mails.resetToken({ email });
    expect((await mails.undo(token)).status).toBe(200);
    expect(await mails.reset(pending)).toMatchObject(INVALID);
    expect((await mails.reset(await mailboxes.token(app, user.email, RESET))).status).toBe(200);
  });

  it.each([
    [false, 0],
    [true, 1],
  ])('a second factor that was there before (%s) stays, another goes', async (wasThere, left) => {
    const addFactor = () =>
      app.pool.query(
        `WITH f AS (INSERT INTO second_factors (user_id, secret, created_at, confirmed_at) VALUES ($1, 'x', now(), now()))
         UPDATE users SET has_second_factor = true WHERE id = $1`,
        [user.id],
      );
    if (wasThere) await addFactor();
    const token = await mails.move(user, someEmail());
    if (!wasThere) await addFactor();
    expect((await mails.undo(token)).status).toBe(200);
    const { rowCount } = await app.pool.query('SELECT 1 FROM second_factors WHERE user_id = $1', [user.id]);
    expect([rowCount, (await mails.rowOf(user)).has_second_factor]).toEqual([left, wasThere]);
    expect(await mails.auditOf(user.id, 'mfa.disabled')).toHaveLength(1 - left);
  });

  it.each([
    ['71 hours', 200],
    ['73 hours', 400],
  ])('is undone until 72 hours have passed: after %s %d', async (interval, status) => {
    const token = await mails.move(user, someEmail());
    await ageChanges(app, user.id, interval);
    expect((await mails.undo(token)).status).toBe(status);
  });

  it('is undone while the account is disabled, which it stays', async () => {
    const token = await mails.move(user, someEmail());
    await app.pool.query('UPDATE users SET is_active = false WHERE id = $1', [user.id]);
    expect((await mails.undo(token)).status).toBe(200);
    expect(await mails.rowOf(user)).toMatchObject({ email: user.email, is_active: false });
  });

  it('of an account that is deleted at once is told all the same', async () => {
    await patch(user.auth, ME, { email: someEmail() }).expect(200);
    await settle(app);
    const { rows } = await app.pool.query(`SELECT id FROM mails WHERE kind = 'email_changed' AND user_id = $1`, [
      user.id,
    ]);
    const { rows: changes } = await app.pool.query('SELECT id FROM email_changes WHERE user_id = $1', [user.id]);
    await app.http.delete(ME).set(user.auth).send({ password: PASSWORD }).expect(204);
    // As if it had been waiting in the queue.
    await app.pool.query(
      `UPDATE mails SET state = 'queued', email = $2, data = jsonb_build_object('change_id', $3::text), next_attempt_at = now() WHERE id = $1`,
      [rows[0].id, user.email, changes[0].id],
    );
    await app.pool.query(`SELECT pg_notify('gatehouse_mail', '')`);
    const notice = await mailboxes.last(app, user.email, ADDRESS_CHANGED);
    expect([notice.link, await mails.countMails(user, ADDRESS_CHANGED)]).toEqual([null, 2]);
  });

  describe('one after the other', () => {
    it('each address has a link of its own, and the first wins', async () => {
      const [b, c] = [someEmail(), someEmail()];
      const tokenOfA = await mails.move(user, b);
      const tokenOfB = await mails.move(at(b), c);
      expect((await mails.undo(tokenOfB)).status).toBe(200);
      expect((await mails.rowOf(user)).email).toBe(b);
      expect((await mails.undo(tokenOfA)).status).toBe(200);
      expect((await mails.rowOf(user)).email).toBe(user.email);
    });

    it('undoing the first voids what came later', async () => {
      const [b, c] = [someEmail(), someEmail()];
      const tokenOfA = await mails.move(user, b);
      const tokenOfB = await mails.move(at(b), c);
      expect((await mails.undo(tokenOfA)).status).toBe(200);
      expect(await mails.undo(tokenOfB)).toMatchObject(INVALID);
      expect((await mails.rowOf(user)).email).toBe(user.email);
    });

    it('the first can be undone for as long as a later one', async () => {
      const [b, c] = [someEmail(), someEmail()];
      const tokenOfA = await mails.move(user, b);
      await ageChanges(app, user.id, '71 hours');
      const tokenOfB = await mails.move(at(b), c);
      await ageChanges(app, user.id, '71 hours');
      expect((await mails.undo(tokenOfB)).status).toBe(200);
      await ageChanges(app, user.id, '71 hours');
      expect((await mails.undo(tokenOfA)).status).toBe(200);
      expect((await mails.rowOf(user)).email).toBe(user.email);
    });

    it('the first can be undone although the mail about a later one is still on its way', async () => {
      const [b, c] = [someEmail(), someEmail()];
      const tokenOfA = await mails.move(user, b);
      await ageChanges(app, user.id, '71 hours');
      mailboxes.hold();
      await patch(user.auth, ME, { email: c }).expect(200);
      await ageChanges(app, user.id, '2 hours');
      expect((await mails.undo(tokenOfA)).status).toBe(200);
      await mailboxes.resume(app);
      expect(await mails.countMails({ email: b }, ADDRESS_CHANGED)).toBe(1);
      expect(await mailboxes.token(app, b, ADDRESS_CHANGED)).toBe('');
    });

    it('coming back to an address takes the links from those in between', async () => {
      const thief = someEmail();
      const tokenOfA = await mails.move(user, thief);
      expect(await mails.move(at(thief), user.email)).toBe('');
      expect((await mails.rowOf(user)).email).toBe(user.email);
      // The owner may still want everybody out.
      expect((await mails.undo(tokenOfA)).status).toBe(200);
      await app.http.get(ME).set(user.auth).expect(401);
      expect(await mails.countMails({ email: user.email }, CHANGED_BACK)).toBe(0);
    });

    it('coming back by a way round does so too', async () => {
      const [b, c] = [someEmail(), someEmail()];
      await mails.move(user, b);
      const tokenOfB = await mails.move(at(b), c);
      expect(await mails.move(at(c), user.email)).toBe('');
      expect(await mails.undo(tokenOfB)).toMatchObject(INVALID);
    });

    it('ten a day, since each writes to people', async () => {
      const spare = (n: number) => `${n}.${user.email}`;
      for (let n = 0; n < 10; n++) await patch(user.auth, ME, { email: spare(n) }).expect(200);
      const { body, headers } = await patch(user.auth, ME, { email: spare(10) }).expect(429);
      expect(body.error_code).toBe('too_many_email_changes');
      expect(Number(headers['retry-after'])).toBeGreaterThan(86_000);
      expect((await mails.rowOf(user)).email).toBe(spare(9));
      await patch(user.auth, ME, { bio: 'Still here' }).expect(200);
      await ageChanges(app, user.id, '25 hours');
      await patch(user.auth, ME, { email: spare(10) }).expect(200);
    });
  });

  describe('and the address that is left', () => {
    it('is kept for its account while the change can be undone, if it was verified', async () => {
      await setVerified(user);
      const token = await mails.move(user, someEmail());
      const other = await aSignedInUser(app);
      const { body } = await register(user.email.toUpperCase()).expect(409);
      expect(body).toMatchObject({ error_code: 'email_taken', field_errors: { email: ['Email already exists'] } });
      await patch(other.auth, ME, { email: user.email }).expect(409);
      expect((await mails.undo(token)).status).toBe(200);
    });

    it('is free for its own account, and for others when the time has passed', async () => {
      await setVerified(user);
      const email = someEmail();
      await mails.move(user, email);
      await mails.move(at(email), user.email);
      await mails.move(user, email);
      await ageChanges(app, user.id, '73 hours');
      await register(user.email).expect(201);
    });

    it('is free if nobody has proved that it was theirs; then an undoing may come too late, and its link stays good', async () => {
      const token = await mails.move(user, someEmail());
      const { body } = await register(user.email).expect(201);
      const refusal = await mails.undo(token);
      expect(refusal).toMatchObject({ status: 409, error_code: 'email_taken' });
      await app.http.get(ME).set(user.auth).expect(200);
      await app.pool.query('DELETE FROM users WHERE id = $1', [body.id]);
      expect((await mails.undo(token)).status).toBe(200);
    });

    it('is not got by who signs up in the moment of the change', async () => {
      for (let round = 0; round < 10; round++) {
        const owner = await aSignedInUser(app);
        await setVerified(owner);
        const [moved, ...others] = await Promise.all([
          patch(owner.auth, ME, { email: someEmail() }),
          ...Array.from({ length: 3 }, () => register(owner.email)),
        ]);
        expect([moved.status, ...others.map(({ status }) => status)]).toEqual([200, 409, 409, 409]);
      }
    });
  });

  it('what is past is removed', async () => {
    const email = someEmail();
    await mails.move(user, email);
    await ageChanges(app, user.id, '73 hours');
    const other = await aSignedInUser(app);
    await mails.move(other, someEmail());
    await mails.resetToken({ email });
    await app.pool.query(`UPDATE one_time_tokens SET expires_at = now() - interval '25 hours' WHERE user_id = $1`, [
      user.id,
    ]);
    await app.app.get(MailFlowsSweeper, { strict: false }).sweep();
    const left = async (table: string) =>
      (await app.pool.query(`SELECT user_id FROM ${table} WHERE user_id = ANY ($1)`, [[user.id, other.id]])).rows;
    expect(await left('email_changes')).toEqual([{ user_id: other.id }]);
    expect(await left('one_time_tokens')).toEqual([{ user_id: other.id }]);
  });
});
