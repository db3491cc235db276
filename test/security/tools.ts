import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import net from 'node:net';
import type { TestApp } from '../support/test-app.js';

type Json = Record<string, unknown>;

const base64url = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');

/** A JWT made by hand, with whatever header; signed by HMAC unless a signature is given. */
export function forgeJwt(header: Json, claims: object, secret: string, signature?: string): string {
  const signed = `${base64url(header)}.${base64url(claims)}`;
  const hash = { HS384: 'sha384', HS512: 'sha512' }[String(header.alg)] ?? 'sha256';
  return `${signed}.${signature ?? createHmac(hash, secret).update(signed).digest('base64url')}`;
}

export const claimsOf = (token: string): Json =>
  JSON.parse(Buffer.from(token.split('.')[1], 'base64url').toString()) as Json;

/** Everything the server says on a connection that it ends itself. */
export async function untilClosed(socket: net.Socket): Promise<string> {
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  // A reset is one way of being cut off.
  socket.on('error', () => undefined);
  if (!socket.closed) await once(socket, 'close').catch(() => undefined);
  return Buffer.concat(chunks).toString('latin1');
}

/** Sends bytes as they are; the server has to end the connection. */
export function sendRaw(app: TestApp, text: string): Promise<string> {
  const socket = net.connect(app.port, '127.0.0.1');
  socket.write(text);
  return untilClosed(socket);
}

/** A request line and headers, exactly so spelled, on a connection of its own. */
export const request = (line: string, headers: string[] = [], body = ''): string =>
  [
    `${line} HTTP/1.1`,
    'Host: localhost',
    ...headers,
    ...(body && !headers.some((header) => /^(content-length|transfer-encoding)/i.test(header))
      ? [`Content-Length: ${Buffer.byteLength(body)}`]
      : []),
    'Connection: close',
    '',
    body,
  ].join('\r\n');

/** The statuses of all answers in what a connection received. */
export const statusesOf = (received: string): number[] =>
  [...received.matchAll(/HTTP\/1\.1 (\d{3})/g)].map(([, status]) => Number(status));

export interface Route {
  readonly method: 'get' | 'post' | 'put' | 'patch' | 'delete';
  readonly path: string;
  readonly access: string;
  readonly operation: any;
}

export const nameOf = ({ method, path }: Pick<Route, 'method' | 'path'>): string => `${method.toUpperCase()} ${path}`;

export async function documentOf(app: TestApp): Promise<any> {
  return (await app.http.get('/openapi.json').expect(200)).body;
}

/** Every route of the running program, as it documents itself. */
export async function routesOf(app: TestApp): Promise<Route[]> {
  const { paths } = await documentOf(app);
  return Object.entries<any>(paths).flatMap(([path, item]) =>
    (['get', 'post', 'put', 'patch', 'delete'] as const)
      .filter((method) => item[method])
      .map((method) => ({ method, path, access: item[method]['x-access'], operation: item[method] })),
  );
}

export const fill = (path: string, id: string): string => path.replace(/\{[^}]+\}/g, id);

/** Follows `$ref`s of an OpenAPI document. */
export function resolve(document: any, schema: any): any {
  if (!schema?.$ref) return schema;
  return resolve(
    document,
    schema.$ref
      .slice(2)
      .split('/')
      .reduce((at: any, key: string) => at[key], document),
  );
}
