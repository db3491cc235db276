import { until } from '../../../test/support/uploads.js';
import { AuthenticationError, ConflictError, PermissionDeniedError } from '../src/index.js';
import { ADMIN, all, PASSWORD, TestServer, type TestUser } from './support.js';
import type { Gatehouse } from '../src/index.js';

describe('administration, broadcasting and health', () => {
  let server: TestServer;
  let admin: Gatehouse;
  let user: TestUser;
  beforeAll(async () => {
    server = await TestServer.start({ METRICS_TOKEN: 'token-of-the-metrics' });
    admin = await server.admin();
    user = await server.user();
  });
  afterAll(() => server.stop());

  /** A small file, by the API itself. */
  const upload = async (by: Gatehouse) => {
    const { key } = await by.users.apiKeys.create({ name: 'upload' });
    const body = new FormData();
    body.append('file', new Blob(['Hello'], { type: 'text/plain' }), 'hello.txt');
    const headers = { 'X-API-Key': key };
    const answer = await fetch(`${server.url}/api/v1/uploads`, { method: 'POST', headers, body });
    return ((await answer.json()) as { id: string }).id;
  };

  describe('admin', () => {
    it('finds accounts and changes their standing', async () => {
      const { items } = await admin.admin.users.list({ search: user.username, role: 'user', active: true });
      expect(items).toMatchObject([{ id: user.id, has_second_factor: false, quota: null }]);
      expect(await all(admin.admin.users.iterate({ search: user.username }))).toEqual(items);
      expect(await admin.admin.users.get(user.id)).toEqual(items[0]);
      expect(await admin.admin.users.update(user.id, { quota: 1000 })).toMatchObject({ quota: 1000 });
      expect(await admin.admin.users.update(user.id, { quota: null })).toMatchObject({ quota: null });
      await expect(user.api.admin.users.list()).rejects.toThrow(PermissionDeniedError);
      const { id } = await admin.users.me();
      await expect(admin.admin.users.update(id, { role: 'user' })).rejects.toThrow(ConflictError);
    });

    it('ends one session or all, resets the second factor, deletes', async () => {
      const { api, id, email } = await server.user();
      const other = server.client();
      await other.auth.login({ email, password: PASSWORD });
      const [newest, oldest] = (await admin.admin.users.sessions.list(id)).items;
      expect(await all(admin.admin.users.sessions.iterate(id))).toEqual([newest, oldest]);
      const own = (await api.auth.sessions.list()).items.find(({ is_current }) => is_current)?.id ?? '';
      await admin.admin.users.sessions.end(id, own);
      await expect(api.users.me()).rejects.toThrow(AuthenticationError);
      await other.users.me();
      await admin.admin.users.revokeSessions(id);
      await expect(other.users.me()).rejects.toThrow(AuthenticationError);
      await expect(admin.admin.users.resetMfa(id)).rejects.toThrow(ConflictError);
      await admin.admin.users.delete(id);
      await expect(admin.admin.users.get(id)).rejects.toMatchObject({ status: 404 });
    });

    it('sees and deletes everybody’s files', async () => {
      const id = await upload(user.api);
      const filters = { user_id: user.id, content_type: 'text/*' };
      expect((await admin.admin.uploads.list(filters)).items).toMatchObject([{ id, user_id: user.id }]);
      expect(await all(admin.admin.uploads.iterate(filters))).toHaveLength(1);
      await admin.admin.uploads.delete(id);
      expect((await admin.admin.uploads.list(filters)).total).toBe(0);
    });

    it('reads the audit log, by dates as well, and the statistics', async () => {
      const me = await admin.users.me();
      const { items } = await admin.admin.auditLog.list({ actor_id: me.id, size: 1 });
      expect(items).toMatchObject([{ actor_id: me.id }]);
      const from = new Date(Date.now() - 600_000).toISOString();
      const entries = await all(admin.admin.auditLog.iterate({ actor_id: me.id, from }));
      expect(entries.length).toBeGreaterThan(1);
      expect((await admin.admin.auditLog.list({ to: '2020-01-01T00:00:00Z' })).total).toBe(0);
      expect(await admin.admin.stats()).toMatchObject({ users: { total: expect.any(Number) }, storage: {} });
    });
  });

  describe('broadcasting', () => {
    it('publishes and reads the history', async () => {
      const first = await admin.broadcasting.publish({ channel: 'news', event: 'said', data: { text: 'one' } });
      expect(first).toMatchObject({ channel: 'news', sequence: 1, data: { text: 'one' } });
      const keyed = { channel: 'news', event: 'said', data: 'two', idempotency_key: 'two' };
      const { id } = await admin.broadcasting.publish(keyed);
      expect((await admin.broadcasting.publish(keyed)).id).toBe(id);
      const passing = await admin.broadcasting.publish({ channel: 'news', event: 'typing', durable: false });
      expect(passing.sequence).toBeNull();
      const history = await user.api.broadcasting.history('news', { after: 1, limit: 5 });
      expect(history).toMatchObject({ last_sequence: 2, items: [{ id, data: 'two' }] });
      await expect(user.api.broadcasting.publish({ channel: 'news', event: 'said' })).rejects.toMatchObject({
        name: 'PermissionDeniedError',
        code: 'publish_forbidden',
      });
    });

    it('channels and their members', async () => {
      const name = 'private-team';
      await expect(user.api.broadcasting.authorize({ channel_name: name })).rejects.toThrow(PermissionDeniedError);
      await admin.broadcasting.channels.members.add(name, user.id);
      expect(await user.api.broadcasting.authorize({ channel_name: name })).toEqual({ channel: name, allowed: true });
      const page = await admin.broadcasting.channels.members.list(name);
      expect(page.items).toMatchObject([{ id: user.id, username: user.username }]);
      expect(await all(admin.broadcasting.channels.members.iterate(name))).toEqual(page.items);
      const changed = await admin.broadcasting.channels.update(name, { publish_policy: 'members', retention_count: 5 });
      expect(changed).toMatchObject({ publish_policy: 'members', retention_count: 5 });
      await user.api.broadcasting.publish({ channel: name, event: 'said' });
      expect(await user.api.broadcasting.channels.get(name)).toMatchObject({ name, sequence: 1 });
      const { items } = await user.api.broadcasting.channels.list();
      expect(items.map((channel) => channel.name)).toContain(name);
      expect(await all(user.api.broadcasting.channels.iterate())).toEqual(items);
      await admin.broadcasting.channels.members.remove(name, user.id);
      await expect(user.api.broadcasting.channels.get(name)).rejects.toMatchObject({ code: 'channel_forbidden' });
    });

    it('gives tickets and statistics', async () => {
      expect(await user.api.broadcasting.createStreamTicket()).toEqual({
        ticket: expect.any(String),
        expires_in: expect.any(Number),
      });
      expect(await admin.broadcasting.stats()).toMatchObject({ connections: 0, nodes: [{ connections: 0 }] });
    });
  });

  it('health', async () => {
    const guest = server.client();
    expect(await guest.health.live()).toEqual({ status: 'ok' });
    const isHealthy = () =>
      guest.health.status().then(
        (health) => health.status === 'healthy' && health.database === 'healthy',
        () => false,
      );
    await until(isHealthy, 'a healthy state, which is measured against two seconds');
    expect(await guest.health.metrics({ token: 'token-of-the-metrics' })).toMatch(/^# HELP /);
    await expect(guest.health.metrics()).rejects.toThrow(AuthenticationError);
  });

  it('a disabled account is out', async () => {
    const { api, id, email } = await server.user();
    await admin.admin.users.update(id, { is_active: false });
    await expect(api.users.me()).rejects.toThrow(AuthenticationError);
    await expect(server.client().auth.login({ email, password: PASSWORD })).rejects.toMatchObject({
      name: 'PermissionDeniedError',
      code: 'account_disabled',
    });
    await expect(server.client().auth.login({ ...ADMIN, password: 'x' })).rejects.toThrow(AuthenticationError);
  });
});
