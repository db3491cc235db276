import type { FastifyInstance } from 'fastify';
import type { Logger } from 'pino';
import type { GatehouseRequest } from '../../common/http/request.js';

/** One line a request: no headers, no body and no query string, so no secret. */
export function addRequestLog(server: FastifyInstance, logger: Logger): void {
  if (!logger.isLevelEnabled('info')) return;
  server.addHook('onResponse', (request: GatehouseRequest, reply, done) => {
    const { originalUrl } = request;
    const query = originalUrl.indexOf('?');
    logger.info(
      {
        request_id: request.id,
        method: request.method,
        path: query < 0 ? originalUrl : originalUrl.slice(0, query),
        status: reply.statusCode,
        duration_ms: Math.round(reply.elapsedTime * 10) / 10,
        ip: request.ip,
        user_id: request.principal?.id,
      },
      'request',
    );
    done();
  });
}
