import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import http from 'node:http';
import { Ajv } from 'ajv';
import addFormatsModule from 'ajv-formats';
import { AllowedMethods } from '../../src/server/errors/allowed-methods.js';
import { aSignedInUser, anAdmin, aUser, PASSWORD, signIn, type SignedIn } from '../support/builders.js';
import { startTestApp, type TestApp } from '../support/test-app.js';
import { claimsOf, documentOf, fill, resolve, type Route as JsonRoute, routesOf } from './tools.js';

/** HEAD and OPTIONS only where the program has a route of its own for them. */
type Route = Omit<JsonRoute, 'method'> & { method: JsonRoute['method'] | 'head' | 'options' };

const nameOf = ({ method, path }: Pick<Route, 'method' | 'path'>): string => `${method.toUpperCase()} ${path}`;

const addFormats = addFormatsModule as unknown as (ajv: Ajv) => void;
const OPEN = ['public', 'optional'];
const UUID = /^[0-9a-f-]{36}$/;
const ROOT = /^\/api\/v1(?=\/(auth|users)(\/|$))/;

/** What no answer holds, whoever asks: names of columns and of secrets. The two tokens are answered where they are made. */
const INTERNAL_KEY =
  /(?<!^file_)hash|secret|salt|counter|rotated|expires_at|ends_at|stack|sql|query|trace|password(?!\b)|[a-z][A-Z]|^password$/;
/** When a link that was just asked for ends, which its holder has to know. */
const TOLD_BY: Record<string, RegExp> = { expires_at: /\/signed-url$/ };
const INTERNAL_VALUE = /\$2[aby]\$\d\d\$|QueryFailedError|node_modules|\.(ts|js):\d+|SELECT .* FROM|violates/;

describe('access', () => {
  let app: TestApp;
  let routes: Route[];

  const sidOf = ({ accessToken }: SignedIn) => String(claimsOf(accessToken).sid);
  const isBodiless = ({ method }: Pick<Route, 'method'>) => ['get', 'head', 'options'].includes(method);
  const isResumable = (path: string) => /^\/api\/v1\/(uploads|files)\/resumable(\/|$)/.test(path);
  /** What the protocol asks for, so that a refusal is about the caller and not about the call. */
  const protocolOf = ({ method, path }: Pick<Route, 'method' | 'path'>): Record<string, string> => {
    if (!isResumable(path)) return {};
    const about: Record<string, Record<string, string>> = {
      post: { 'Upload-Length': '4', 'Upload-Metadata': `filename ${Buffer.from('a.txt').toString('base64')}` },
      patch: { 'Upload-Offset': '0', 'Content-Type': 'application/offset+octet-stream' },
    };
    return { 'Tus-Resumable': '1.0.0', ...about[method] };
  };
  /** A call as the route takes it: JSON, or bytes where it reads bytes. */
  const call = (route: Route, path: string, auth: object = {}, body: object = {}) => {
    const request = app.http[route.method](path).set({ ...protocolOf(route), ...auth });
    if (isBodiless(route)) return request;
    return isResumable(route.path) ? request.send(route.method === 'patch' ? 'text' : undefined) : request.send(body);
  };
  const upload = (base: string, auth: object) =>
    app.http
      .post(base)
      .set(auth as Record<string, string>)
      .attach('file', Buffer.from('text'), 'a.txt');
  const fileOf = async ({ auth }: SignedIn): Promise<string> =>
    (await upload('/api/v1/uploads', auth).expect(201)).body.id;
  const resumableOf = async ({ auth }: SignedIn): Promise<string> => {
    const route = { method: 'post', path: '/api/v1/uploads/resumable' } as const;
    const { headers } = await app.http
      .post(route.path)
      .set({ ...protocolOf(route), ...auth })
      .expect(201);
    return headers.location.split('/').pop() ?? '';
  };
  /** One that its only member is let into. */
  const channelOf = async ({ id }: SignedIn): Promise<string> => {
    const name = `private-${randomUUID()}`;
    const { auth } = await anAdmin(app);
    await app.http.put(`/api/v1/broadcasting/channels/${name}/members/${id}`).set(auth).expect(204);
    return name;
  };
  const linkTo = async (id: string, { auth }: SignedIn): Promise<string> => {
    const { body } = await app.http.post(`/api/v1/uploads/${id}/signed-url`).set(auth).expect(200);
    return new URL(body.url).search;
  };
  const BARE = ['head', 'options'] as const;
  let bareRoutes: Route[];

  beforeAll(async () => {
    app = await startTestApp();
    const { paths } = await documentOf(app);
    bareRoutes = Object.entries<any>(paths).flatMap(([path, item]) =>
      BARE.filter((method) => item[method]).map((method) => ({
        method,
        path,
        access: item[method]['x-access'],
        operation: item[method],
      })),
    );
    routes = [...(await routesOf(app)), ...bareRoutes];
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
      .filter(([, path]) => !/^\/(docs|openapi|asyncapi)/.test(path))
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
    /** What A has, by the path that leads to it. A new kind of thing has to be added here. */
    const [file, resumable, channel] = [await fileOf(owner), await resumableOf(owner), await channelOf(owner)];
    const inFile = [{}, { description: 'taken over' }, { filename: 'taken-over.txt' }];
    const things: [path: RegExp, id: string, bodies: object[]][] = [
      [
        /^\/api\/v1\/users\/\{id\}/,
        owner.id,
        [{}, { bio: 'taken over' }, { email: `taken.over.${randomUUID()}@example.com` }],
      ],
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
      (await app.pool.query('SELECT * FROM channels WHERE name = $1', [channel])).rows,
      (await app.pool.query('SELECT * FROM channel_members')).rows,
    ];
    const before = await state();
    expect(before.map(({ length }) => length)).toEqual([1, 2, 1, 1]);
    const withId = routes.filter(({ path }) => path.includes('{'));
    expect(withId.length).toBeGreaterThan(4);
    for (const route of withId) {
      const [, id, bodies] = things.find(([path]) => path.test(route.path)) ?? [];
      if (!id || !bodies) throw new Error(`add to this test what ${route.path} leads to`);
      for (const path of [pathTo(route, id), pathTo(route, id.toUpperCase()), pathTo(route, id).replace(ROOT, '')]) {
        for (const body of bodies) {
          const response = await call(route, path, other.auth, body);
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
        await call(route, path).expect(OPEN.includes(route.access) ? 403 : 401);
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
        const { status } = await call(route, fill(route.path, id), auth);
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
        const { status, headers, body } = await call(route, spelling);
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
        const { status, body } = await call(route, path, auth);
        const code = route.method === 'head' ? undefined : 'invalid_token';
        expect([nameOf(route), status, body.error_code]).toEqual([nameOf(route), 401, code]);
      }
      for (const auth of [
        { Authorization: `Basic ${Buffer.from('admin:admin').toString('base64')}` },
        { 'X-User-Id': randomUUID(), 'X-Role': 'admin' },
        { Cookie: 'access_token=x; session=x' },
      ])
        await call(route, path, auth).expect(401);
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
        const { status } = await call(route, fill(route.path, randomUUID()), auth);
        if (roles.includes(role)) expect([nameOf(route), role, status]).not.toEqual([nameOf(route), role, 403]);
        else expect([nameOf(route), role, status]).toEqual([nameOf(route), role, 403]);
      }
    }
  });

  describe('answers', () => {
    let document: any;
    let ajv: Ajv;

    /** The documented schema as a closed object: what it does not name must not be there. */
    const close = (schema: any): any => {
      if (Array.isArray(schema)) return schema.map(close);
      if (typeof schema !== 'object' || schema === null) return schema;
      const { $ref, oneOf, ...rest } = schema;
      if ($ref) return close(resolve(document, schema));
      const closed = Object.fromEntries(
        Object.entries(rest).map(([key, value]) => [key, key === 'example' ? value : close(value)]),
      );
      // An empty page is a page of either kind.
      if (oneOf) closed.anyOf = close(oneOf);
      if (rest.properties && rest.additionalProperties === undefined) closed.additionalProperties = false;
      return closed;
    };

    const expectDocumented = (route: Route, response: { status: number; body: unknown; text: string }) => {
      const documented = resolve(document, route.operation.responses[response.status]);
      expect([nameOf(route), response.status, Boolean(documented)]).toEqual([nameOf(route), response.status, true]);
      const schema = documented.content?.['application/json']?.schema;
      // The bytes of a file are what they are.
      if (documented.content?.['application/octet-stream']) return;
      if (!schema || route.method === 'head')
        return expect([nameOf(route), response.text ?? '']).toEqual([nameOf(route), '']);
      const validate = ajv.compile(close(schema));
      validate(response.body);
      expect([nameOf(route), response.status, validate.errors ?? []]).toEqual([nameOf(route), response.status, []]);
      expectNothingInternal(response.body, route);
    };

    const expectNothingInternal = (value: unknown, route: Route): void => {
      if (typeof value === 'string') return expect(value).not.toMatch(INTERNAL_VALUE);
      if (typeof value !== 'object' || value === null) return;
      for (const [key, inner] of Object.entries(value)) {
        // Names of the caller's own fields come back where they are faulty.
        if (key === 'field_errors') continue;
        if (!TOLD_BY[key]?.test(route.path)) expect(key).not.toMatch(INTERNAL_KEY);
        expectNothingInternal(inner, route);
      }
    };

    beforeAll(async () => {
      document = await documentOf(app);
      ajv = new Ajv({ strict: false, allErrors: true });
      addFormats(ajv);
    });

    it('S31 hold what the document says and nothing more, whoever asks', async () => {
      const disposable = () => aSignedInUser(app);
      const other = await aUser(app, { fullName: 'Somebody Else' });
      const email = () => `${randomUUID()}@example.com`;
      type Call = (route: Route, who: SignedIn | null) => Promise<{ status: number; body: any; text: string }>;
      const send =
        (body: () => object | undefined, id = () => other.id): Call =>
        async (route, who) =>
          app.http[route.method](fill(route.path, id()))
            .set(who?.auth ?? {})
            .send(body());
      /** One good call of every route; a new route has to be added here. */
      const calls: Record<string, Call> = {
        'GET /health': send(() => undefined),
        'GET /api/v1/health': send(() => undefined),
        'POST /api/v1/auth/register': send(() => ({ email: email(), password: PASSWORD })),
        'POST /api/v1/users': send(() => ({ email: email(), password: PASSWORD, first_name: 'A' })),
        'POST /api/v1/auth/login': send(() => ({ email: other.email, password: PASSWORD })),
        'POST /api/v1/auth/refresh': async (route) => {
          const { refreshToken } = await signIn(app, other);
          return app.http.post(route.path).send({ refresh_token: refreshToken });
        },
        'POST /api/v1/auth/logout': async (route, who) =>
          app.http.post(route.path).set(who ? (await disposable()).auth : {}),
        'POST /api/v1/auth/logout-all': async (route, who) =>
          app.http.post(route.path).set(who ? (await disposable()).auth : {}),
        'POST /api/v1/auth/change-password': async (route, who) =>
          app.http
            .post(route.path)
            .set(who ? (await disposable()).auth : {})
            .send({ current_password: PASSWORD, new_password: 'Another-Horse-1' }),
        'POST /api/v1/users/change-password': async (route, who) =>
          app.http
            .post(route.path)
            .set(who ? (await disposable()).auth : {})
            .send({ current_password: PASSWORD, new_password: 'Another-Horse-1' }),
        'GET /api/v1/auth/sessions': send(() => undefined),
        'DELETE /api/v1/auth/sessions/{id}': send(() => undefined),
        'GET /api/v1/users': send(() => undefined),
        'GET /api/v1/users/me': send(() => undefined),
        'PUT /api/v1/users/me': send(() => ({ bio: 'b' })),
        'PATCH /api/v1/users/me': send(() => ({ phone_number: '+4912345678' })),
        'DELETE /api/v1/users/me': async (route, who) =>
          app.http
            .delete(route.path)
            .set(who ? (await disposable()).auth : {})
            .send({ password: PASSWORD }),
        'GET /api/v1/users/{id}': send(() => undefined),
        'PUT /api/v1/users/{id}': send(() => ({ bio: 'c' })),
        'PATCH /api/v1/users/{id}': send(() => ({ bio: null })),
        'DELETE /api/v1/users/{id}': async (route, who) =>
          app.http.delete(fill(route.path, (await aUser(app)).id)).set(who?.auth ?? {}),
      };
      /** To something of the caller's own that is made for the call. */
      const ofOwn =
        (make: (who: SignedIn) => Promise<string>, body?: object): Call =>
        async (route, who) =>
          call(route, fill(route.path, who ? await make(who) : randomUUID()), who?.auth, body);
      for (const base of ['/api/v1/uploads', '/api/v1/files']) {
        Object.assign(calls, {
          [`POST ${base}`]: async (route, who) => upload(route.path, who?.auth ?? {}),
          [`GET ${base}`]: send(() => undefined),
          [`POST ${base}/bulk-delete`]: ofOwn(async () => '', { ids: [randomUUID(), 'x'] }),
          [`GET ${base}/{id}`]: ofOwn(fileOf),
          [`PUT ${base}/{id}`]: ofOwn(fileOf, { description: 'd' }),
          [`PATCH ${base}/{id}`]: ofOwn(fileOf, { filename: 'b.txt', description: null }),
          [`DELETE ${base}/{id}`]: ofOwn(fileOf),
          [`GET ${base}/{id}/download`]: ofOwn(fileOf),
          [`POST ${base}/{id}/signed-url`]: ofOwn(fileOf, {}),
          [`GET ${base}/{id}/signed`]: async (route, who) => {
            const id = who ? await fileOf(who) : randomUUID();
            return app.http.get(fill(route.path, id) + (who ? await linkTo(id, who) : '?expires=1&signature=x'));
          },
          [`OPTIONS ${base}/resumable`]: ofOwn(async () => ''),
          [`POST ${base}/resumable`]: ofOwn(async () => ''),
          [`HEAD ${base}/resumable/{id}`]: ofOwn(resumableOf),
          [`PATCH ${base}/resumable/{id}`]: ofOwn(resumableOf),
          [`DELETE ${base}/resumable/{id}`]: ofOwn(resumableOf),
        } satisfies Record<string, Call>);
      }
      const channels = '/api/v1/broadcasting/channels';
      const toChannel =
        (path: string, body?: object): Call =>
        async (route, who) =>
          call(route, `/api/v1/broadcasting/${path}`, who?.auth, body);
      Object.assign(calls, {
        'GET /api/v1/broadcasting/messages': toChannel('messages?channel=news'),
        'POST /api/v1/broadcasting/messages': toChannel('messages', { channel: 'news', event: 'e', data: { a: [1] } }),
        [`GET ${channels}`]: toChannel('channels'),
        [`GET ${channels}/{name}`]: toChannel('channels/presence-a'),
        [`PUT ${channels}/{name}`]: toChannel('channels/news', { retention_count: 7, retention_seconds: null }),
        [`GET ${channels}/{name}/members`]: toChannel('channels/private-a/members'),
        [`PUT ${channels}/{name}/members/{user_id}`]: toChannel(`channels/private-a/members/${other.id}`),
        [`DELETE ${channels}/{name}/members/{user_id}`]: toChannel(`channels/private-a/members/${other.id}`),
        'POST /api/v1/broadcasting/auth': toChannel('auth', { channel_name: 'news', socket_id: 'x' }),
        'GET /api/v1/broadcasting/stats': toChannel('stats'),
        'POST /api/v1/broadcasting/stream/ticket': toChannel('stream/ticket'),
        'GET /api/v1/broadcasting/stream': async ({ path }, who) => {
          const [response] = (await once(
            http.get(`${app.url}${path}?channel=news`, { headers: who?.auth, agent: false }),
            'response',
          )) as [http.IncomingMessage];
          const status = response.statusCode ?? 0;
          // It has no end.
          if (status === 200) response.destroy();
          const text = status === 200 ? '' : (await response.toArray()).join('');
          return { status, body: text ? JSON.parse(text) : {}, text };
        },
      } satisfies Record<string, Call>);
      expect(routes.map(nameOf).filter((name) => !calls[name])).toEqual([]);
      const seen = new Map<string, Set<number>>();
      for (const who of [null, await aSignedInUser(app), await anAdmin(app)]) {
        for (const route of routes) {
          const response = await calls[nameOf(route)](route, who);
          expectDocumented(route, response);
          seen.set(nameOf(route), (seen.get(nameOf(route)) ?? new Set()).add(response.status));
        }
      }
      const neverGood = [...seen].filter(([, statuses]) => ![...statuses].some((status) => status < 300));
      expect(neverGood.map(([name]) => name)).toEqual(['DELETE /api/v1/auth/sessions/{id}']);
    });

    it('S31 errors hold what the document says and nothing more', async () => {
      const { auth } = await aSignedInUser(app);
      for (const route of routes.filter((route) => !bareRoutes.includes(route))) {
        const path = fill(route.path, randomUUID());
        const raw = (body: string, type = 'application/json') =>
          app.http[route.method](path).set(auth).set('Content-Type', type).send(body);
        const answers = [await raw('{"unknown_field": 1}')];
        if (route.operation.requestBody)
          answers.push(
            await raw('{'),
            await raw('[]'),
            await raw('x', 'text/plain'),
            await raw(`{"a":"${'x'.repeat(1_100_000)}"}`),
            await raw('{"email":1,"password":2,"username":[],"refresh_token":{}}'),
          );
        for (const response of answers) if (response.status >= 400) expectDocumented(route, response);
      }
      const refused = await app.http.post('/api/v1/auth/login').send({ email: 'a@example.com', password: PASSWORD });
      expectDocumented(routes.find((route) => nameOf(route) === 'POST /api/v1/auth/login') as Route, refused);
    });

    it("S31 another user's address, phone, role and numbers are for the user and admins alone", async () => {
      const [owner, other] = [await aSignedInUser(app, { fullName: 'Findable Person' }), await aSignedInUser(app)];
      await app.http
        .patch('/api/v1/users/me')
        .set(owner.auth)
        .send({ phone_number: '+4912345678', bio: 'bio' })
        .expect(200);
      const publicKeys = 'created_at,full_name,id,is_active,is_verified,last_login,profile,username'.split(',');
      const { body: one } = await app.http.get(`/api/v1/users/${owner.id}`).set(other.auth).expect(200);
      const { body: list } = await app.http.get('/api/v1/users?search=findable').set(other.auth).expect(200);
      expect(list.items).toHaveLength(1);
      for (const view of [one, list.items[0]]) {
        expect(Object.keys(view).sort()).toEqual(publicKeys);
        expect(Object.keys(view.profile).sort()).toEqual(['bio', 'first_name', 'last_name']);
      }
      // Nor can it be found out by searching for it.
      const { body: byEmail } = await app.http
        .get(`/api/v1/users?search=${encodeURIComponent('@example.com')}`)
        .set(other.auth)
        .expect(200);
      expect(byEmail.total).toBe(0);
      await app.pool.query('UPDATE users SET is_active = false WHERE id = $1', [owner.id]);
      const { body: none } = await app.http.get('/api/v1/users?search=findable').set(other.auth).expect(200);
      expect(none).toMatchObject({ total: 0, items: [] });
    });
  });

  describe('the last admin', () => {
    const activeAdmins = async () =>
      (await app.pool.query("SELECT id FROM users WHERE role = 'admin' AND is_active")).rows.map(({ id }) => id);
    beforeEach(() => app.pool.query("DELETE FROM users WHERE role = 'admin'"));

    it('S32 cannot be deleted, whichever way', async () => {
      const admin = await anAdmin(app);
      await aUser(app, { role: 'admin', isActive: false });
      for (const answer of [
        await app.http.delete(`/api/v1/users/${admin.id}`).set(admin.auth),
        await app.http.delete(`/users/${admin.id.toUpperCase()}`).set(admin.auth),
        await app.http.delete('/api/v1/users/me').set(admin.auth).send({ password: PASSWORD }),
      ]) {
        expect([answer.status, answer.body.error_code]).toEqual([409, 'last_admin']);
      }
      expect(await activeAdmins()).toEqual([admin.id]);
      await app.http.get('/api/v1/users/me').set(admin.auth).expect(200);
    });

    it('S32 is there still after two admins deleted each other at once', async () => {
      for (let round = 0; round < 5; round++) {
        const [a, b] = [await anAdmin(app), await anAdmin(app)];
        const answers = await Promise.all([
          app.http.delete(`/api/v1/users/${b.id}`).set(a.auth),
          app.http.delete(`/api/v1/users/${a.id}`).set(b.auth),
        ]);
        const statuses = answers.map(({ status }) => status);
        expect(statuses.filter((status) => status === 200)).toHaveLength(1);
        for (const status of statuses) expect([200, 401, 409]).toContain(status);
        expect(await activeAdmins()).toHaveLength(1);
        await app.pool.query("DELETE FROM users WHERE role = 'admin'");
      }
    });

    it('S32 is there still after all admins deleted themselves at once', async () => {
      const admins = await Promise.all([anAdmin(app), anAdmin(app), anAdmin(app)]);
      const answers = await Promise.all(
        admins.map(({ auth }) => app.http.delete('/api/v1/users/me').set(auth).send({ password: PASSWORD })),
      );
      expect(answers.map(({ status }) => status).sort()).toEqual([204, 204, 409]);
      expect(await activeAdmins()).toHaveLength(1);
    });
  });

  it('S32 a role change holds at the next request, whatever the token says', async () => {
    const [person, other] = [await anAdmin(app), await aUser(app)];
    const look = async () => (await app.http.get(`/api/v1/users/${other.id}`).set(person.auth).expect(200)).body;
    const setRole = (role: string) => app.pool.query('UPDATE users SET role = $2 WHERE id = $1', [person.id, role]);
    expect(await look()).toHaveProperty('email', other.email);
    await setRole('user');
    expect(await look()).not.toHaveProperty('email');
    await app.http.delete(`/api/v1/users/${other.id}`).set(person.auth).expect(403);
    await app.http.patch(`/api/v1/users/${other.id}`).set(person.auth).send({ bio: 'x' }).expect(403);
    const newAdmin = { email: `${randomUUID()}@example.com`, password: PASSWORD, is_superuser: true };
    await app.http.post('/api/v1/users').set(person.auth).send(newAdmin).expect(403);
    await setRole('admin');
    expect(await look()).toHaveProperty('email', other.email);
  });
});
