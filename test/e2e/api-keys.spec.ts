import { randomUUID } from 'node:crypto';
import { newApiKey, prefixOf, readApiKey } from '../../src/auth/keys/api-key-text.js';
import { SessionSweeper } from '../../src/auth/sessions/session-sweeper.js';
import { SCOPES } from '../../src/common/auth/scope.js';
import { aSignedInUser, anAdmin, PASSWORD, type SignedIn } from '../support/builders.js';
import { closeSockets, connect, open } from '../support/sockets.js';
import { startTestApp, type TestApp } from '../support/test-app.js';
import { until } from '../support/uploads.js';

const KEYS = '/api/v1/users/me/api-keys';

describe('API keys', () => {
  let app: TestApp;
  let owner: SignedIn;

  beforeAll(async () => {
    app = await startTestApp();
  });
  beforeEach(async () => {
    owner = await aSignedInUser(app);
  });
  afterEach(closeSockets);
  afterAll(() => app.close());

  const create = async (user: SignedIn, body: object = {}) =>
    (
      await app.http
        .post(KEYS)
        .set(user.auth)
        .send({ name: 'test', ...body })
        .expect(201)
    ).body as {
      id: string;
      key: string;
      prefix: string;
    };
  const me = (headers: Record<string, string>) => app.http.get('/api/v1/users/me').set(headers);
  const audit = async (action: string, targetId: string) =>
    (
      await app.pool.query('SELECT actor_id, details FROM audit_log WHERE action = $1 AND target_id = $2', [
        action,
        targetId,
      ])
    ).rows;

  it('is shown once, and lists show how it begins', async () => {
    const { body } = await app.http
      .post(KEYS)
      .set(owner.auth)
      .send({ name: 'nightly backup', scopes: ['uploads:write', 'uploads:read'], expires_at: '2099-01-01T00:00:00Z' })
      .expect(201);
    expect(body).toEqual({
      id: expect.any(String),
      name: 'nightly backup',
      key: expect.stringMatching(/^gh_[0-9A-Za-z]{22}_[0-9A-Za-z]{49}$/),
      prefix: body.key.slice(0, 25),
      scopes: ['uploads:read', 'uploads:write'],
      created_at: expect.any(String),
      expires_at: '2099-01-01T00:00:00.000Z',
      last_used_at: null,
    });
    const { key, ...listed } = body;
    const list = await app.http.get(KEYS).set(owner.auth).expect(200);
    expect(list.body).toMatchObject({ items: [listed], total: 1 });
    const { rows } = await app.pool.query<{ row: string }>('SELECT k::text AS row FROM api_keys k WHERE id = $1', [
      body.id,
    ]);
    expect(rows[0].row).not.toContain(key.slice(26, 69));
    expect(await audit('api_key.created', body.id)).toEqual([
      { actor_id: owner.id, details: expect.objectContaining({ name: 'nightly backup' }) },
    ]);
  });

  it('gets all scopes but admin when none are named', async () => {
    const { body } = await app.http
      .post(KEYS)
      .set((await anAdmin(app)).auth)
      .send({ name: 'x' })
      .expect(201);
    expect(body.scopes).toEqual(SCOPES.filter((scope) => scope !== 'admin'));
  });

  it.each([
    [{}, ['name']],
    [{ name: '' }, ['name']],
    [{ name: 'x'.repeat(101) }, ['name']],
    [{ name: 'a\nb' }, ['name']],
    [{ name: '  ' }, ['name']],
    [{ name: 'x', scopes: [] }, ['scopes']],
    [{ name: 'x', scopes: ['users:read', 'users:read'] }, ['scopes']],
    [{ name: 'x', scopes: ['everything'] }, ['scopes']],
    [{ name: 'x', scopes: 'users:read' }, ['scopes']],
    [{ name: 'x', scopes: [['users:read']] }, ['scopes']],
    [{ name: 'x', scopes: null }, ['scopes']],
    [{ name: 'x', expires_at: 'tomorrow' }, ['expires_at']],
    [{ name: 'x', expires_at: '2099-01-01' }, ['expires_at']],
    [{ name: 'x', expires_at: '2099-W01-1T00:00:00Z' }, ['expires_at']],
    [{ name: 'x', expires_at: '2099-001T00:00:00Z' }, ['expires_at']],
    [{ name: 'x', expires_at: '20990101T000000Z' }, ['expires_at']],
    [{ name: 'x', expires_at: '2099-01-01T00:00:00,5Z' }, ['expires_at']],
    [{ name: 'x', expires_at: '2099-02-30T00:00:00Z' }, ['expires_at']],
    [{ name: 'x', expires_at: '2020-01-01T00:00:00Z' }, ['expires_at']],
    [{ name: 'x', id: randomUUID() }, ['id']],
    [{ name: 'x', user_id: randomUUID() }, ['user_id']],
  ])('refuses %j', async (body, fields) => {
    const answer = await app.http.post(KEYS).set(owner.auth).send(body).expect(422);
    expect(Object.keys(answer.body.field_errors)).toEqual(fields);
  });

  it.each([
    [{ name: '' }, { name: ['name must not be empty'] }],
    [{ name: 'x', scopes: [] }, { scopes: ['scopes must not be empty'] }],
    [{ name: 'x', scopes: ['users:read', 'users:read'] }, { scopes: ['scopes must name each scope once'] }],
  ])('says what is wrong with %j in a sentence', async (body, sentences) => {
    const answer = await app.http.post(KEYS).set(owner.auth).send(body).expect(422);
    expect(answer.body.field_errors).toEqual(sentences);
  });

  it('for administration is made by administrators', async () => {
    const scopes = ['admin'];
    const refused = await app.http.post(KEYS).set(owner.auth).send({ name: 'x', scopes }).expect(403);
    expect(refused.body.error_code).toBe('admin_required');
    await app.http
      .post(KEYS)
      .set((await anAdmin(app)).auth)
      .send({ name: 'x', scopes })
      .expect(201);
  });

  it('of one account are at most a hundred, however many are asked for at once', async () => {
    await app.pool.query(
      `INSERT INTO api_keys (id, user_id, name, secret_hash, scopes, created_at)
       SELECT gen_random_uuid(), $1, 'x', '', '{}', now() FROM generate_series(1, 97)`,
      [owner.id],
    );
    const answers = await Promise.all(
      Array.from({ length: 8 }, () => app.http.post(KEYS).set(owner.auth).send({ name: 'x' })),
    );
    expect(answers.map(({ status }) => status).sort()).toEqual([201, 201, 201, 409, 409, 409, 409, 409]);
    expect(answers.find(({ status }) => status === 409)?.body.error_code).toBe('too_many_api_keys');
  });

  it('is taken from either header', async () => {
    const { key } = await create(owner);
    const spellings: Record<string, string>[] = [
      { 'X-API-Key': key },
      { Authorization: `Bearer ${key}` },
      { Authorization: `bearer ${key}` },
    ];
    for (const headers of spellings) expect((await me(headers).expect(200)).body.id).toBe(owner.id);
  });

  it('notes its use, once a minute at most', async () => {
    const { key, id } = await create(owner);
    const lastUsed = async () =>
      (await app.pool.query<{ at: Date | null }>('SELECT last_used_at AS at FROM api_keys WHERE id = $1', [id])).rows[0]
        .at;
    await me({ 'X-API-Key': key }).expect(200);
    await until(async () => (await lastUsed()) !== null, 'the use was noted');
    const first = await lastUsed();
    await me({ 'X-API-Key': key }).expect(200);
    expect(await lastUsed()).toEqual(first);
    expect((await app.http.get(KEYS).set(owner.auth)).body.items[0].last_used_at).toBe(first?.toISOString());
  });

  describe('is refused with 401', () => {
    const refuses = async (key: string) => {
      const { body } = await me({ 'X-API-Key': key }).expect(401);
      expect([body.detail, body.error_code]).toEqual(['Could not validate credentials', 'invalid_token']);
    };

    it.each<[string, (key: string) => string]>([
      ['cut short', (key) => key.slice(0, -1)],
      ['with something behind it', (key) => `${key}0`],
      ['with another letter', (key) => key.slice(0, 40) + (key[40] === 'a' ? 'b' : 'a') + key.slice(41)],
      ['with the secret of another', () => newApiKey(randomUUID()).key],
      ['empty', () => ''],
      ['nonsense', () => 'gh_gh_gh'],
    ])('%s', async (_what, spoil) => refuses(spoil((await create(owner)).key) || ' '));

    it('with the right id and a secret of its own', async () => {
      const { id } = await create(owner);
      await refuses(newApiKey(id).key);
    });

    it('once it is revoked, with an entry in the audit log when it is used', async () => {
      const { key, id } = await create(owner);
      await me({ 'X-API-Key': key }).expect(200);
      await app.http.delete(`${KEYS}/${id}`).set(owner.auth).expect(204);
      for (let i = 0; i < 3; i++) await refuses(key);
      expect(await audit('api_key.revoked', id)).toHaveLength(1);
      expect(await audit('api_key.refused', id)).toEqual([{ actor_id: null, details: { user_id: owner.id } }]);
      expect((await app.http.get(KEYS).set(owner.auth)).body.items).toEqual([]);
      await app.http.delete(`${KEYS}/${id}`).set(owner.auth).expect(404);
    });

    it('after its end', async () => {
      const { key, id } = await create(owner, { expires_at: '2099-01-01T00:00:00+01:00' });
      await me({ 'X-API-Key': key }).expect(200);
      await app.pool.query(`UPDATE api_keys SET expires_at = now() - interval '1 second' WHERE id = $1`, [id]);
      await refuses(key);
    });

    it('with its owner’s account', async () => {
      const { key } = await create(owner);
      await app.http.delete('/api/v1/users/me').set(owner.auth).send({ password: PASSWORD }).expect(204);
      await refuses(key);
    });

    it('when its owner is disabled, and still when enabled again', async () => {
      const admin = await anAdmin(app);
      const { key } = await create(owner);
      const change = (is_active: boolean) =>
        app.http.patch(`/api/v1/admin/users/${owner.id}`).set(admin.auth).send({ is_active }).expect(200);
      await change(false);
      await refuses(key);
      await change(true);
      await refuses(key);
      await me(owner.auth).expect(401);
    });
  });

  describe('does what its owner may and its scopes name', () => {
    const as = (key: string) => ({ 'X-API-Key': key });
    const refusal = async (request: PromiseLike<{ status: number; body: { error_code: string } }>) => {
      const { status, body } = await request;
      return [status, body.error_code];
    };
    const BEYOND = [403, 'insufficient_scope'];

    it('reads and does not write with users:read', async () => {
      const { key } = await create(owner, { scopes: ['users:read'] });
      await me(as(key)).expect(200);
      expect(await refusal(app.http.patch('/api/v1/users/me').set(as(key)).send({ bio: 'x' }))).toEqual(BEYOND);
      expect(await refusal(app.http.get('/api/v1/uploads').set(as(key)))).toEqual(BEYOND);
    });

    it('changes a profile with users:write, but not the address or the account itself', async () => {
      const { key } = await create(owner, { scopes: ['users:write'] });
      await app.http.patch('/api/v1/users/me').set(as(key)).send({ bio: 'x' }).expect(200);
      const email = `${randomUUID()}@example.com`;
      expect(await refusal(app.http.patch('/api/v1/users/me').set(as(key)).send({ email }))).toEqual(BEYOND);
      expect(await refusal(app.http.delete(`/api/v1/users/${owner.id}`).set(as(key)))).toEqual(BEYOND);
      expect(await refusal(app.http.delete('/api/v1/users/me').set(as(key)).send({ password: PASSWORD }))).toEqual(
        BEYOND,
      );
    });

    it('uploads with uploads:write and downloads with uploads:read', async () => {
      const [writer, reader] = [
        await create(owner, { scopes: ['uploads:write'] }),
        await create(owner, { scopes: ['uploads:read'] }),
      ];
      const upload = (key: string) =>
        app.http.post('/api/v1/uploads').set(as(key)).attach('file', Buffer.from('text'), 'a.txt');
      expect((await upload(reader.key)).status).toBe(403);
      const { id } = (await upload(writer.key).expect(201)).body as { id: string };
      await app.http.get(`/api/v1/uploads/${id}/download`).set(as(reader.key)).expect(200, 'text');
      expect(await refusal(app.http.get(`/api/v1/uploads/${id}/download`).set(as(writer.key)))).toEqual(BEYOND);
    });

    it('publishes nowhere where its owner could not', async () => {
      const { key } = await create(owner, { scopes: ['broadcast:write'] });
      const publish = () =>
        app.http.post('/api/v1/broadcasting/messages').set(as(key)).send({ channel: 'news', event: 'x', data: 1 });
      expect((await publish()).status).toBe(403);
      expect((await publish()).body.error_code).not.toBe('insufficient_scope');
    });

    it('of an admin without the scope admin is a user’s', async () => {
      const admin = await anAdmin(app);
      const { key } = await create(admin);
      expect(await refusal(app.http.get('/api/v1/admin/users').set(as(key)))).toEqual(BEYOND);
      const other = await app.http.get(`/api/v1/users/${owner.id}`).set(as(key)).expect(200);
      expect(other.body.email).toBeUndefined();
      await app.http.patch(`/api/v1/users/${owner.id}`).set(as(key)).send({ bio: 'x' }).expect(403);
      expect((await me(as(key)).expect(200)).body.role).toBe('admin');
    });

    it('of an admin with the scope admin administers', async () => {
      const admin = await anAdmin(app);
      const { key } = await create(admin, { scopes: ['admin'] });
      await app.http.get('/api/v1/admin/users').set(as(key)).expect(200);
      expect(await refusal(app.http.get('/api/v1/users').set(as(key)))).toEqual(BEYOND);
      await app.pool.query(`UPDATE users SET role = 'user' WHERE id = $1`, [admin.id]);
      await app.http.get('/api/v1/admin/users').set(as(key)).expect(403);
    });
  });

  describe('on sockets', () => {
    const tokenOf = (key: string) => ({ accessToken: key });

    it.each([
      ['auth.token', (key: string) => connect(app, tokenOf(key))],
      ['X-API-Key', (key: string) => connect(app, { accessToken: '' }, { extraHeaders: { 'X-API-Key': key } })],
      [
        'Authorization',
        (key: string) => connect(app, { accessToken: '' }, { extraHeaders: { Authorization: `Bearer ${key}` } }),
      ],
    ])('connects by %s and goes on without an end', async (_how, connectWith) => {
      const client = await connectWith((await create(owner)).key);
      const welcome = await client.next('connected');
      expect([welcome.user.id, welcome.expires_at]).toEqual([owner.id, null]);
      expect(await client.subscribe('news')).toMatchObject({ ok: true });
    });

    it('tells when a key ends by itself', async () => {
      const client = await connect(app, tokenOf((await create(owner, { expires_at: '2099-01-01T00:00:00Z' })).key));
      expect((await client.next('connected')).expires_at).toBe('2099-01-01T00:00:00.000Z');
    });

    it('reads and publishes by scope', async () => {
      const channel = `private-user.${owner.id}`;
      const reader = await connect(app, tokenOf((await create(owner, { scopes: ['broadcast:read'] })).key));
      expect(await reader.subscribe(channel)).toMatchObject({ ok: true });
      expect((await reader.publish(channel, 'x')).error.error_code).toBe('insufficient_scope');
      const writer = await connect(app, tokenOf((await create(owner, { scopes: ['broadcast:write'] })).key));
      expect((await writer.subscribe(channel)).error.error_code).toBe('insufficient_scope');
      expect(await writer.ask('ping')).toMatchObject({ ok: true });
      const neither = await connect(app, tokenOf((await create(owner, { scopes: ['users:read'] })).key));
      expect((await neither.subscribe(channel)).error.error_code).toBe('insufficient_scope');
    });

    it('are not renewed by a key that may not read', async () => {
      const client = await connect(app, tokenOf((await create(owner)).key));
      const lesser = await create(owner, { scopes: ['uploads:read'] });
      expect((await client.ask('authenticate', { token: lesser.key })).error.error_code).toBe('insufficient_scope');
      expect(await client.ask('authenticate', { token: owner.accessToken })).toMatchObject({ ok: true });
    });

    it('are ended with the key, and other connections of its owner go on', async () => {
      const [key, other] = [await create(owner), await create(owner)];
      const [client, kept, session] = [
        await connect(app, tokenOf(key.key)),
        await connect(app, tokenOf(other.key)),
        await connect(app, owner),
      ];
      await app.http.delete(`${KEYS}/${key.id}`).set(owner.auth).expect(204);
      expect(await client.ended()).toBe('api_key_revoked');
      for (const going of [kept, session]) expect(await going.ask('ping')).toMatchObject({ ok: true });
      const refused = open(app, tokenOf(key.key));
      const error = await new Promise<Error & { data: { error_code: string } }>((resolve) =>
        refused.socket.once('connect_error', (told) => resolve(told as never)),
      );
      expect(error.data.error_code).toBe('invalid_token');
    });

    it('of a stream are ended with the key', async () => {
      const { key, id } = await create(owner);
      const stream = await fetch(`${app.url}/api/v1/broadcasting/stream?channel=news`, {
        headers: { 'X-API-Key': key },
      });
      expect(stream.status).toBe(200);
      await app.http.delete(`${KEYS}/${id}`).set(owner.auth).expect(204);
      expect(await stream.text()).toContain('"reason":"api_key_revoked"');
    });
  });

  it('has a limit of its own, which whoever guesses at keys cannot use up', async () => {
    const limited = await startTestApp({
      RATE_LIMIT_ENABLED: 'true',
      RATE_LIMIT_USER: '3/60',
      RATE_LIMIT_ANONYMOUS: '50/60',
    });
    const user = await aSignedInUser(limited);
    const get = (headers: object) => limited.http.get('/api/v1/users/me').set(headers as Record<string, string>);
    const { body } = await limited.http.post(KEYS).set(user.auth).send({ name: 'x' }).expect(201);
    const key = { 'X-API-Key': body.key };
    // Nobody knows the key yet, so the first use counts for the address.
    expect((await get(key).expect(200)).headers['x-ratelimit-limit']).toBe('50');
    for (let i = 0; i < 10; i++) await get({ 'X-API-Key': newApiKey(body.id).key }).expect(401);
    for (let i = 0; i < 3; i++) expect((await get(key).expect(200)).headers['x-ratelimit-limit']).toBe('3');
    await get(key).expect(429);
    await get(user.auth).expect(200);
    await limited.close();
  });

  it('does not multiply how many files its owner may upload', async () => {
    const limited = await startTestApp({ RATE_LIMIT_ENABLED: 'true', RATE_LIMIT_UPLOADS: '3/60' });
    const user = await aSignedInUser(limited);
    const upload = (headers: Record<string, string>) =>
      limited.http.post('/api/v1/uploads').set(headers).attach('file', Buffer.from('text'), 'a.txt');
    for (let i = 0; i < 3; i++) {
      const { body } = await limited.http.post(KEYS).set(user.auth).send({ name: 'x' }).expect(201);
      await limited.http.get('/api/v1/users/me').set('X-API-Key', body.key).expect(200);
      await upload({ 'X-API-Key': body.key }).expect(201);
    }
    await upload(user.auth).expect(429);
    await limited.close();
  });

  it('is forgotten long after it was revoked', async () => {
    const [old, recent] = [await create(owner), await create(owner)];
    const age = (days: number, id: string) =>
      app.pool.query(`UPDATE api_keys SET revoked_at = now() - $1 * interval '1 day' WHERE id = $2`, [days, id]);
    await age(91, old.id);
    await age(89, recent.id);
    await app.app.get(SessionSweeper).sweep();
    const { rows } = await app.pool.query('SELECT id FROM api_keys WHERE user_id = $1', [owner.id]);
    expect(rows).toEqual([{ id: recent.id }]);
  });

  it('says its id and its checksum', () => {
    const id = randomUUID();
    const { key, secretHash } = newApiKey(id);
    expect(readApiKey(key)).toEqual({ id, secretHash });
    expect(key.startsWith(`${prefixOf(id)}_`)).toBe(true);
    expect(readApiKey(`${prefixOf('ffffffff-ffff-ffff-ffff-ffffffffffff')}_${key.slice(26)}`)).toBeNull();
    expect(readApiKey(`gh_${'z'.repeat(22)}_${key.slice(26)}`)).toBeNull();
  });
});
