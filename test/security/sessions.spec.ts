import { aSignedInUser, anAdmin, aUser, PASSWORD, signIn, type SignedIn } from '../support/builders.js';
import { startTestApp, type TestApp } from '../support/test-app.js';
import { claimsOf } from './tools.js';

describe('sessions', () => {
  let app: TestApp;

  const me = (who: { auth: { Authorization: string } }) => app.http.get('/api/v1/users/me').set(who.auth);
  const refresh = (token: string) => app.http.post('/api/v1/auth/refresh').send({ refresh_token: token });
  const sidOf = (session: SignedIn) => String(claimsOf(session.accessToken).sid);
  const rowsOf = async (userId: string) =>
    (await app.pool.query('SELECT * FROM sessions WHERE user_id = $1 ORDER BY id', [userId])).rows;
  const expectOver = async (session: SignedIn) => {
    const { body } = await me(session).expect(401);
    expect(body.error_code).toBe('invalid_token');
    const again = await refresh(session.refreshToken).expect(401);
    expect(again.body.error_code).toBe('invalid_refresh_token');
  };
  /** Moves the session's times into the past, as if nobody had used it for so long. */
  const age = (session: SignedIn, interval: string, columns: string[]) =>
    app.pool.query(
      `UPDATE sessions SET ${columns.map((column) => `${column} = ${column} - $2::interval`).join(', ')} WHERE id = $1`,
      [sidOf(session), interval],
    );

  beforeAll(async () => {
    app = await startTestApp();
  });
  afterAll(() => app.close());

  it('S17 changing the password ends the other sessions and keeps this one', async () => {
    const user = await aUser(app);
    const [here, there, elsewhere] = [await signIn(app, user), await signIn(app, user), await signIn(app, user)];
    const bystander = await aSignedInUser(app);
    const change = { current_password: PASSWORD, new_password: 'Another-Horse-1' };
    await app.http.post('/api/v1/auth/change-password').set(here.auth).send(change).expect(200);
    await expectOver(there);
    await expectOver(elsewhere);
    await me(here).expect(200);
    await me(bystander).expect(200);
    await refresh(here.refreshToken).expect(200);
  });

  it('S17 a login with the old password that runs while it changes leaves no session behind', async () => {
    const user = await aSignedInUser(app);
    const change = { current_password: PASSWORD, new_password: 'Another-Horse-1' };
    const [changed, ...logins] = await Promise.all([
      app.http.post('/api/v1/auth/change-password').set(user.auth).send(change),
      ...Array.from({ length: 6 }, () =>
        app.http.post('/api/v1/auth/login').send({ email: user.email, password: PASSWORD }),
      ),
    ]);
    expect(changed.status).toBe(200);
    for (const { status } of logins) expect([200, 401]).toContain(status);
    expect((await rowsOf(user.id)).map(({ id }) => id)).toEqual([sidOf(user)]);
    for (const { body, status } of logins)
      if (status === 200) await me({ auth: { Authorization: `Bearer ${body.access_token}` } }).expect(401);
  });

  it('S17 a change that is refused ends nothing', async () => {
    const user = await aUser(app);
    const [here, there] = [await signIn(app, user), await signIn(app, user)];
    for (const change of [
      { current_password: 'Wrong-Horse-1', new_password: 'Another-Horse-1' },
      { current_password: PASSWORD, new_password: 'weak' },
    ])
      await app.http.post('/api/v1/auth/change-password').set(here.auth).send(change);
    await me(here).expect(200);
    await me(there).expect(200);
  });

  it('S21 each login is a new session, whatever token comes along', async () => {
    const user = await aUser(app);
    const first = await signIn(app, user);
    const { body } = await app.http
      .post('/api/v1/auth/login')
      .set(first.auth)
      .set('Cookie', `sid=${sidOf(first)}`)
      .send({ email: user.email, password: PASSWORD })
      .expect(200);
    const third = await signIn(app, user);
    const sids = [first.accessToken, body.access_token, third.accessToken].map((token) => claimsOf(token).sid);
    expect(new Set(sids).size).toBe(3);
    expect(new Set([first.refreshToken, body.refresh_token, third.refreshToken]).size).toBe(3);
    expect((await rowsOf(user.id)).map(({ id }) => id).sort()).toEqual([...sids].sort());
  });

  it('S22 50 refreshes at once with one token: one lineage lives, nobody is logged out', async () => {
    const user = await aSignedInUser(app);
    const answers = await Promise.all(Array.from({ length: 50 }, () => refresh(user.refreshToken)));
    expect(answers.map(({ status }) => status)).toEqual(Array.from({ length: 50 }, () => 200));
    const tokens = new Set(answers.map(({ body }) => body.refresh_token));
    expect(tokens.size).toBe(1);
    const [current] = tokens;
    expect(current).not.toBe(user.refreshToken);
    for (const { body } of answers.slice(0, 5))
      await me({ auth: { Authorization: `Bearer ${body.access_token}` } }).expect(200);
    const rows = await rowsOf(user.id);
    expect(rows.map(({ refresh_counter: counter }) => counter)).toEqual([1]);
    await refresh(current).expect(200);
  });

  it('S23 the token before the current one, outside the grace window, ends the session for all', async () => {
    const user = await aSignedInUser(app);
    const { body } = await refresh(user.refreshToken).expect(200);
    await age(user, '5 seconds', ['rotated_at']);
    await refresh(user.refreshToken).expect(200);
    await age(user, '6 seconds', ['rotated_at']);
    const logged = app.log.length;
    await refresh(user.refreshToken).expect(401);
    expect(await rowsOf(user.id)).toEqual([]);
    await refresh(body.refresh_token).expect(401);
    await me(user).expect(401);
    await me({ auth: { Authorization: `Bearer ${body.access_token}` } }).expect(401);
    const warning = app.log
      .slice(logged)
      .map((line) => JSON.parse(line))
      .find(({ session_id: sessionId }) => sessionId === sidOf(user));
    expect(warning).toMatchObject({ level: 40, user_id: user.id, ip: '127.0.0.1' });
  });

  it('S23 with one entry in the audit log that says from where, whichever token came too late', async () => {
    const reuse = async (...tokens: string[]) => {
      const answers = await Promise.all(
        tokens.map((token) =>
          app.http.post('/api/v1/auth/refresh').set('User-Agent', 'a thief').send({ refresh_token: token }),
        ),
      );
      for (const { status } of answers) expect(status).toBe(401);
      return answers.map(({ headers }) => headers['x-request-id']);
    };
    const entriesOf = async (session: SignedIn) =>
      (
        await app.pool.query(
          `SELECT action, actor_id, target_type, ip_address, user_agent, request_id, details FROM audit_log
           WHERE target_id = $1 AND action NOT LIKE 'login.%'`,
          [sidOf(session)],
        )
      ).rows;
    const [late, older] = [await aSignedInUser(app), await aSignedInUser(app)];
    const { body: second } = await refresh(late.refreshToken).expect(200);
    await age(late, '11 seconds', ['rotated_at']);
    const { body: third } = await refresh((await refresh(older.refreshToken).expect(200)).body.refresh_token).expect(
      200,
    );
    for (const [session, tokens] of [
      [late, [late.refreshToken, late.refreshToken, late.refreshToken]],
      [older, [older.refreshToken]],
    ] as const) {
      const requests = await reuse(...tokens);
      const entries = await entriesOf(session);
      expect(entries).toEqual([
        {
          action: 'session.refresh_reused',
          actor_id: null,
          target_type: 'session',
          ip_address: '127.0.0.1',
          user_agent: 'a thief',
          request_id: expect.any(String),
          details: { user_id: session.id },
        },
      ]);
      expect(requests).toContain(entries[0].request_id);
    }
    // What is dead already is told once.
    await reuse(second.refresh_token, third.refresh_token, late.refreshToken);
    expect([await entriesOf(late), await entriesOf(older)].map(({ length }) => length)).toEqual([1, 1]);
  });

  it('S23 an older token ends the session, also within the window; other sessions of the user go on', async () => {
    const user = await aUser(app);
    const [stolen, other] = [await signIn(app, user), await signIn(app, user)];
    const second = (await refresh(stolen.refreshToken).expect(200)).body.refresh_token;
    const third = (await refresh(second).expect(200)).body.refresh_token;
    await refresh(stolen.refreshToken).expect(401);
    await refresh(third).expect(401);
    await me(other).expect(200);
    await refresh(other.refreshToken).expect(200);
  });

  it('S24 after logout the next call is 401, with the access and the refresh token', async () => {
    const user = await aUser(app);
    const [here, there] = [await signIn(app, user), await signIn(app, user)];
    await app.http.post('/api/v1/auth/logout').set(here.auth).expect(204);
    await expectOver(here);
    await me(there).expect(200);
    await app.http.post('/api/v1/auth/logout').set(here.auth).expect(401);
  });

  it('S24 logout with a refresh token ends that session too, but never that of somebody else', async () => {
    const user = await aUser(app);
    const [here, there, third] = [await signIn(app, user), await signIn(app, user), await signIn(app, user)];
    const victim = await aSignedInUser(app);
    const logout = (who: SignedIn, token: string) =>
      app.http.post('/api/v1/auth/logout').set(who.auth).send({ refresh_token: token });
    await logout(here, there.refreshToken).expect(204);
    await expectOver(here);
    await expectOver(there);
    await logout(third, victim.refreshToken).expect(204);
    await expectOver(third);
    await me(victim).expect(200);
    await refresh(victim.refreshToken).expect(200);
  });

  it('S24 logout-all ends every session of the caller and no other', async () => {
    const user = await aUser(app);
    const sessions = await Promise.all(Array.from({ length: 4 }, () => signIn(app, user)));
    const bystander = await aSignedInUser(app);
    const answers = await Promise.all(sessions.map(({ auth }) => app.http.post('/api/v1/auth/logout-all').set(auth)));
    for (const { status } of answers) expect([204, 401]).toContain(status);
    expect(answers.map(({ status }) => status)).toContain(204);
    for (const session of sessions) await expectOver(session);
    await me(bystander).expect(200);
  });

  it('S24 refreshes that run while the session ends bring nothing back', async () => {
    const user = await aSignedInUser(app);
    const answers = await Promise.all([
      ...Array.from({ length: 5 }, () => refresh(user.refreshToken)),
      app.http.post('/api/v1/auth/logout').set(user.auth),
      ...Array.from({ length: 5 }, () => refresh(user.refreshToken)),
    ]);
    for (const { status } of answers) expect([200, 204, 401]).toContain(status);
    expect(await rowsOf(user.id)).toEqual([]);
    for (const { body, status } of answers) {
      if (status !== 200) continue;
      await me({ auth: { Authorization: `Bearer ${body.access_token}` } }).expect(401);
      await refresh(body.refresh_token).expect(401);
    }
  });

  it('S25 a disabled user is out at the next request and cannot refresh or sign in', async () => {
    const user = await aSignedInUser(app);
    await me(user).expect(200);
    await app.pool.query('UPDATE users SET is_active = false WHERE id = $1', [user.id]);
    await expectOver(user);
    await app.http.post('/api/v1/auth/login').send({ email: user.email, password: PASSWORD }).expect(403);
  });

  it('S25 deleting a user ends all of its sessions', async () => {
    const user = await aUser(app);
    const sessions = [await signIn(app, user), await signIn(app, user)];
    const admin = await anAdmin(app);
    await app.http.delete(`/api/v1/users/${user.id}`).set(admin.auth).expect(200);
    for (const session of sessions) await expectOver(session);
    expect(await rowsOf(user.id)).toEqual([]);
  });

  it('S25 deleting the own account ends all of its sessions', async () => {
    const user = await aUser(app);
    const [here, there] = [await signIn(app, user), await signIn(app, user)];
    await app.http.delete('/api/v1/users/me').set(here.auth).send({ password: PASSWORD }).expect(204);
    await expectOver(here);
    await expectOver(there);
  });

  it('S26 a session that was not used for its idle lifetime is over, for access tokens too', async () => {
    const user = await aSignedInUser(app);
    const times = ['created_at', 'last_used_at', 'rotated_at', 'expires_at', 'ends_at'];
    await age(user, '6 days 23 hours 59 minutes', times);
    await me(user).expect(200);
    await age(user, '1 minute', times);
    await expectOver(user);
    const { body } = await app.http
      .get('/api/v1/auth/sessions')
      .set((await signIn(app, user)).auth)
      .expect(200);
    expect(body.items.map(({ id }: { id: string }) => id)).not.toContain(sidOf(user));
  });

  it('S26 use renews the idle lifetime, never beyond the absolute one', async () => {
    const user = await aSignedInUser(app);
    const [fresh] = await rowsOf(user.id);
    const days = (from: Date, to: Date) => (to.getTime() - from.getTime()) / 86_400_000;
    expect(days(fresh.created_at, fresh.expires_at)).toBeCloseTo(7, 5);
    expect(days(fresh.created_at, fresh.ends_at)).toBeCloseTo(30, 5);

    // Used all the time until three days before its end.
    const times = ['created_at', 'rotated_at', 'ends_at'];
    await age(user, '27 days', times);
    const { body } = await refresh(user.refreshToken).expect(200);
    const [renewed] = await rowsOf(user.id);
    expect(renewed.expires_at).toEqual(renewed.ends_at);

    await age(user, '3 days', [...times, 'expires_at']);
    await refresh(body.refresh_token).expect(401);
    await me(user).expect(401);
  });

  it('S27 a user sees the own sessions with their device and ends one of them', async () => {
    const user = await aUser(app);
    const here = await signIn(app, user);
    const { body: login } = await app.http
      .post('/api/v1/auth/login')
      .set('User-Agent', 'a phone')
      .send({ email: user.email, password: PASSWORD })
      .expect(200);
    const phoneAuth = { Authorization: `Bearer ${login.access_token}` };
    await aSignedInUser(app);
    const { body } = await app.http.get('/api/v1/auth/sessions').set(here.auth).expect(200);
    expect(body).toMatchObject({ total: 2 });
    expect(body.items.map(({ is_current: isCurrent }: any) => isCurrent)).toEqual([false, true]);
    expect(body.items[0]).toMatchObject({ user_agent: 'a phone', ip_address: '127.0.0.1' });
    expect(body.items[1].id).toBe(sidOf(here));

    await app.http.delete(`/api/v1/auth/sessions/${body.items[0].id}`).set(here.auth).expect(204);
    await me({ auth: phoneAuth }).expect(401);
    await refresh(login.refresh_token).expect(401);
    await app.http.delete(`/api/v1/auth/sessions/${body.items[0].id}`).set(here.auth).expect(404);
    await me(here).expect(200);
  });

  it("S27 another user's session is neither listed nor ended, not by an admin either through this route", async () => {
    const victim = await aSignedInUser(app);
    for (const other of [await aSignedInUser(app), await anAdmin(app)]) {
      const { body } = await app.http.get('/api/v1/auth/sessions').set(other.auth).expect(200);
      expect(body.items.map(({ id }: { id: string }) => id)).toEqual([sidOf(other)]);
      await app.http
        .delete(`/api/v1/auth/sessions/${sidOf(victim)}`)
        .set(other.auth)
        .expect(404);
    }
    await me(victim).expect(200);
  });

  it('S27 a user agent of any length or bytes does not hinder the login', async () => {
    const user = await aUser(app);
    for (const agent of ['x'.repeat(4_000), '<script>alert(1)</script>', "'; DROP TABLE sessions; --"]) {
      const { body } = await app.http
        .post('/api/v1/auth/login')
        .set('User-Agent', agent)
        .send({ email: user.email, password: PASSWORD })
        .expect(200);
      const auth = { Authorization: `Bearer ${body.access_token}` };
      const { body: list } = await app.http.get('/api/v1/auth/sessions').set(auth).expect(200);
      expect(list.items[0].user_agent).toBe(agent.slice(0, 512));
    }
  });
});
