import { randomUUID } from 'node:crypto';
import { AUDIT_ACTIONS } from '../../src/common/events/audit-event.js';
import { aSignedInUser, anAdmin, type SignedIn } from '../support/builders.js';
import { startTestApp, type TestApp } from '../support/test-app.js';

const LOG = '/api/v1/admin/audit-log';
const [ADA, BEN] = [randomUUID(), randomUUID()];

interface Written {
  at: string;
  actor: string | null;
  action: string;
  target: string | null;
}

/** From the oldest on. */
const WRITTEN: Written[] = [
  { at: '2020-01-01T00:00:00.000Z', actor: ADA, action: 'user.disabled', target: BEN },
  { at: '2020-01-01T00:00:00.001Z', actor: null, action: 'login.failed', target: BEN },
  { at: '2020-01-02T00:00:00.000Z', actor: BEN, action: 'api_key.created', target: 'key' },
  { at: '2020-01-02T12:00:00.500Z', actor: ADA, action: 'file.deleted', target: 'key' },
  { at: '2020-02-29T23:59:59.999Z', actor: ADA, action: 'user.disabled', target: ADA },
];

describe('GET /admin/audit-log', () => {
  let app: TestApp;
  let admin: SignedIn;

  beforeAll(async () => {
    app = await startTestApp();
    for (const { at, actor, action, target } of WRITTEN)
      await app.pool.query(
        `INSERT INTO audit_log (id, created_at, actor_id, action, target_type, target_id, details)
         VALUES (audit_id($1::timestamptz), $1, $2, $3, 'user', $4, '{}')`,
        [at, actor, action, target],
      );
    admin = await anAdmin(app);
  });
  afterAll(() => app.close());

  const list = async (query: Record<string, string | number> = {}): Promise<any> =>
    (await app.http.get(LOG).query(query).set(admin.auth).expect(200)).body;
  const times = (page: { items: { created_at: string }[] }) => page.items.map(({ created_at }) => created_at);
  const until = '2021-01-01';

  it('is refused to guests and users', async () => {
    await app.http.get(LOG).expect(401);
    const user = await aSignedInUser(app);
    const { body } = await app.http.get(LOG).set(user.auth).expect(403);
    expect(body.items).toBeUndefined();
  });

  it('tells who did what from where, in an answer of that shape', async () => {
    const user = await aSignedInUser(app);
    const { headers } = await app.http
      .patch(`/api/v1/admin/users/${user.id}`)
      .set(admin.auth)
      .set('User-Agent', 'the test')
      .send({ quota: 7 })
      .expect(200);
    const page = await list({ target_id: user.id, action: 'user.quota_changed' });
    expect(page).toEqual({
      items: [
        {
          id: expect.any(String),
          created_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
          actor_id: admin.id,
          action: 'user.quota_changed',
          target_type: 'user',
          target_id: user.id,
          ip_address: '127.0.0.1',
          user_agent: 'the test',
          request_id: headers['x-request-id'],
          details: { from: null, to: 7 },
        },
      ],
      ...{ total: 1, page: 1, size: 20, pages: 1, skip: 0, limit: 20 },
    });
  });

  it('outlives whom it is about, and who did it', async () => {
    const [other, user] = [await anAdmin(app), await aSignedInUser(app)];
    await app.http.delete(`/api/v1/admin/users/${user.id}`).set(other.auth).expect(204);
    await app.http.delete(`/api/v1/admin/users/${other.id}`).set(admin.auth).expect(204);
    expect((await list({ actor_id: other.id, action: 'user.deleted' })).items).toMatchObject([
      { actor_id: other.id, target_id: user.id, details: { username: user.username } },
    ]);
    expect((await list({ target_id: other.id, action: 'user.deleted' })).total).toBe(1);
  });

  it('has the newest first, in pages of both styles', async () => {
    const all = times(await list({ to: until }));
    expect(all).toEqual(WRITTEN.map(({ at }) => at).reverse());
    expect(await list({ to: until, page: 2, size: 2 })).toMatchObject({ total: 5, page: 2, size: 2, pages: 3 });
    expect(times(await list({ to: until, page: 2, size: 2 }))).toEqual(all.slice(2, 4));
    expect(times(await list({ to: until, skip: 4 }))).toEqual(all.slice(4));
    expect(await list({ to: until, page: 9 })).toMatchObject({ items: [], total: 5 });
    const everything = await list({ size: 100 });
    expect(times(everything).slice(-5)).toEqual(all);
    expect(times(everything)).toEqual([...times(everything)].sort().reverse());
    expect(everything.total).toBe(everything.items.length);
  });

  it.each<[Record<string, string>, number[]]>([
    [{ actor_id: ADA }, [4, 3, 0]],
    [{ actor_id: ADA.toUpperCase() }, [4, 3, 0]],
    [{ actor_id: randomUUID() }, []],
    [{ action: 'user.disabled' }, [4, 0]],
    [{ action: 'mfa.enabled' }, []],
    [{ target_id: BEN }, [1, 0]],
    [{ target_id: 'key' }, [3, 2]],
    [{ target_id: '%' }, []],
    [{ actor_id: ADA, action: 'user.disabled' }, [4, 0]],
    [{ actor_id: ADA, target_id: 'key' }, [3]],
    [{ action: 'user.disabled', target_id: BEN }, [0]],
    [{ actor_id: BEN, action: 'user.disabled' }, []],
    [{ actor_id: ADA, action: 'user.disabled', target_id: ADA, from: '2020-02-01' }, [4]],
    [{ from: '2020-01-02' }, [4, 3, 2]],
    [{ from: '2020-01-01T00:00:00.001Z', to: '2020-01-02T00:00:00Z' }, [1]],
    [{ from: '2020-01-01T00:00:00.000Z', to: '2020-01-01T00:00:00.001Z' }, [0]],
    [{ from: '2020-01-02T14:00:00+02:00' }, [4, 3]],
    [{ from: '2020-01-02T13:00+01:00', to: '2020-01-02T12:01Z' }, [3]],
    [{ to: '1969-12-31' }, []],
    [{ from: '1900-01-01', action: 'api_key.created' }, [2]],
    [{ from: '2020-03-01', to: '2020-01-01' }, []],
    [{ actor_id: ADA, from: '2020-01-02' }, [4, 3]],
    [{ action: 'user.disabled', to: '2020-01-02' }, [0]],
    [{ target_id: 'key', to: '2020-01-02T12:00:00.500Z' }, [2]],
  ])('filters by %j, and counts what it has found', async (query, expected) => {
    const filters = { to: until, ...query };
    const page = await list(filters);
    const wanted = expected.map((i) => WRITTEN[i].at);
    expect([times(page), page.total, page.pages]).toEqual([wanted, wanted.length, wanted.length ? 1 : 0]);
    const second = await list({ ...filters, size: 1, page: 2 });
    expect([times(second), second.total]).toEqual([wanted.slice(1, 2), wanted.length]);
    // Without the end, which counts otherwise.
    const { items, total } = await list({ ...query, size: 100 });
    expect(total).toBe(items.length);
  });

  it.each([
    { actor_id: 'me' },
    { actor_id: '' },
    { action: 'login' },
    { action: '' },
    { target_id: '' },
    { target_id: 'x'.repeat(129) },
    { target_id: 'a\0' },
    { from: 'yesterday' },
    { from: '' },
    { from: '2020-01-01T00:00:00' },
    { from: '2020-01-01 00:00:00Z' },
    { from: '2020-13-01' },
    { from: '2020-02-30' },
    { from: '2020-01-01T25:00:00Z' },
    { to: '1577836800' },
    { to: '2020-W01' },
    { to: '2020-01-01T00:00:00+99:00' },
    { page: 0 },
    { size: 101 },
    { page: 1, limit: 5 },
    { sort_by: 'action' },
    { ip_address: '127.0.0.1' },
  ])('refuses %j', async (query) => {
    const { body } = await app.http.get(LOG).query(query).set(admin.auth).expect(422);
    expect(body.detail[0].loc[0]).toBe('query');
  });

  it.each(['from=2020-01-01&from=2020-01-02', 'action[]=login.failed', 'actor_id[x]=1'])(
    'refuses %s',
    async (query) => {
      await app.http.get(`${LOG}?${query}`).set(admin.auth).expect(422);
    },
  );

  it('cannot be written to', async () => {
    for (const method of ['post', 'put', 'patch', 'delete'] as const)
      await app.http[method](LOG).set(admin.auth).send({ action: AUDIT_ACTIONS[0] }).expect(405);
    const { items } = await list({ size: 1 });
    await app.http.delete(`${LOG}/${items[0].id}`).set(admin.auth).expect(404);
  });
});
