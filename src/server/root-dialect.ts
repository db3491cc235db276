import type { IncomingMessage } from 'node:http';
import type { FastifyInstance } from 'fastify';

export const API_PREFIX = '/api/v1';
const ROOT_PATH = /^\/(auth|users)(?=[/?]|$)/;
const rootRequests = new WeakSet<IncomingMessage>();

/** `/auth/…` and `/users/…` without the prefix are the same routes; their answers come in an envelope (section 9). */
export function rewriteRootDialect(request: IncomingMessage): string {
  const url = request.url ?? '/';
  if (!ROOT_PATH.test(url)) return url;
  rootRequests.add(request);
  return API_PREFIX + url;
}

/** Puts the answers of the root dialect into `{data, status, code}`. Errors have their one body already, a 204 stays empty. */
export function addRootDialect(server: FastifyInstance): void {
  server.addHook('onSend', (request, reply, payload, done) => {
    const isWrapped =
      rootRequests.has(request.raw) && reply.statusCode < 300 && typeof payload === 'string' && payload !== '';
    if (!isWrapped) return done(null, payload);
    reply.removeHeader('content-length');
    done(null, `{"data":${payload},"status":"success","code":${reply.statusCode}}`);
  });
}
