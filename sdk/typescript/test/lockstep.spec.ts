import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv2020 } from 'ajv/dist/2020.js';
import addFormatsModule from 'ajv-formats';
import { Gatehouse } from '../src/index.js';
import { all } from './support.js';

const ROOT = join(__dirname, '../../..');
const read = (path: string) => readFileSync(join(ROOT, path), 'utf8');
const document = JSON.parse(read('openapi.json'));
const table: { operations: Record<string, string>; sameAs: Record<string, string> } = JSON.parse(
  read('sdk/operations.json'),
);

interface Operation {
  id: string;
  method: string;
  path: string;
  query: string[];
  body: Record<string, { schema: any }>;
}
const operations: Operation[] = Object.entries<any>(document.paths).flatMap(([path, methods]) =>
  Object.entries<any>(methods)
    .filter(([, { operationId }]) => operationId)
    .map(([method, { operationId, parameters = [], requestBody }]) => ({
      id: operationId,
      method: method.toUpperCase(),
      path,
      query: parameters.filter((parameter: any) => parameter.in === 'query').map(({ name }: any) => name),
      body: requestBody?.content ?? {},
    })),
);

const ajv = new Ajv2020({ strict: false, allErrors: true });
(addFormatsModule as unknown as (to: Ajv2020) => void)(ajv);
ajv.addSchema(document, 'openapi');
const schemaOf = (operation: Operation, type: string) =>
  ajv.compile({
    $ref: `openapi#/paths/${operation.path.replaceAll('/', '~1')}/${operation.method.toLowerCase()}/requestBody/content/${type.replace('/', '~1')}/schema`,
  });

interface Recorded {
  method: string;
  url: URL;
  headers: Headers;
  body: unknown;
}

const ID = '01970000-0000-7000-8000-000000000001';
const PAIR = { access_token: 'a', refresh_token: 'r', token_type: 'bearer', expires_in: 900 };
const PAGE = { items: [], total: 0, page: 1, size: 100, pages: 0, skip: 0, limit: 100 };
const TUS = { 'Tus-Resumable': '1.0.0', 'Upload-Offset': '5', 'Upload-Length': '5' };
const STREAM = { 'Content-Type': 'text/event-stream' };

/** In place of a server: notes what is asked, and answers so that the client goes on. */
class Recorder {
  readonly recorded: Recorded[] = [];
  /** Breaks the first piece of a resumable upload. */
  breaksPieces = false;

  readonly fetch = async (input: string | URL | Request, init: RequestInit = {}): Promise<Response> => {
    const request = { method: init.method ?? 'GET', url: new URL(String(input)), headers: new Headers(init.headers) };
    this.recorded.push({ ...request, body: await this.bodyOf(request.headers, init) });
    init.signal?.throwIfAborted();
    return this.answer(request.method, request.url.pathname);
  };

  private async bodyOf(headers: Headers, { body }: RequestInit): Promise<unknown> {
    if (body instanceof FormData) return body;
    if (headers.get('Content-Type') === 'application/json') return JSON.parse(body as string);
    return body ? new Response(body).text() : undefined;
  }

  private answer(method: string, path: string): Response {
    if (/\/uploads\/resumable/.test(path)) return this.tusAnswer(method);
    if (path.endsWith('/auth/login') || path.endsWith('/verify') || path.endsWith('/refresh'))
      return Response.json(PAIR);
    if (path.endsWith('/stream')) return new Response('', { headers: STREAM });
    return Response.json(PAGE);
  }

  private tusAnswer(method: string): Response {
    const status = { POST: 201, PATCH: 204, HEAD: 200, DELETE: 204, OPTIONS: 204 }[method];
    if (method === 'PATCH' && this.breaksPieces) {
      this.breaksPieces = false;
      throw new TypeError('fetch failed');
    }
    const offset = method === 'HEAD' ? { 'Upload-Offset': '0' } : {};
    const location = { Location: `http://server.test/api/v1/uploads/resumable/${ID}` };
    return new Response(null, { status, headers: { ...TUS, ...location, ...offset } });
  }
}

const FILE = new File(['Hello'], 'hello.txt', { type: 'text/plain' });
const choice = { page: 1, size: 5 };
const account = { email: 'a@example.com', password: 'Correct-Horse-1', username: 'ann', full_name: 'Ann' };
const proof = { password: 'x', code: '123456' };
const profile = { email: 'b@example.com', first_name: null, bio: 'x', phone_number: '+15551234567' };
const files = { ...choice, search: 'x', content_type: 'image/*', sort_by: 'filename', sort_order: 'asc' } as const;

/** Every method that asks the server, with as many arguments as it takes. */
const CALLS: Record<string, (api: Gatehouse, recorder: Recorder) => Promise<unknown>> = {
  'auth.register': (api) => api.auth.register({ ...account, is_superuser: false }),
  'auth.login': (api) => api.auth.login({ email: account.email, password: account.password }),
  'auth.refresh': (api) => api.auth.refresh(),
  'auth.logout': (api) => api.auth.logout(),
  'auth.logoutAll': (api) => api.auth.logoutAll(),
  'auth.changePassword': (api) => api.auth.changePassword({ current_password: 'x', new_password: 'Another-Horse-2' }),
  'auth.forgotPassword': (api) => api.auth.forgotPassword(account.email),
  'auth.resetPassword': (api) => api.auth.resetPassword({ token: 'x', new_password: 'Another-Horse-2' }),
  'auth.verifyEmail': (api) => api.auth.verifyEmail('x'),
  'auth.resendVerification': async (api) => {
    await api.auth.resendVerification();
    await api.auth.resendVerification(account.email);
  },
  'auth.undoEmailChange': (api) => api.auth.undoEmailChange('x'),
  'auth.sessions.list': (api) => api.auth.sessions.list(choice),
  'auth.sessions.end': (api) => api.auth.sessions.end(ID),
  'auth.mfa.status': (api) => api.auth.mfa.status(),
  'auth.mfa.setup': (api) => api.auth.mfa.setup({ password: 'x' }),
  'auth.mfa.confirm': (api) => api.auth.mfa.confirm({ code: '123456' }),
  'auth.mfa.verify': (api) => api.auth.mfa.verify({ mfa_token: 'x', code: '123456' }),
  'auth.mfa.renewRecoveryCodes': (api) => api.auth.mfa.renewRecoveryCodes(proof),
  'auth.mfa.disable': (api) => api.auth.mfa.disable(proof),
  'users.create': (api) => api.users.create(account),
  'users.list': (api) => api.users.list({ ...choice, search: 'x' }),
  'users.get': (api) => api.users.get(ID),
  'users.update': (api) => api.users.update(ID, profile),
  'users.delete': (api) => api.users.delete(ID),
  'users.me': (api) => api.users.me(),
  'users.updateMe': (api) => api.users.updateMe(profile),
  'users.deleteMe': (api) => api.users.deleteMe('x'),
  'users.exportMe': (api) => api.users.exportMe(),
  'users.apiKeys.create': (api) =>
    api.users.apiKeys.create({ name: 'x', scopes: ['users:read'], expires_at: '2030-01-01T00:00:00Z' }),
  'users.apiKeys.list': (api) => api.users.apiKeys.list({ skip: 0, limit: 5 }),
  'users.apiKeys.delete': (api) => api.users.apiKeys.delete(ID),
  'uploads.create': async (api, recorder) => {
    await api.uploads.create(FILE, { description: 'x' });
    recorder.breaksPieces = true;
    await api.uploads.create(FILE, { description: 'x', resumable: true });
    const stop = new AbortController();
    const onProgress = () => stop.abort();
    await api.uploads.create(FILE, { resumable: true, signal: stop.signal, onProgress }).catch(() => undefined);
  },
  'uploads.list': (api) => api.uploads.list(files),
  'uploads.get': (api) => api.uploads.get(ID),
  'uploads.update': (api) => api.uploads.update(ID, { description: null, filename: 'x.txt' }),
  'uploads.delete': (api) => api.uploads.delete(ID),
  'uploads.bulkDelete': (api) => api.uploads.bulkDelete([ID]),
  'uploads.download': (api) => api.uploads.download(ID, { range: { start: 0, end: 4 } }),
  'uploads.createSignedUrl': (api) => api.uploads.createSignedUrl(ID, { expires_in: 60 }),
  'uploads.downloadSigned': (api) =>
    api.uploads.downloadSigned(`http://server.test/api/v1/uploads/${ID}/signed?expires=1&signature=x`),
  'uploads.resumableLimits': (api) => api.uploads.resumableLimits(),
  'admin.users.list': (api) =>
    api.admin.users.list({ ...choice, search: 'x', role: 'user', active: true, sort_by: 'email', sort_order: 'desc' }),
  'admin.users.get': (api) => api.admin.users.get(ID),
  'admin.users.update': (api) => api.admin.users.update(ID, { role: 'admin', is_active: true, quota: null }),
  'admin.users.delete': (api) => api.admin.users.delete(ID),
  'admin.users.revokeSessions': (api) => api.admin.users.revokeSessions(ID),
  'admin.users.resetMfa': (api) => api.admin.users.resetMfa(ID),
  'admin.users.sessions.list': (api) => api.admin.users.sessions.list(ID, choice),
  'admin.users.sessions.end': (api) => api.admin.users.sessions.end(ID, ID),
  'admin.uploads.list': (api) => api.admin.uploads.list({ ...files, user_id: ID }),
  'admin.uploads.delete': (api) => api.admin.uploads.delete(ID),
  'admin.auditLog.list': (api) =>
    api.admin.auditLog.list({ ...choice, actor_id: ID, target_id: ID, from: '2025-01-01T00:00:00Z' }),
  'admin.stats': (api) => api.admin.stats(),
  'broadcasting.publish': (api) =>
    api.broadcasting.publish({ channel: 'news', event: 'said', data: { a: [1, null] }, durable: true }),
  'broadcasting.history': (api) => api.broadcasting.history('news', { after: 1, limit: 5 }),
  'broadcasting.stats': (api) => api.broadcasting.stats(),
  'broadcasting.authorize': (api) => api.broadcasting.authorize({ channel_name: 'news', socket_id: 'x' }),
  'broadcasting.createStreamTicket': (api) => api.broadcasting.createStreamTicket(),
  'broadcasting.stream': (api, { recorded }) => {
    const stop = new AbortController();
    const stream = all(api.broadcasting.stream('news', { after: 1, epoch: ID, signal: stop.signal }));
    const asked = setInterval(() => recorded.length > 0 && stop.abort(), 1);
    return stream.catch(() => undefined).finally(() => clearInterval(asked));
  },
  'broadcasting.channels.list': (api) => api.broadcasting.channels.list(choice),
  'broadcasting.channels.get': (api) => api.broadcasting.channels.get('news'),
  'broadcasting.channels.update': (api) =>
    api.broadcasting.channels.update('news', { publish_policy: 'members', retention_seconds: null }),
  'broadcasting.channels.members.list': (api) => api.broadcasting.channels.members.list('private-x', choice),
  'broadcasting.channels.members.add': (api) => api.broadcasting.channels.members.add('private-x', ID),
  'broadcasting.channels.members.remove': (api) => api.broadcasting.channels.members.remove('private-x', ID),
  'health.live': (api) => api.health.live(),
  'health.status': (api) => api.health.status(),
  'health.metrics': (api) => api.health.metrics({ token: 'x' }),
};

/** What needs no operation of its own: pages come from `list`, the session is kept here, sockets are no HTTP. */
const WITHOUT_OPERATION = /\.iterate$|^auth\.(isSignedIn|onChange)$|^broadcasting\.connect$/;

/** The names of the methods of the client: `users.apiKeys.create`. */
function methodsOf(thing: object, prefix = ''): string[] {
  const own = Object.getOwnPropertyNames(Object.getPrototypeOf(thing)).filter((name) => name !== 'constructor');
  // Private ones are typed so only.
  const methods = own.filter((name) => !['post', 'endSession', 'open'].includes(name)).map((name) => prefix + name);
  const parts = Object.entries(thing).filter(([name]) => name !== 'transport');
  return [...methods, ...parts.flatMap(([name, part]) => methodsOf(part as object, `${prefix}${name}.`))];
}

const matches = (operation: Operation, { method, url }: Recorded) =>
  operation.method === method &&
  new RegExp(`^${operation.path.replaceAll('.', '\\.').replace(/\{\w+\}/g, '[^/]+')}$`).test(url.pathname);

/** What a request has that its operation does not know. */
function faultsOf(operation: Operation, { url, headers, body }: Recorded): unknown[] {
  const faults: unknown[] = [...url.searchParams.keys()].filter((name) => !operation.query.includes(name));
  if (body === undefined) return faults;
  const type = body instanceof FormData ? 'multipart/form-data' : (headers.get('Content-Type') ?? '');
  if (!operation.body[type]) return [...faults, `a body of type ${type}`];
  if (body instanceof FormData) {
    const fields = Object.keys(operation.body[type].schema.properties);
    return [...faults, ...[...body.keys()].filter((name) => !fields.includes(name))];
  }
  if (type !== 'application/json') return faults;
  const validate = schemaOf(operation, type);
  return validate(body) ? faults : [...faults, ...(validate.errors ?? [])];
}

describe('the client and openapi.json', () => {
  const record = async (name: string): Promise<Recorded[]> => {
    const recorder = new Recorder();
    const tokens = { ...PAIR, expires_at: Date.now() + 900_000 };
    const api = new Gatehouse({
      baseURL: 'http://server.test',
      tokens: { get: () => tokens, set: () => {} },
      fetch: recorder.fetch,
    });
    await CALLS[name](api, recorder);
    return recorder.recorded;
  };

  it('the table names every operation once, and no other', () => {
    const named = [...Object.keys(table.operations), ...Object.keys(table.sameAs)].sort();
    expect(named).toEqual(operations.map(({ id }) => id).sort());
    for (const id of Object.values(table.sameAs)) expect(table.operations).toHaveProperty([id]);
  });

  it('every method of the client stands in the table, and no other', () => {
    const methods = methodsOf(new Gatehouse({ baseURL: 'http://server.test' }));
    const named = new Set(Object.values(table.operations));
    expect(methods.filter((name) => !WITHOUT_OPERATION.test(name)).sort()).toEqual([...named].sort());
  });

  it('what is the same as another operation takes the same', () => {
    const byId = new Map(operations.map((operation) => [operation.id, operation]));
    for (const [id, other] of Object.entries(table.sameAs)) {
      const [one, two] = [byId.get(id), byId.get(other)] as Operation[];
      expect([id, one.query, one.body]).toEqual([id, two.query, two.body]);
    }
  });

  it.each(Object.keys(table.operations))('%s', async (id) => {
    const operation = operations.find((known) => known.id === id) as Operation;
    const recorded = await record(table.operations[id]);
    const own = recorded.filter((request) => matches(operation, request));
    expect(own).not.toEqual([]);
    for (const request of own) expect(faultsOf(operation, request)).toEqual([]);
    // Whatever else it asks is documented, too.
    for (const request of recorded) expect(operations.some((known) => matches(known, request))).toBe(true);
  });

  it('schema.ts is what openapi.json makes (renew it with `npm run sdk:generate`)', () => {
    const script = `import { typescriptSchema } from './scripts/sdk-generate.mjs'; process.stdout.write(await typescriptSchema());`;
    const args = ['--input-type=module', '-e', script];
    const schema = execFileSync(process.execPath, args, { cwd: ROOT, encoding: 'utf8', maxBuffer: 2 ** 26 });
    expect(read('sdk/typescript/src/schema.ts') === schema).toBe(true);
  });

  it('the program and both clients have one version', () => {
    const { version } = JSON.parse(read('package.json'));
    expect(JSON.parse(read('sdk/typescript/package.json')).version).toBe(version);
    expect(/^version = "(.*)"$/m.exec(read('sdk/python/pyproject.toml'))?.[1]).toBe(version);
  });
});
