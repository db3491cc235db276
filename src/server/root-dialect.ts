import type { FastifyInstance } from 'fastify';
import { isRootDialect } from './rewrite-url.js';

/** Puts the answers of the root dialect into `{data, status, code}`. Errors have their one body already, a 204 stays empty. */
export function addRootDialect(server: FastifyInstance): void {
  server.addHook('onSend', (request, reply, payload, done) => {
    const isWrapped =
      isRootDialect(request.raw) && reply.statusCode < 300 && typeof payload === 'string' && payload !== '';
    if (!isWrapped) return done(null, payload);
    reply.removeHeader('content-length');
    done(null, `{"data":${payload},"status":"success","code":${reply.statusCode}}`);
  });
}
