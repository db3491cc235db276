import { randomUUID } from 'node:crypto';
import { SCOPES } from '../../src/common/auth/scope.js';
import { aSignedInUser, anAdmin, aUser, PASSWORD, type SignedIn, signIn } from '../support/builders.js';
import { closeSockets, connect, refusal, type TestSocket } from '../support/sockets.js';
import { startTestApp, type TestApp } from '../support/test-app.js';

const USERS = '/api/v1/admin/users';
const KEYS = '/api/v1/users/me/api-keys';

interface Caller {
  auth: Record<string, string>;
}

/** All ways in that one person has, on both nodes. */
interface Presence {
  sessions: SignedIn[];
  key: string;
  sockets: TestSocket[];
  keySockets: TestSocket[];
  streams: Promise<string>[];
  keyStreams: Promise<string>[];
}

describe('administration', () => {
  /** Two nodes on one database: what is done on the one holds on the other. */
  let here: TestApp;
  let there: TestApp;
  let nodes: TestApp[];
  let admin: SignedIn;

  beforeAll(async () => {
    here = await startTestApp();
    there = await startTestApp({}, { beside: here });
    nodes = [here, there];
  });
  beforeEach(async () => {
    await here.pool.query("DELETE FROM users WHERE role = 'admin'");
    admin = await anAdmin(here);
  });
  afterEach(closeSockets);
  afterAll(async () => {
    await there.close();
    await here.close();
  });

  const change = (id: string, body: object, { auth }: Caller = admin, node = here) =>
    node.http.patch(`${USERS}/${id}`).set(auth).send(body);
  const remove = (id: string, { auth }: Caller = admin, node = here) => node.http.delete(`${USERS}/${id}`).set(auth);
  const revoke = (id: string, { auth } = admin) => here.http.post(`${USERS}/${id}/revoke-sessions`).set(auth);
  const me = (node: TestApp, headers: Record<string, string>) => node.http.get('/api/v1/users/me').set(headers);
  const refresh = (node: TestApp, { refreshToken }: SignedIn) =>
    node.http.post('/api/v1/auth/refresh').send({ refresh_token: refreshToken });
  const auditOf = async (id: string) =>
    (
      await here.pool.query(
        "SELECT action FROM audit_log WHERE target_id = $1 AND action NOT LIKE 'login.%' ORDER BY id",
        [id],
      )
    ).rows.map(({ action }) => action);

  /** Open until the server ends it; then all that it said. */
  const streamOf = async (node: TestApp, headers: Record<string, string>): Promise<Promise<string>[]> => {
    const response = await fetch(`${node.url}/api/v1/broadcasting/stream?channel=news`, { headers });
    expect(response.status).toBe(200);
    return [response.text()];
  };
  const presenceOf = async (user: SignedIn): Promise<Presence> => {
    const sessions = [user, await signIn(there, user)];
    const { body } = await here.http.post(KEYS).set(user.auth).send({ name: 'x' }).expect(201);
    const ofKey = { accessToken: body.key as string };
    const header = { 'X-API-Key': ofKey.accessToken };
    const both = async <T>(make: (node: TestApp) => Promise<T>) => [await make(here), await make(there)];
    return {
      sessions,
      key: ofKey.accessToken,
      sockets: await both((node) => connect(node, user, { reconnection: true })),
      keySockets: await both((node) => connect(node, ofKey, { reconnection: true })),
      streams: (await both((node) => streamOf(node, user.auth))).flat(),
      keyStreams: (await both((node) => streamOf(node, header))).flat(),
    };
  };
  const expectSessionsOver = async ({ sessions }: Presence) => {
    for (const node of nodes)
      for (const session of sessions) {
        expect((await me(node, session.auth).expect(401)).body.error_code).toBe('invalid_token');
        await refresh(node, session).expect(401);
        expect(await refusal(node, session)).toMatchObject({ error_code: 'invalid_token' });
      }
  };
  const expectEnded = async (sockets: TestSocket[], streams: Promise<string>[], reason: string) => {
    for (const socket of sockets) expect(await socket.ended()).toBe(reason);
    for (const stream of streams) expect(await stream).toContain(`"reason":"${reason}"`);
  };
  const expectHere = async (presence: Presence) => {
    for (const node of nodes) {
      for (const { auth } of presence.sessions) await me(node, auth).expect(200);
      await me(node, { 'X-API-Key': presence.key }).expect(200);
    }
    for (const socket of [...presence.sockets, ...presence.keySockets])
      expect(await socket.ask('ping')).toMatchObject({ ok: true });
  };

  it.each<[string, (id: string) => Promise<unknown>, string, string]>([
    ['disabling', (id) => change(id, { is_active: false }).expect(200), 'account_disabled', 'user.disabled'],
    ['deleting', (id) => remove(id).expect(204), 'account_deleted', 'user.deleted'],
  ])(
    'S25 %s a user ends sessions, keys, sockets and streams on every node, and nobody else’s',
    async (_what, act, reason, action) => {
      const [user, bystander] = [
        await presenceOf(await aSignedInUser(here)),
        await presenceOf(await aSignedInUser(here)),
      ];
      await act(user.sessions[0].id);
      await expectSessionsOver(user);
      for (const node of nodes)
        expect((await me(node, { 'X-API-Key': user.key }).expect(401)).body.error_code).toBe('invalid_token');
      await expectEnded([...user.sockets, ...user.keySockets], [...user.streams, ...user.keyStreams], reason);
      expect(await refusal(there, { accessToken: user.key })).toMatchObject({ error_code: 'invalid_token' });
      const login = { email: user.sessions[0].email, password: PASSWORD };
      await there.http
        .post('/api/v1/auth/login')
        .send(login)
        .expect(reason === 'account_disabled' ? 403 : 401);
      expect(await auditOf(user.sessions[0].id)).toEqual([action]);
      await expectHere(bystander);
    },
  );

  it('S25 enabling again brings back neither session nor key', async () => {
    const user = await presenceOf(await aSignedInUser(here));
    const [{ id }] = user.sessions;
    await change(id, { is_active: false }).expect(200);
    await change(id, { is_active: true }).expect(200);
    await expectSessionsOver(user);
    for (const node of nodes) await me(node, { 'X-API-Key': user.key }).expect(401);
    await signIn(there, user.sessions[0]);
  });

  it('S27 an admin ends all sessions of a user, on every node; keys and others go on', async () => {
    const [user, bystander] = [
      await presenceOf(await aSignedInUser(here)),
      await presenceOf(await aSignedInUser(here)),
    ];
    const [{ id }] = user.sessions;
    await revoke(id).expect(204);
    await expectSessionsOver(user);
    await expectEnded(user.sockets, user.streams, 'logged_out');
    for (const node of nodes) await me(node, { 'X-API-Key': user.key }).expect(200);
    for (const socket of user.keySockets) expect(await socket.ask('ping')).toMatchObject({ ok: true });
    expect(await auditOf(id)).toEqual(['session.all_revoked']);
    await expectHere(bystander);
  });

  it('S27 nobody but an admin ends the sessions of somebody else', async () => {
    const user = await aSignedInUser(here);
    const other = await aSignedInUser(here);
    await revoke(user.id, other).expect(403);
    await revoke(user.id, user).expect(403);
    await me(there, user.auth).expect(200);
    expect(await auditOf(user.id)).toEqual([]);
  });

  describe('the last admin', () => {
    const activeAdmins = async () =>
      (await here.pool.query("SELECT id FROM users WHERE role = 'admin' AND is_active")).rows.map(({ id }) => id);
    const adminKey = async (owner: SignedIn) =>
      (await here.http.post(KEYS).set(owner.auth).send({ name: 'x', scopes: SCOPES }).expect(201)).body.key as string;

    it('S32 cannot be demoted, disabled or deleted, whichever way', async () => {
      await aUser(here, { role: 'admin', isActive: false });
      const { id, auth } = admin;
      const byKey = { auth: { 'X-API-Key': await adminKey(admin) } };
      for (const answer of [
        await change(id, { role: 'user' }),
        await change(id, { is_active: false }),
        await change(id, { role: 'user', is_active: false, quota: 1 }),
        await change(id.toUpperCase(), { role: 'user' }, byKey),
        await here.http.put(`${USERS}/${id}`).set(auth).send({ is_active: false }),
        await remove(id),
        await here.http.delete(`/api/v1/users/${id}`).set(auth),
        await here.http.delete(`/users/${id.toUpperCase()}`).set(auth),
        await here.http.delete('/api/v1/users/me').set(auth).send({ password: PASSWORD }),
      ]) {
        expect([answer.status, answer.body.error_code]).toEqual([409, 'last_admin']);
      }
      // A key is not for ending the account that it belongs to.
      expect((await remove(id, byKey).expect(403)).body.error_code).toBe('insufficient_scope');
      expect(await activeAdmins()).toEqual([id]);
      await me(there, auth).expect(200);
    });

    it('S32 is there still after two admins took each other away at once, on two nodes', async () => {
      const ways: ((id: string, by: SignedIn, node: TestApp) => PromiseLike<{ status: number }>)[] = [
        (id, by, node) => change(id, { role: 'user' }, by, node),
        (id, by, node) => change(id, { is_active: false }, by, node),
        (id, by, node) => remove(id, by, node),
        (id, { auth }, node) => node.http.delete(`/api/v1/users/${id}`).set(auth),
      ];
      for (let round = 0; round < 8; round++) {
        await here.pool.query("DELETE FROM users WHERE role = 'admin'");
        const [a, b] = [await anAdmin(here), await anAdmin(there)];
        const answers = await Promise.all([
          ways[round % 4](b.id, a, here),
          ways[(round + Math.floor(round / 4)) % 4](a.id, b, there),
        ]);
        const statuses = answers.map(({ status }) => status);
        expect(statuses.filter((status) => status < 300)).toHaveLength(1);
        for (const status of statuses) expect([200, 204, 401, 403, 409]).toContain(status);
        expect(await activeAdmins()).toHaveLength(1);
      }
    });

    it('S32 is there still after all admins deleted themselves at once', async () => {
      const admins = [admin, await anAdmin(here), await anAdmin(here)];
      const answers = await Promise.all(
        admins.map(({ auth }, i) =>
          nodes[i % 2].http.delete('/api/v1/users/me').set(auth).send({ password: PASSWORD }),
        ),
      );
      expect(answers.map(({ status }) => status).sort()).toEqual([204, 204, 409]);
      expect(await activeAdmins()).toHaveLength(1);
    });
  });

  it('S32 a role change holds at the next request on every node, whatever the token says', async () => {
    const [person, other] = [await anAdmin(here), await aUser(here)];
    const { body: key } = await here.http.post(KEYS).set(person.auth).send({ name: 'x', scopes: SCOPES }).expect(201);
    const look = async (node: TestApp, headers: Record<string, string>) =>
      (await node.http.get(`/api/v1/users/${other.id}`).set(headers).expect(200)).body;
    const callers = [person.auth, { 'X-API-Key': key.key }] as Record<string, string>[];
    const socket = await connect(there, person);
    expect(await socket.subscribe('private-role.admin')).toMatchObject({ ok: true });

    await change(person.id, { role: 'user' }).expect(200);
    for (const node of nodes)
      for (const headers of callers) {
        expect(await look(node, headers)).not.toHaveProperty('email');
        await node.http.get(USERS).set(headers).expect(403);
        await node.http.get('/api/v1/admin/audit-log').set(headers).expect(403);
        await node.http.delete(`/api/v1/users/${other.id}`).set(headers).expect(403);
        await node.http.patch(`/api/v1/users/${other.id}`).set(headers).send({ bio: 'x' }).expect(403);
        await node.http.patch(`${USERS}/${person.id}`).set(headers).send({ role: 'admin' }).expect(403);
        const newAdmin = { email: `${randomUUID()}@example.com`, password: PASSWORD, is_superuser: true };
        await node.http.post('/api/v1/users').set(headers).send(newAdmin).expect(403);
      }
    expect(await socket.ended()).toBe('role_changed');
    await here.http
      .post(KEYS)
      .set(person.auth)
      .send({ name: 'x', scopes: ['admin'] })
      .expect(403);

    await change(person.id, { role: 'admin' }).expect(200);
    for (const node of nodes) for (const headers of callers) expect(await look(node, headers)).toHaveProperty('email');
  });
});
