import { randomUUID } from 'node:crypto';
import { anAdmin, type SignedIn } from '../support/builders.js';
import type { TestApp } from '../support/test-app.js';
import { documentOf, type Route as JsonRoute, routesOf } from './tools.js';

/** HEAD and OPTIONS only where the program has a route of its own for them. */
export type Route = Omit<JsonRoute, 'method'> & { method: JsonRoute['method'] | 'head' | 'options' };

export const OPEN = ['public', 'optional'];

const isBodiless = ({ method }: Pick<Route, 'method'>) => ['get', 'head', 'options'].includes(method);
const isResumable = (path: string) => /^\/api\/v1\/(uploads|files)\/resumable(\/|$)/.test(path);

/** What the protocol asks for, so that a refusal is about the caller and not about the call. */
function protocolOf({ method, path }: Pick<Route, 'method' | 'path'>): Record<string, string> {
  if (!isResumable(path)) return {};
  const about: Record<string, Record<string, string>> = {
    post: { 'Upload-Length': '4', 'Upload-Metadata': `filename ${Buffer.from('a.txt').toString('base64')}` },
    patch: { 'Upload-Offset': '0', 'Content-Type': 'application/offset+octet-stream' },
  };
  return { 'Tus-Resumable': '1.0.0', ...about[method] };
}

/** Every route of the running program, and those for HEAD and OPTIONS apart. */
export async function allRoutesOf(app: TestApp): Promise<{ routes: Route[]; bareRoutes: Route[] }> {
  const { paths } = await documentOf(app);
  const bareRoutes = Object.entries<any>(paths).flatMap(([path, item]) =>
    (['head', 'options'] as const)
      .filter((method) => item[method])
      .map((method) => ({ method, path, access: item[method]['x-access'], operation: item[method] })),
  );
  return { routes: [...(await routesOf(app)), ...bareRoutes], bareRoutes };
}

/** Calls any route as it wants to be called, and makes the things that routes are about. */
export class Things {
  constructor(private readonly app: TestApp) {}

  /** A call as the route takes it: JSON, or bytes where it reads bytes. */
  call(route: Pick<Route, 'method' | 'path'>, path: string, auth: object = {}, body: object = {}) {
    const request = this.app.http[route.method](path).set({ ...protocolOf(route), ...auth });
    if (isBodiless(route)) return request;
    return isResumable(route.path) ? request.send(route.method === 'patch' ? 'text' : undefined) : request.send(body);
  }

  upload(base: string, auth: object) {
    return this.app.http
      .post(base)
      .set(auth as Record<string, string>)
      .attach('file', Buffer.from('text'), 'a.txt');
  }

  fileOf = async ({ auth }: Pick<SignedIn, 'auth'>): Promise<string> =>
    (await this.upload('/api/v1/uploads', auth).expect(201)).body.id;

  resumableOf = async ({ auth }: Pick<SignedIn, 'auth'>): Promise<string> => {
    const route = { method: 'post', path: '/api/v1/uploads/resumable' } as const;
    const { headers } = await this.call(route, route.path, auth).expect(201);
    return headers.location.split('/').pop() ?? '';
  };

  keyOf = async ({ auth }: Pick<SignedIn, 'auth'>): Promise<string> =>
    (await this.app.http.post('/api/v1/users/me/api-keys').set(auth).send({ name: 'a key' }).expect(201)).body.id;

  /** One that its only member is let into. */
  channelOf = async ({ id }: Pick<SignedIn, 'id'>): Promise<string> => {
    const name = `private-${randomUUID()}`;
    const { auth } = await anAdmin(this.app);
    await this.app.http.put(`/api/v1/broadcasting/channels/${name}/members/${id}`).set(auth).expect(204);
    return name;
  };

  linkTo = async (id: string, { auth }: Pick<SignedIn, 'auth'>): Promise<string> => {
    const { body } = await this.app.http.post(`/api/v1/uploads/${id}/signed-url`).set(auth).expect(200);
    return new URL(body.url).search;
  };
}
