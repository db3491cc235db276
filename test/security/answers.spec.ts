import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import http from 'node:http';
import { Ajv } from 'ajv';
import addFormatsModule from 'ajv-formats';
import { AccountMails } from '../support/account-mails.js';
import { aSignedInUser, anAdmin, aUser, PASSWORD, signIn, type SignedIn } from '../support/builders.js';
import { Mailboxes } from '../support/mailboxes.js';
import { codeOf, enableSecondFactor, freshCode } from '../support/second-factor.js';
import { startTestApp, type TestApp } from '../support/test-app.js';
import { allRoutesOf, type Route, Things } from './things.js';
import { documentOf, fill, resolve } from './tools.js';

const nameOf = ({ method, path }: Pick<Route, 'method' | 'path'>): string => `${method.toUpperCase()} ${path}`;
const addFormats = addFormatsModule as unknown as (ajv: Ajv) => void;
const NEW_PASSWORD = 'Another-Horse-1';

/** What no answer holds, whoever asks: names of columns and of secrets. */
const INTERNAL_KEY =
  /(?<!^file_)hash|secret|salt|counter|rotated|expires_at|ends_at|stack|sql|query|trace|password(?!\b)|[a-z][A-Z]|^password$|token(?!_type)|^key$|ticket|recovery_codes$/;
/** What is told all the same, by the one call that is there for it. */
const TOLD_BY: Record<string, RegExp> = {
  /** When something that was just asked for ends, which its holder has to know. */
  expires_at: /^POST .*\/signed-url$|^(GET|POST) .*\/api-keys$/,
  access_token: /^POST .*\/auth\/(login|refresh|mfa\/verify)$/,
  refresh_token: /^POST .*\/auth\/(login|refresh|mfa\/verify)$/,
  mfa_token: /^POST .*\/auth\/login$/,
  ticket: /^POST .*\/stream\/ticket$/,
  key: /^POST .*\/api-keys$/,
  secret: /^POST .*\/mfa\/setup$/,
  recovery_codes: /^POST .*\/mfa\/(confirm|recovery-codes)$/,
};
const INTERNAL_VALUE = /\$2[aby]\$\d\d\$|QueryFailedError|node_modules|\.(ts|js):\d+|SELECT .* FROM|violates/;

describe('answers', () => {
  let mailboxes: Mailboxes;
  let app: TestApp;
  let things: Things;
  let mails: AccountMails;
  let routes: Route[];
  let bareRoutes: Route[];
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
    // The bytes of a file are what they are, metrics are no JSON.
    if (Object.keys(documented.content ?? {}).some((type) => /octet-stream|zip|^text\/plain/.test(type)))
      return expect(response.text ?? '').not.toMatch(INTERNAL_VALUE);
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
      if (!TOLD_BY[key]?.test(nameOf(route)))
        expect([nameOf(route), key]).toEqual([nameOf(route), expect.not.stringMatching(INTERNAL_KEY)]);
      expectNothingInternal(inner, route);
    }
  };

  beforeAll(async () => {
    mailboxes = await Mailboxes.start();
    app = await startTestApp(mailboxes.settings);
    [things, mails] = [new Things(app), new AccountMails(app, mailboxes)];
    ({ routes, bareRoutes } = await allRoutesOf(app));
    document = await documentOf(app);
    ajv = new Ajv({ strict: false, allErrors: true });
    addFormats(ajv);
  });
  afterAll(async () => {
    await app.close();
    await mailboxes.stop();
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
          .send({ current_password: PASSWORD, new_password: NEW_PASSWORD }),
      'POST /api/v1/users/change-password': async (route, who) =>
        app.http
          .post(route.path)
          .set(who ? (await disposable()).auth : {})
          .send({ current_password: PASSWORD, new_password: NEW_PASSWORD }),
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
        things.call(route, fill(route.path, who ? await make(who) : randomUUID()), who?.auth, body);
    for (const base of ['/api/v1/uploads', '/api/v1/files']) {
      Object.assign(calls, {
        [`POST ${base}`]: async (route, who) => things.upload(route.path, who?.auth ?? {}),
        [`GET ${base}`]: send(() => undefined),
        [`POST ${base}/bulk-delete`]: ofOwn(async () => '', { ids: [randomUUID(), 'x'] }),
        [`GET ${base}/{id}`]: ofOwn(things.fileOf),
        [`PUT ${base}/{id}`]: ofOwn(things.fileOf, { description: 'd' }),
        [`PATCH ${base}/{id}`]: ofOwn(things.fileOf, { filename: 'b.txt', description: null }),
        [`DELETE ${base}/{id}`]: ofOwn(things.fileOf),
        [`GET ${base}/{id}/download`]: ofOwn(things.fileOf),
        [`POST ${base}/{id}/signed-url`]: ofOwn(things.fileOf, {}),
        [`GET ${base}/{id}/signed`]: async (route, who) => {
          const id = who ? await things.fileOf(who) : randomUUID();
          return app.http.get(fill(route.path, id) + (who ? await things.linkTo(id, who) : '?expires=1&signature=x'));
        },
        [`OPTIONS ${base}/resumable`]: ofOwn(async () => ''),
        [`POST ${base}/resumable`]: ofOwn(async () => ''),
        [`HEAD ${base}/resumable/{id}`]: ofOwn(things.resumableOf),
        [`PATCH ${base}/resumable/{id}`]: ofOwn(things.resumableOf),
        [`DELETE ${base}/resumable/{id}`]: ofOwn(things.resumableOf),
      } satisfies Record<string, Call>);
    }
    const withFactor = async () => {
      const user = await disposable();
      return { user, factor: await enableSecondFactor(app, user) };
    };
    const post = (path: string, auth: object, body: object) =>
      app.http
        .post(path)
        .set(auth as Record<string, string>)
        .send(body);
    /** With the password and a code of somebody who has a second factor. */
    const withProof: Call = async ({ path }, who) => {
      if (!who) return post(path, {}, { password: PASSWORD, code: '000000' });
      const { user, factor } = await withFactor();
      return post(path, user.auth, { password: PASSWORD, code: await freshCode(app, user.id, factor.secret) });
    };
    /** On an account that is made for the call. */
    const onDisposable =
      (body?: object): Call =>
      async (route, who) =>
        things.call(route, fill(route.path, (await aUser(app)).id), who?.auth, body);
    Object.assign(calls, {
      'GET /api/v1/users/me/api-keys': send(() => undefined),
      'POST /api/v1/users/me/api-keys': send(() => ({ name: 'a key', expires_at: '2099-01-01T00:00:00Z' })),
      'DELETE /api/v1/users/me/api-keys/{id}': ofOwn(things.keyOf),
      'GET /api/v1/users/me/export': send(() => undefined),
      'GET /api/v1/auth/mfa': send(() => undefined),
      'POST /api/v1/auth/mfa/setup': send(() => ({ password: PASSWORD })),
      'POST /api/v1/auth/mfa/confirm': async ({ path }, who) => {
        if (!who) return post(path, {}, { code: '000000' });
        const { auth } = await disposable();
        const { body } = await post('/api/v1/auth/mfa/setup', auth, { password: PASSWORD }).expect(200);
        return post(path, auth, { code: codeOf(body.secret) });
      },
      'POST /api/v1/auth/mfa/recovery-codes': withProof,
      'POST /api/v1/auth/mfa/disable': withProof,
      'POST /api/v1/auth/mfa/verify': async ({ path }) => {
        const { user, factor } = await withFactor();
        const login = await app.http.post('/api/v1/auth/login').send({ email: user.email, password: PASSWORD });
        expectDocumented(routes.find((route) => nameOf(route) === 'POST /api/v1/auth/login') as Route, login);
        const code = await freshCode(app, user.id, factor.secret);
        return post(path, {}, { mfa_token: login.body.mfa_token, code });
      },
      'POST /api/v1/auth/forgot-password': send(() => ({ email: other.email })),
      'POST /api/v1/auth/resend-verification': send(() => ({ email: other.email })),
      'POST /api/v1/auth/verify-email': async ({ path }) =>
        post(path, {}, { token: await mails.verifyToken(await aUser(app)) }),
      'POST /api/v1/auth/reset-password': async ({ path }) =>
        post(path, {}, { token: await mails.resetToken(await aUser(app)), new_password: NEW_PASSWORD }),
      'POST /api/v1/auth/undo-email-change': async ({ path }) =>
        post(path, {}, { token: await mails.move(await disposable(), email()) }),
      'GET /api/v1/admin/users': send(() => undefined),
      'GET /api/v1/admin/users/{id}': send(() => undefined),
      'PUT /api/v1/admin/users/{id}': onDisposable({ role: 'admin', is_active: false, quota: 5 }),
      'PATCH /api/v1/admin/users/{id}': onDisposable({ quota: null }),
      'DELETE /api/v1/admin/users/{id}': onDisposable(),
      'POST /api/v1/admin/users/{id}/revoke-sessions': onDisposable(),
      'DELETE /api/v1/admin/users/{id}/mfa': async (route, who) =>
        things.call(route, fill(route.path, (await withFactor()).user.id), who?.auth),
      'GET /api/v1/admin/uploads': send(() => undefined),
      'DELETE /api/v1/admin/uploads/{id}': async (route, who) =>
        things.call(route, fill(route.path, await things.fileOf(await disposable())), who?.auth),
      'GET /api/v1/admin/audit-log': async (route, who) => app.http.get(`${route.path}?size=100`).set(who?.auth ?? {}),
      'GET /api/v1/admin/stats': send(() => undefined),
      'GET /metrics': send(() => undefined),
    } satisfies Record<string, Call>);
    const channels = '/api/v1/broadcasting/channels';
    const toChannel =
      (path: string, body?: object): Call =>
      async (route, who) =>
        things.call(route, `/api/v1/broadcasting/${path}`, who?.auth, body);
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
    const admin = await anAdmin(app);
    for (const route of routes.filter((route) => !bareRoutes.includes(route))) {
      // One of them ends the sessions.
      const { auth } = await signIn(app, admin);
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
