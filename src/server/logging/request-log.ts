import type { FastifyInstance, FastifyReply } from 'fastify';
import type { Logger } from 'pino';
import { clientAddress } from '../../common/http/client-address.js';
import type { GatehouseRequest } from '../../common/http/request.js';

/** As nginx has it: the client went before its answer was out. */
const CLIENT_CLOSED = 499;

/** One line a request: no headers, no body and no query string, so no secret. */
export function addRequestLog(server: FastifyInstance, logger: Logger): void {
  if (!logger.isLevelEnabled('info')) return;
  const log = (request: GatehouseRequest, reply: FastifyReply, status: number, ip: string) =>
    logger.info(
      {
        request_id: request.id,
        method: request.method,
        path: request.originalUrl.split(/[?#]/, 1)[0],
        status,
        duration_ms: Math.round(reply.elapsedTime * 10) / 10,
        ip,
        user_id: request.principal?.id,
      },
      'request',
    );
  server.addHook('onRequest', (request, reply, done) => {
    // Whoever goes before the answer has been sent would leave no trace, and takes the address along.
    const ip = clientAddress(request);
    reply.raw.once('close', () => {
      if (!reply.raw.writableFinished) log(request, reply, CLIENT_CLOSED, ip);
    });
    done();
  });
  server.addHook('onResponse', (request, reply, done) => {
    log(request, reply, reply.statusCode, clientAddress(request));
    done();
  });
}
