import { aUser, anAdmin, PASSWORD, type SignedIn } from '../support/builders.js';
import { startTestApp, type TestApp } from '../support/test-app.js';

const USERS = '/api/v1/admin/users';
const ROUNDS = 25;

describe('the last active admin', () => {
  let app: TestApp;
  let admin: SignedIn;

  beforeAll(async () => {
    app = await startTestApp();
  });
  beforeEach(async () => {
    await app.pool.query(`DELETE FROM users WHERE role = 'admin'`);
    admin = await anAdmin(app);
  });
  afterAll(() => app.close());

  const change = (caller: SignedIn, id: string, body: object) =>
    app.http.patch(`${USERS}/${id}`).set(caller.auth).send(body);
  const activeAdmins = async () =>
    (await app.pool.query<{ id: string }>(`SELECT id FROM users WHERE role = 'admin' AND is_active`)).rows.map(
      ({ id }) => id,
    );
  const entries = async () => {
    const { rows } = await app.pool.query(`SELECT count(*)::int AS entries FROM audit_log WHERE action LIKE 'user.%'`);
    return rows[0].entries;
  };

  const WAYS: [string, (caller: SignedIn, id: string) => ReturnType<typeof change>][] = [
    ['demoted', (caller, id) => change(caller, id, { role: 'user' })],
    ['disabled', (caller, id) => change(caller, id, { is_active: false })],
    ['demoted and disabled', (caller, id) => change(caller, id, { role: 'user', is_active: false, quota: 5 })],
    ['deleted', (caller, id) => app.http.delete(`${USERS}/${id}`).set(caller.auth)],
    ['deleted as a user', (caller, id) => app.http.delete(`/api/v1/users/${id}`).set(caller.auth)],
    [
      'deleted by the owner',
      (caller) => app.http.delete('/api/v1/users/me').set(caller.auth).send({ password: PASSWORD }),
    ],
  ];

  it.each(WAYS)('cannot be %s, whoever else was an admin or is disabled', async (_way, take) => {
    await aUser(app, { role: 'admin', isActive: false });
    await aUser(app);
    const before = await entries();
    const { body } = await take(admin, admin.id).expect(409);
    expect(body).toMatchObject({ error_code: 'last_admin', code: 409 });
    expect(await activeAdmins()).toEqual([admin.id]);
    expect((await app.http.get(`${USERS}/${admin.id}`).set(admin.auth).expect(200)).body.quota).toBeNull();
    expect(await entries()).toBe(before);
  });

  it.each(WAYS)('may be %s when there is another one', async (_way, take) => {
    const other = await anAdmin(app);
    const { status } = await take(admin, admin.id);
    expect([200, 204]).toContain(status);
    expect(await activeAdmins()).toEqual([other.id]);
    await app.http.get(USERS).set(other.auth).expect(200);
    expect((await take(other, other.id)).status).toBe(409);
  });

  it('may have another quota, and keep what is given as it is', async () => {
    await change(admin, admin.id, { role: 'admin', is_active: true, quota: 5 }).expect(200);
    expect(await activeAdmins()).toEqual([admin.id]);
  });

  it(`is left by two admins who take each other away at once, in each of ${ROUNDS} rounds`, async () => {
    const outcomes = new Set<string>();
    for (let round = 0; round < ROUNDS; round++) {
      await app.pool.query(`DELETE FROM users WHERE role = 'admin'`);
      const [one, other] = [await anAdmin(app), await anAdmin(app)];
      const [takeOther, takeOne] = [WAYS[round % 5][1], WAYS[Math.floor(round / 5) % 5][1]];
      const answers = await Promise.all([takeOther(one, other.id), takeOne(other, one.id)]);
      const statuses = answers.map(({ status }) => status);
      // Whoever came second was refused by the rule, or was no admin any more when the request came in.
      expect(statuses.filter((status) => status < 300)).toHaveLength(1);
      expect([401, 403, 409]).toContain(statuses.find((status) => status >= 300));
      expect(await activeAdmins()).toHaveLength(1);
      outcomes.add(String(statuses.find((status) => status >= 300)));
    }
    // If never, then the two were never at it at once.
    expect(outcomes).toContain('409');
  });

  it('is left by many admins who all take themselves away at once', async () => {
    const others = await Promise.all(Array.from({ length: 7 }, () => anAdmin(app)));
    const everybody = [admin, ...others];
    const answers = await Promise.all(everybody.map((each, i) => WAYS[i % 5][1](each, each.id)));
    expect(answers.filter(({ status }) => status < 300)).toHaveLength(everybody.length - 1);
    expect(answers.filter(({ status }) => status === 409)).toHaveLength(1);
    expect(await activeAdmins()).toHaveLength(1);
  });
});
