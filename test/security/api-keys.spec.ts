import { createHash, randomUUID } from 'node:crypto';
import { SCOPES, type Scope } from '../../src/common/auth/scope.js';
import { aSignedInUser, anAdmin, PASSWORD, type SignedIn } from '../support/builders.js';
import { enableSecondFactor } from '../support/second-factor.js';
import { startTestApp, type TestApp } from '../support/test-app.js';
import { allRoutesOf, OPEN, type Route, Things } from './things.js';
import { fill, nameOf as nameOfJson } from './tools.js';

const KEYS = '/api/v1/users/me/api-keys';
const nameOf = nameOfJson as (route: Pick<Route, 'method' | 'path'>) => string;
const headersOf = (key: string) => ({ 'X-API-Key': key });

interface Key {
  id: string;
  key: string;
}

describe('API keys', () => {
  let app: TestApp;
  let things: Things;
  let routes: Route[];
  let admin: SignedIn;

  const keyFor = async (owner: SignedIn, more: object = {}): Promise<Key> =>
    (
      await app.http
        .post(KEYS)
        .set(owner.auth)
        .send({ name: 'a key', ...more })
        .expect(201)
    ).body;
  const me = (key: string) => app.http.get('/api/v1/users/me').set(headersOf(key));
  const isKeyless = ({ access, operation }: Route) => !OPEN.includes(access) && !operation['x-scope'];
  /** Whether a key is refused for its scopes, and not for anything else. */
  const isBeyond = async (route: Route, auth: object): Promise<boolean> => {
    const { status, body } = await things.call(route, fill(route.path, randomUUID()), auth);
    // A HEAD tells no code: what is in scope is not there.
    if (route.method === 'head') return status === 403;
    expect([nameOf(route), status === 401 || status >= 500]).toEqual([nameOf(route), false]);
    return status === 403 && body.error_code === 'insufficient_scope';
  };

  beforeAll(async () => {
    app = await startTestApp();
    things = new Things(app);
    ({ routes } = await allRoutesOf(app));
    admin = await anAdmin(app);
  });
  afterAll(() => app.close());

  it('S28 every route that takes keys names one scope, and every scope opens something', () => {
    const named = new Set(routes.map(({ operation }) => operation['x-scope']).filter(Boolean));
    expect([...named].sort()).toEqual([...SCOPES].sort());
    // What people alone do.
    expect(routes.filter(isKeyless).map(nameOf).sort()).toEqual(
      [
        'DELETE /api/v1/admin/users/{id}/mfa',
        'DELETE /api/v1/auth/sessions/{id}',
        'DELETE /api/v1/users/me',
        'DELETE /api/v1/users/me/api-keys/{id}',
        'GET /api/v1/auth/mfa',
        'GET /api/v1/auth/sessions',
        'GET /api/v1/users/me/api-keys',
        'GET /api/v1/users/me/export',
        'POST /api/v1/auth/change-password',
        'POST /api/v1/auth/logout',
        'POST /api/v1/auth/logout-all',
        'POST /api/v1/auth/mfa/confirm',
        'POST /api/v1/auth/mfa/disable',
        'POST /api/v1/auth/mfa/recovery-codes',
        'POST /api/v1/auth/mfa/setup',
        'POST /api/v1/broadcasting/stream/ticket',
        'POST /api/v1/users/change-password',
        'POST /api/v1/users/me/api-keys',
      ].sort(),
    );
    for (const route of routes.filter((route) => route.access === 'admin' && !isKeyless(route)))
      expect([nameOf(route), route.operation['x-scope']]).toEqual([nameOf(route), 'admin']);
  });

  it.each(SCOPES)('S28 S30 the scope %s alone opens exactly the routes that name it', async (scope) => {
    const { key } = await keyFor(admin, { scopes: [scope] });
    const open: string[] = [];
    for (const route of routes.filter(({ access }) => !OPEN.includes(access)))
      if (!(await isBeyond(route, headersOf(key)))) open.push(nameOf(route));
    expect(open).toEqual(routes.filter(({ operation }) => operation['x-scope'] === scope).map(nameOf));
  });

  it.each(SCOPES)(
    'S28 S30 without the scope %s, a key with all others is refused where it is asked for',
    async (scope) => {
      const { key } = await keyFor(admin, { scopes: SCOPES.filter((other) => other !== scope) });
      const asked = routes.filter((route) => isKeyless(route) || route.operation['x-scope'] === scope);
      for (const route of asked)
        for (const auth of [headersOf(key), { Authorization: `Bearer ${key}` }])
          expect([nameOf(route), await isBeyond(route, auth)]).toEqual([nameOf(route), true]);
    },
  );

  it('S28 S30 a key of a user with all scopes that the user can give is no admin’s', async () => {
    const user = await aSignedInUser(app);
    await app.http.post(KEYS).set(user.auth).send({ name: 'x', scopes: SCOPES }).expect(403);
    const { key } = await keyFor(user);
    for (const route of routes.filter(({ access }) => access === 'admin'))
      expect([nameOf(route), await isBeyond(route, headersOf(key))]).toEqual([nameOf(route), true]);
  });

  it('S28 a key is shown once and stored as a hash: what the database has is no key', async () => {
    const user = await aSignedInUser(app);
    const { id, key } = await keyFor(user);
    await me(key).expect(200);
    const { rows } = await app.pool.query('SELECT to_jsonb(k) AS row FROM api_keys k WHERE id = $1', [id]);
    const [, , secret] = key.split('_');
    const stored = JSON.stringify(rows[0].row);
    for (let at = 0; at + 16 <= secret.length; at++) expect(stored).not.toContain(secret.slice(at, at + 16));
    for (const value of Object.values<unknown>(rows[0].row)) {
      if (typeof value !== 'string' || value === user.id) continue;
      await me(value).expect(401);
      await me(`gh_${value}`).expect(401);
    }
    for (const view of [KEYS, '/api/v1/users/me', '/api/v1/auth/sessions', `/api/v1/users/${user.id}`])
      expect((await app.http.get(view).set(user.auth).expect(200)).text).not.toContain(secret);
    const log = await app.http.get(`/api/v1/admin/audit-log?target_id=${id}`).set(admin.auth).expect(200);
    expect(log.body.total).toBe(1);
    expect(log.text).not.toContain(secret);
  });

  it('S28 a key ends with its time, and at once', async () => {
    const { id, key } = await keyFor(admin, { expires_at: '2099-01-01T00:00:00Z' });
    await me(key).expect(200);
    await app.pool.query('UPDATE api_keys SET expires_at = now() WHERE id = $1', [id]);
    const { body } = await me(key).expect(401);
    expect(body.error_code).toBe('invalid_token');
  });

  it('S28 a key, whatever its scopes, makes no keys, ends no sessions, changes no password, address or second factor', async () => {
    const owner = await anAdmin(app);
    const { secret } = await enableSecondFactor(app, owner);
    const { id, key } = await keyFor(owner, { scopes: SCOPES });
    const state = async () => [
      (await app.pool.query('SELECT email, password_hash, role, is_active FROM users WHERE id = $1', [owner.id])).rows,
      (await app.pool.query('SELECT id FROM sessions WHERE user_id = $1', [owner.id])).rows,
      (await app.pool.query('SELECT id, revoked_at, scopes FROM api_keys WHERE user_id = $1', [owner.id])).rows,
      (await app.pool.query('SELECT user_id FROM second_factors WHERE user_id = $1', [owner.id])).rows,
    ];
    const before = await state();
    const change = { current_password: PASSWORD, new_password: 'Another-Horse-1' };
    const calls: [method: 'post' | 'patch' | 'put' | 'delete', path: string, body: object][] = [
      ['post', 'users/me/api-keys', { name: 'x' }],
      ['delete', `users/me/api-keys/${id}`, {}],
      ['post', 'auth/logout', {}],
      ['post', 'auth/logout-all', {}],
      ['post', 'auth/change-password', change],
      ['post', 'users/change-password', change],
      ['post', 'auth/mfa/disable', { password: PASSWORD, code: secret }],
      ['post', 'auth/mfa/setup', { password: PASSWORD }],
      ['delete', 'users/me', { password: PASSWORD }],
      ['delete', `users/${owner.id}`, {}],
      ['patch', 'users/me', { email: `${randomUUID()}@example.com` }],
      ['put', `users/${owner.id}`, { email: `${randomUUID()}@example.com` }],
    ];
    for (const [method, path, body] of calls)
      for (const base of ['/api/v1', '']) {
        const answer = await app.http[method](`${base}/${path}`).set(headersOf(key)).send(body);
        expect([path, answer.status, answer.body.error_code]).toEqual([path, 403, 'insufficient_scope']);
      }
    expect(await state()).toEqual(before);
    await app.http.get('/api/v1/users/me').set(owner.auth).expect(200);
  });

  it('S28 a key without the scope admin makes no admin, where anybody may register', async () => {
    const register = (scopes: Scope[]) => async () => {
      const { key } = await keyFor(admin, { scopes });
      const body = { email: `${randomUUID()}@example.com`, password: PASSWORD, is_superuser: true };
      return (await app.http.post('/api/v1/users').set(headersOf(key)).send(body)).status;
    };
    expect(await register(SCOPES.filter((scope) => scope !== 'admin'))()).toBe(403);
    expect(await register(['admin'])()).toBe(201);
  });

  it('S28 who guesses at keys learns nothing: a wrong secret, an unknown id and nonsense are the same answer', async () => {
    const { key } = await keyFor(admin);
    const [prefix, id] = key.split('_');
    const answers = [];
    for (const guess of [
      `${prefix}_${id}_${createHash('sha256').update('x').digest('hex').slice(0, 49)}`,
      `${key.slice(0, -7)}${key.slice(-7).split('').reverse().join('')}`,
      'gh_x_y',
      'nonsense',
    ]) {
      const { body, status } = await me(guess);
      answers.push([status, { ...body, request_id: '' }]);
    }
    expect(new Set(answers.map((answer) => JSON.stringify(answer))).size).toBe(1);
    expect(answers[0][0]).toBe(401);
  });
});
