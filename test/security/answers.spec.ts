import { randomUUID } from 'node:crypto';
import { Ajv } from 'ajv';
import addFormatsModule from 'ajv-formats';
import { AccountMails } from '../support/account-mails.js';
import { aSignedInUser, anAdmin, aUser, PASSWORD, signIn } from '../support/builders.js';
import { Mailboxes } from '../support/mailboxes.js';
import { enableSecondFactor } from '../support/second-factor.js';
import { startTestApp, type TestApp } from '../support/test-app.js';
import { type Call, goodCalls } from './good-calls.js';
import { allRoutesOf, type Route } from './things.js';
import { documentOf, fill, resolve } from './tools.js';

const nameOf = ({ method, path }: Pick<Route, 'method' | 'path'>): string => `${method.toUpperCase()} ${path}`;
const addFormats = addFormatsModule as unknown as (ajv: Ajv) => void;
const LOGIN = '/api/v1/auth/login';

/** What no answer holds, whoever asks: names of columns and of secrets. */
const INTERNAL_KEY =
  /(?<!^file_)hash|secret|salt|counter|rotated|expires_at|ends_at|stack|sql|query|trace|password(?!\b)|[a-z][A-Z]|^password$|token(?!_type)|^key$|ticket|recovery_codes$/;
/** What is told all the same, by the one call that is there for it. */
const TOLD_BY: Record<string, RegExp> = {
  /** When something that was just asked for ends, which its holder has to know. */
  expires_at: /^POST .*\/signed-url$|^(GET|POST) .*\/api-keys$|^GET .*\/audit-log$/,
  access_token: /^POST .*\/auth\/(login|refresh|mfa\/verify)$/,
  refresh_token: /^POST .*\/auth\/(login|refresh|mfa\/verify)$/,
  mfa_token: /^POST .*\/auth\/login$/,
  ticket: /^POST .*\/stream\/ticket$/,
  key: /^POST .*\/api-keys$/,
  secret: /^POST .*\/mfa\/setup$/,
  /** Of an undone change of address: whether, not which. */
  password_voided: /^GET .*\/admin\/audit-log$/,
  recovery_codes: /^POST .*\/mfa\/(confirm|recovery-codes)$/,
};
const INTERNAL_VALUE = /\$2[aby]\$\d\d\$|QueryFailedError|node_modules|\.(ts|js):\d+|SELECT .* FROM|violates/;

describe('answers', () => {
  let mailboxes: Mailboxes;
  let app: TestApp;
  let calls: Record<string, Call>;
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

  const routeOf = (name: string) => routes.find((route) => nameOf(route) === name) as Route;
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
    calls = goodCalls(app, new AccountMails(app, mailboxes), await aUser(app, { fullName: 'Somebody Else' }));
    ({ routes, bareRoutes } = await allRoutesOf(app));
    document = await documentOf(app);
    ajv = new Ajv({ strict: false, allErrors: true });
    addFormats(ajv);
  });
  afterAll(async () => {
    await app.close();
    await mailboxes.stop();
  });

  it.each(['a guest', 'a user', 'an admin'] as const)(
    'S31 S48 hold what the document says and nothing more for %s, and no cookie',
    async (kind) => {
      const callers = { 'a guest': () => null, 'a user': () => aSignedInUser(app), 'an admin': () => anAdmin(app) };
      const who = await callers[kind]();
      expect(routes.map(nameOf).filter((name) => !calls[name])).toEqual([]);
      const refused: string[] = [];
      for (const route of routes) {
        const response = await calls[nameOf(route)](route, who);
        expectDocumented(route, response);
        if (response.status >= 300) refused.push(nameOf(route));
      }
      // Somebody else's session is nobody's to end.
      if (kind === 'an admin') expect(refused).toEqual(['DELETE /api/v1/auth/sessions/{id}']);
      else expect(refused.length).toBeGreaterThan(10);
    },
  );

  it('S31 a login that waits for the second factor answers nothing of the account', async () => {
    const user = await aSignedInUser(app);
    await enableSecondFactor(app, user);
    const response = await app.http.post(LOGIN).send({ email: user.email, password: PASSWORD }).expect(200);
    expectDocumented(routeOf(`POST ${LOGIN}`), response);
    expect(response.body).toEqual({ mfa_required: true, mfa_token: expect.any(String), expires_in: 300 });
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
    const refused = await app.http.post(LOGIN).send({ email: 'a@example.com', password: PASSWORD });
    expectDocumented(routeOf(`POST ${LOGIN}`), refused);
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
