import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import http from 'node:http';
import type { AccountMails } from '../support/account-mails.js';
import { aSignedInUser, aUser, PASSWORD, type SignedIn, signIn, type TestUser } from '../support/builders.js';
import { codeOf, enableSecondFactor, freshCode } from '../support/second-factor.js';
import type { TestApp } from '../support/test-app.js';
import { type Route, Things } from './things.js';
import { fill } from './tools.js';

const NEW_PASSWORD = 'Another-Horse-1';

export type Call = (
  route: Route,
  who: SignedIn | null,
) => Promise<{ status: number; body: any; text: string; headers: Record<string, any> }>;

/** One good call of every route, by its name; a new route has to be added here. What ends an account or a session gets one of its own. */
export function goodCalls(app: TestApp, mails: AccountMails, other: TestUser): Record<string, Call> {
  const things = new Things(app);
  const disposable = () => aSignedInUser(app);
  const email = () => `${randomUUID()}@example.com`;
  const send =
    (body: () => object | undefined, id = () => other.id): Call =>
    async (route, who) =>
      app.http[route.method](fill(route.path, id()))
        .set(who?.auth ?? {})
        .send(body());
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
    'GET /api/v1/admin/users/{id}/sessions': send(() => undefined),
    'DELETE /api/v1/admin/users/{id}/sessions/{session_id}': async (route, who) => {
      const user = await disposable();
      const { body } = await app.http.get('/api/v1/auth/sessions').set(user.auth);
      return things.call(route, fill(route.path.replace('{session_id}', body.items[0].id), user.id), who?.auth);
    },
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
      return { status, body: text ? JSON.parse(text) : {}, text, headers: response.headers };
    },
  } satisfies Record<string, Call>);
  return calls;
}
