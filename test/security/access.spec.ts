import { randomUUID } from 'node:crypto';
import { AllowedMethods } from '../../src/server/errors/allowed-methods.js';
import { aSignedInUser, anAdmin, type SignedIn } from '../support/builders.js';
import { enableSecondFactor } from '../support/second-factor.js';
import { startTestApp, type TestApp } from '../support/test-app.js';
import { allRoutesOf, OPEN, type Route, Things } from './things.js';
import { claimsOf, fill } from './tools.js';

const UUID = /^[0-9a-f-]{36}$/;
const ROOT = /^\/api\/v1(?=\/(auth|users)(\/|$))/;
const nameOf = ({ method, path }: Pick<Route, 'method' | 'path'>): string => `${method.toUpperCase()} ${path}`;

describe('access', () => {
  let app: TestApp;
  let things: Things;
  let routes: Route[];

  const sidOf = ({ accessToken }: SignedIn) => String(claimsOf(accessToken).sid);

  beforeAll(async () => {
    app = await startTestApp();
    things = new Things(app);
    ({ routes } = await allRoutesOf(app));
  });
  afterAll(() => app.close());

  it('S29 S30 the document lists every route that the server answers, each with its policy', () => {
    // Taken from where 405s take them: what Fastify was really given.
    const { routers } = app.app.get(AllowedMethods) as unknown as {
      routers: Map<string, { routes: { path: string }[] }>;
    };
    const pathsOf = (method: string) =>
      (routers.get(method)?.routes ?? []).map(({ path }) => path.replace(/:(\w+)/g, '{$1}'));
    const served = [...routers.keys()]
      .flatMap((method) => pathsOf(method).map((path) => [method, path]))
      // Every GET answers HEAD as well.
      .filter(([method, path]) => method !== 'HEAD' || !pathsOf('GET').includes(path))
      // Pages and documents are for people.
      .filter(([, path]) => !/^\/(docs|openapi|asyncapi|account\/(verify|reset|undo|page\.(css|js))$)/.test(path))
      .map(([method, path]) => `${method} ${path}`);
    expect(served.length).toBeGreaterThan(10);
    expect(routes.map(nameOf).sort()).toEqual(served.sort());
    for (const route of routes)
      expect([nameOf(route), route.access]).toEqual([
        nameOf(route),
        expect.stringMatching(/^(public|optional|authenticated|(user|admin)(,(user|admin))*)$/),
      ]);
  });

  it("S29 no route lets one user at another's things", async () => {
    const [owner, other] = [await aSignedInUser(app, { fullName: 'Owner' }), await aSignedInUser(app)];
    const key = await things.keyOf(owner);
    await enableSecondFactor(app, owner);
    const [file, resumable, channel] = [
      await things.fileOf(owner),
      await things.resumableOf(owner),
      await things.channelOf(owner),
    ];
    const { body: foreign } = await app.http
      .post('/api/v1/users/me/api-keys')
      .set(other.auth)
      .send({ name: 'foreign' });
    const inFile = [{}, { description: 'taken over' }, { filename: 'taken-over.txt' }];
    /** What A has, by the path that leads to it. A new kind of thing has to be added here. */
    const owned: [path: RegExp, id: string, bodies: object[]][] = [
      [
        /^\/api\/v1\/users\/\{id\}/,
        owner.id,
        [{}, { bio: 'taken over' }, { email: `taken.over.${randomUUID()}@example.com` }],
      ],
      [
        /^\/api\/v1\/admin\/users\/\{id\}/,
        owner.id,
        [{}, { role: 'admin' }, { is_active: false }, { quota: 0 }, { is_verified: true }],
      ],
      [/^\/api\/v1\/admin\/uploads\/\{id\}$/, file, [{}]],
      [/^\/api\/v1\/users\/me\/api-keys\/\{id\}$/, key, [{}]],
      [/^\/api\/v1\/auth\/sessions\/\{id\}/, sidOf(owner), [{}]],
      [/^\/api\/v1\/(uploads|files)\/resumable\/\{id\}$/, resumable, [{}]],
      [/^\/api\/v1\/(uploads|files)\/\{id\}\/signed-url$/, file, [{}, { expires_in: 60 }]],
      [/^\/api\/v1\/(uploads|files)\/\{id\}/, file, inFile],
      [/\/channels\/\{name\}\/members\/\{user_id\}$/, other.id, [{}]],
      [/\/channels\/\{name\}/, channel, [{}, { publish_policy: 'members' }, { retention_count: 1 }]],
    ];
    const pathTo = ({ path }: Route, id: string) => fill(path.replace('{name}', channel), id);
    const state = async () => [
      (await app.pool.query('SELECT * FROM users WHERE id = $1', [owner.id])).rows,
      (await app.pool.query('SELECT * FROM uploads WHERE owner_id = $1 ORDER BY id', [owner.id])).rows,
      (await app.pool.query('SELECT * FROM api_keys WHERE user_id = $1', [owner.id])).rows,
      (await app.pool.query('SELECT * FROM second_factors WHERE user_id = $1', [owner.id])).rows,
      (await app.pool.query('SELECT * FROM channels WHERE name = $1', [channel])).rows,
      (await app.pool.query('SELECT * FROM channel_members')).rows,
    ];
    const before = await state();
    expect(before.map(({ length }) => length)).toEqual([1, 2, 1, 1, 1, 1]);
    const withId = routes.filter(({ path }) => path.includes('{'));
    expect(withId.length).toBeGreaterThan(4);
    for (const route of withId) {
      const [, id, bodies] = owned.find(([path]) => path.test(route.path)) ?? [];
      if (!id || !bodies) throw new Error(`add to this test what ${route.path} leads to`);
      for (const path of [pathTo(route, id), pathTo(route, id.toUpperCase()), pathTo(route, id).replace(ROOT, '')]) {
        // A key does not reach further than whoever made it.
        for (const [body, auth] of bodies.flatMap((body) => [
          [body, other.auth],
          [body, { 'X-API-Key': foreign.key }],
        ])) {
          const response = await things.call(route, path, auth, body);
          // The directory shows everybody's public view.
          const isDirectory = nameOf(route) === 'GET /api/v1/users/{id}';
          const expected = isDirectory ? [200] : [403, 404];
          expect([nameOf(route), body, expected.includes(response.status) || response.status]).toEqual([
            nameOf(route),
            body,
            true,
          ]);
          if (isDirectory) expect(response.text).not.toContain(owner.email);
        }
        // An open route to what is somebody's takes a signature instead of a token.
        await things.call(route, path).expect(OPEN.includes(route.access) ? 403 : 401);
      }
    }
    expect(await state()).toEqual(before);
    for (const base of ['/api/v1/uploads', '/api/v1/files']) {
      const { body } = await app.http.get(base).set(other.auth).expect(200);
      expect(body).toMatchObject({ items: [], total: 0 });
      const { body: bulk } = await app.http
        .post(`${base}/bulk-delete`)
        .set(other.auth)
        .send({ ids: [file, resumable] })
        .expect(200);
      expect(bulk.deleted).toEqual([]);
    }
    const { text } = await app.http.get(`/api/v1/uploads/${file}/download`).set(owner.auth).expect(200);
    expect(text).toBe('text');
    await app.http.get('/api/v1/users/me').set(owner.auth).expect(200);
  });

  /** A channel comes into being with its first use; a name that none can have breaks a rule. */
  const statusesOfName = ({ path }: Route, name: string) =>
    /^[\w.:-]{1,128}$/.test(name) && path.endsWith('{name}') ? [200] : [404, 422];

  it('S29 an id that nobody has and one that is malformed are 404 on every route, never 500', async () => {
    const { auth } = await anAdmin(app);
    for (const route of routes.filter(({ path }) => path.includes('{'))) {
      for (const id of [
        randomUUID(),
        '1',
        'null',
        '%00',
        "'--",
        '..%2f..',
        '%F0%9F%90%8E',
        'a'.repeat(1_000),
        'constructor',
      ]) {
        const { status } = await things.call(route, fill(route.path, id), auth);
        // A link without its signature says nothing of what is behind it.
        const isUnsigned = route.access === 'public' && route.path.endsWith('/signed') && UUID.test(id);
        const expected = route.path.includes('{name}') ? statusesOfName(route, id) : [isUnsigned ? 403 : 404];
        expect([nameOf(route), id, expected.includes(status) || status]).toEqual([nameOf(route), id, true]);
      }
    }
  });

  it('S30 every route that is not open answers a guest with 401, in every spelling and with every bad credential', async () => {
    const closed = routes.filter(({ access }) => !OPEN.includes(access));
    expect(closed.length).toBeGreaterThan(10);
    for (const route of closed) {
      const path = fill(route.path, randomUUID());
      for (const spelling of [
        path,
        `${path}/`,
        `${path}?a=b`,
        path.replace(ROOT, ''),
        path.replace('users', '%75sers'),
      ]) {
        const { status, headers, body } = await things.call(route, spelling);
        expect([nameOf(route), spelling, status]).toEqual([nameOf(route), spelling, 401]);
        expect(headers['www-authenticate']).toBe('Bearer');
        if (route.method !== 'head')
          expect(body).toMatchObject({ detail: 'Not authenticated', error_code: 'not_authenticated' });
      }
      for (const auth of [
        { Authorization: 'Bearer nonsense' },
        { 'X-API-Key': 'gh_nonsense' },
        { Authorization: `Bearer ${randomUUID()}`, 'X-API-Key': 'x' },
      ]) {
        const { status, body } = await things.call(route, path, auth);
        const code = route.method === 'head' ? undefined : 'invalid_token';
        expect([nameOf(route), status, body.error_code]).toEqual([nameOf(route), 401, code]);
      }
      for (const auth of [
        { Authorization: `Basic ${Buffer.from('admin:admin').toString('base64')}` },
        { 'X-User-Id': randomUUID(), 'X-Role': 'admin' },
        { Cookie: 'access_token=x; session=x' },
      ])
        await things.call(route, path, auth).expect(401);
    }
  });

  it('S30 HEAD and other methods are no way around the guard', async () => {
    for (const route of routes.filter(({ method, access }) => method === 'get' && !OPEN.includes(access))) {
      const path = fill(route.path, randomUUID());
      await app.http.head(path).expect(401);
      await app.http.head(path.replace(ROOT, '')).expect(401);
      for (const override of ['X-HTTP-Method-Override', 'X-HTTP-Method', 'X-Method-Override'])
        await app.http.post('/api/v1/auth/login').set(override, 'GET').send({}).expect(422);
      expect((await app.http.options(path)).status).toBe(405);
    }
  });

  it('S30 every route for roles refuses who has none of them with 403', async () => {
    const people = { user: await aSignedInUser(app), admin: await anAdmin(app) };
    for (const route of routes.filter(({ access }) => ![...OPEN, 'authenticated'].includes(access))) {
      const roles = route.access.split(',');
      for (const [role, { auth }] of Object.entries(people)) {
        const { status } = await things.call(route, fill(route.path, randomUUID()), auth);
        if (roles.includes(role)) expect([nameOf(route), role, status]).not.toEqual([nameOf(route), role, 403]);
        else expect([nameOf(route), role, status]).toEqual([nameOf(route), role, 403]);
      }
    }
  });
});
