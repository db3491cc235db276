import fc from 'fast-check';
import { aSignedInUser } from '../support/builders.js';
import { startTestApp, type TestApp } from '../support/test-app.js';

describe('POST /auth/refresh', () => {
  let app: TestApp;
  beforeAll(async () => {
    app = await startTestApp();
  });
  afterAll(() => app.close());

  const refresh = (token: string) => app.http.post('/api/v1/auth/refresh').send({ refresh_token: token });
  const isAlive = async (accessToken: string) =>
    (await app.http.get('/api/v1/users/me').set({ Authorization: `Bearer ${accessToken}` })).status === 200;
  /** As if so many seconds had passed since the last rotation. */
  const age = (seconds: number, userId: string) =>
    app.pool.query(`UPDATE sessions SET rotated_at = rotated_at - make_interval(secs => $1) WHERE user_id = $2`, [
      seconds,
      userId,
    ]);

  it('answers a new pair', async () => {
    const user = await aSignedInUser(app);
    const { body } = await refresh(user.refreshToken).expect(200);
    expect(Object.keys(body).sort()).toEqual(['access_token', 'expires_in', 'refresh_token', 'token_type']);
    expect(body.refresh_token).not.toBe(user.refreshToken);
    expect(await isAlive(body.access_token)).toBe(true);
  });

  it('answers the same current refresh token to the one before it, within the grace window', async () => {
    const user = await aSignedInUser(app);
    const first = await refresh(user.refreshToken).expect(200);
    const again = await refresh(user.refreshToken).expect(200);
    expect(again.body.refresh_token).toBe(first.body.refresh_token);
    expect(again.body.access_token).not.toBe(first.body.access_token);
    await refresh(again.body.refresh_token).expect(200);
  });

  it('ends the session when the one before comes after the grace window', async () => {
    const user = await aSignedInUser(app);
    const { body } = await refresh(user.refreshToken).expect(200);
    await age(11, user.id);
    const refused = await refresh(user.refreshToken).expect(401);
    expect(refused.body).toMatchObject({ detail: 'Invalid refresh token', error_code: 'invalid_refresh_token' });
    expect(await isAlive(body.access_token)).toBe(false);
    await refresh(body.refresh_token).expect(401);
    expect(app.log.some((line) => line.includes('used again') && line.includes(user.id))).toBe(true);
  });

  it('ends the session when an older one comes, however soon', async () => {
    const user = await aSignedInUser(app);
    const second = await refresh(user.refreshToken).expect(200);
    const third = await refresh(second.body.refresh_token).expect(200);
    await refresh(user.refreshToken).expect(401);
    expect(await isAlive(third.body.access_token)).toBe(false);
  });

  it('gives 50 refreshes at once with one token one and the same successor', async () => {
    const user = await aSignedInUser(app);
    const answers = await Promise.all(Array.from({ length: 50 }, () => refresh(user.refreshToken)));
    expect(answers.map(({ status }) => status)).toEqual(Array(50).fill(200));
    expect(new Set(answers.map(({ body }) => body.refresh_token)).size).toBe(1);
    await refresh(answers[0].body.refresh_token).expect(200);
    const { rows } = await app.pool.query('SELECT refresh_counter FROM sessions WHERE user_id = $1', [user.id]);
    expect(rows).toEqual([{ refresh_counter: 2 }]);
  });

  it('keeps one lineage through any schedule of bursts, lost answers and pauses', async () => {
    const burst = fc.record({
      client: fc.nat(2),
      requests: fc.integer({ min: 1, max: 8 }),
      isAnswerLost: fc.boolean(),
      pauseSeconds: fc.constantFrom(0, 0, 5, 11),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(burst, { minLength: 1, maxLength: 8 }), async (schedule) => {
        const user = await aSignedInUser(app);
        const tokens = [user.refreshToken];
        const held = [0, 0, 0];
        let sinceRotation = 0;
        for (const { client, requests, isAnswerLost, pauseSeconds } of schedule) {
          await age(pauseSeconds, user.id);
          sinceRotation += pauseSeconds;
          const presented = held[client];
          const current = tokens.length - 1;
          const answers = await Promise.all(Array.from({ length: requests }, () => refresh(tokens[presented])));
          const answered = new Set(
            answers.map(({ status, body }) => (status === 200 ? (body.refresh_token as string) : status)),
          );
          // All answers of a burst are one and the same: it is the same token, and it is this moment.
          expect(answered.size).toBe(1);
          const [answer] = answered;
          if (presented === current) {
            expect(tokens).not.toContain(answer);
            tokens.push(answer as string);
            sinceRotation = 0;
          } else if (presented === current - 1 && sinceRotation < 10) {
            expect(answer).toBe(tokens[current]);
          } else {
            expect(answer).toBe(401);
            await refresh(tokens[current]).expect(401);
            return;
          }
          if (!isAnswerLost) held[client] = tokens.length - 1;
        }
        await refresh(tokens.at(-1) as string).expect(200);
      }),
      { numRuns: 40 },
    );
  });

  it.each([
    ['an access token', (user: { accessToken: string }) => user.accessToken],
    ['nothing of ours', () => 'abc'],
    ['an empty text', () => ''],
    ['a token with another counter', (user: { refreshToken: string }) => flip(user.refreshToken, 19)],
    ['a token with another session', (user: { refreshToken: string }) => flip(user.refreshToken, 3)],
    ['a token with another signature', (user: { refreshToken: string }) => flip(user.refreshToken, 40)],
  ])('refuses %s with 401 and ends nothing', async (_title, tokenOf) => {
    const user = await aSignedInUser(app);
    await refresh(tokenOf(user)).expect(401);
    expect(await isAlive(user.accessToken)).toBe(true);
  });

  it('refuses the token of a disabled account', async () => {
    const user = await aSignedInUser(app);
    await app.pool.query('UPDATE users SET is_active = false WHERE id = $1', [user.id]);
    await refresh(user.refreshToken).expect(401);
  });

  it('prolongs the session, but not beyond its end', async () => {
    const user = await aSignedInUser(app);
    await app.pool.query(`UPDATE sessions SET ends_at = now() + interval '1 hour' WHERE user_id = $1`, [user.id]);
    await refresh(user.refreshToken).expect(200);
    const { rows } = await app.pool.query('SELECT expires_at = ends_at AS is_capped FROM sessions WHERE user_id = $1', [
      user.id,
    ]);
    expect(rows).toEqual([{ is_capped: true }]);
  });

  it('keeps nothing in the database that is a token', async () => {
    const user = await aSignedInUser(app);
    const { rows } = await app.pool.query('SELECT to_jsonb(s) AS row FROM sessions s WHERE user_id = $1', [user.id]);
    const stored = JSON.stringify(rows);
    expect(stored).not.toContain(user.refreshToken.slice(30));
    expect(Object.keys(rows[0].row as object).sort()).toEqual([
      ...['created_at', 'ends_at', 'expires_at', 'id', 'ip_address', 'last_used_at'],
      ...['refresh_counter', 'rotated_at', 'user_agent', 'user_id'],
    ]);
  });
});

function flip(token: string, byte: number): string {
  const bytes = Buffer.from(token, 'base64url');
  bytes[byte] ^= 1;
  return bytes.toString('base64url');
}
