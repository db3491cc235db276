import type { IncomingMessage, ServerResponse } from 'node:http';
import type { FastifyInstance } from 'fastify';
import { invite } from '../common/http/body-stream.js';
import { answerUnparsable } from './http-server.js';

/** An answer to a body that is still coming is read by few clients before they have sent some more of it. */
const LINGER_MS = 2_000;
const TIMEOUT = Object.assign(new Error('The request took too long to arrive'), { code: 'ERR_HTTP_REQUEST_TIMEOUT' });

const deadlines = new WeakMap<IncomingMessage, NodeJS.Timeout>();

const mediaTypeOf = ({ headers }: IncomingMessage) => headers['content-type']?.split(';', 1)[0].trim().toLowerCase();

const hasBody = ({ headers }: IncomingMessage) =>
  headers['transfer-encoding'] !== undefined || (headers['content-length'] ?? '0') !== '0';

/**
 * How long a body may take, and when it may begin. Every request has a deadline but those whose route reads its body itself: such a
 * route watches over the progress instead, since a gigabyte over a slow line takes hours.
 */
export function addBodyHooks(server: FastifyInstance, deadlineSeconds: number): void {
  // Without a listener Node invites every body at once, before anybody has looked at the request.
  server.server.on('checkContinue', (request: IncomingMessage, response: ServerResponse) =>
    server.server.emit('request', request, response),
  );
  server.addHook('preParsing', (request, reply, _payload, done) => {
    const { streamedBody } = request.routeOptions.config;
    const isStreamed = streamedBody !== undefined && mediaTypeOf(request.raw) === streamedBody;
    if (hasBody(request.raw) && !isStreamed) {
      endAtDeadline(request.raw, deadlineSeconds);
      if (!streamedBody) invite(request.raw, reply.raw);
    }
    done();
  });
  server.addHook('onResponse', (request, _reply, done) => {
    clearTimeout(deadlines.get(request.raw));
    if (hasBody(request.raw) && !request.raw.complete) linger(request.raw);
    done();
  });
}

function endAtDeadline(request: IncomingMessage, seconds: number): void {
  const end = () => request.complete || answerUnparsable(TIMEOUT, request.socket);
  deadlines.set(request, setTimeout(end, seconds * 1000).unref());
}

/** Node reads on and throws away, as long as the client likes; we do so only until the answer can have arrived. */
function linger(request: IncomingMessage): void {
  const timer = setTimeout(() => request.destroy(), LINGER_MS).unref();
  // Whoever has been reading may hold it up, and a socket that is closed with bytes unread takes the answer with it.
  request.removeAllListeners('data').on('data', () => undefined);
  request.once('end', () => clearTimeout(timer)).resume();
}
