import type { FastifyInstance } from 'fastify';
import type { Logger } from 'pino';
import { clientAddress } from '../../common/http/client-address.js';
import type { GatehouseRequest } from '../../common/http/request.js';

/** One line a request: no headers, no body and no query string, so no secret. */
export function addRequestLog(server: FastifyInstance, logger: Logger): void {
  if (!logger.isLevelEnabled('info')) return;
  server.addHook('onResponse', (request: GatehouseRequest, reply, done) => {
    logger.info(
      {
        request_id: request.id,
        method: request.method,
        path: request.originalUrl.split(/[?#]/, 1)[0],
        status: reply.statusCode,
        duration_ms: Math.round(reply.elapsedTime * 10) / 10,
        ip: clientAddress(request),
        user_id: request.principal?.id,
      },
      'request',
    );
    done();
  });
}
