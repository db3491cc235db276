import type { IncomingMessage } from 'node:http';
import type { FastifyInstance } from 'fastify';
import { isPercentEncodedUtf8 } from './percent-encoding.js';
import { hasMalformedPath } from './rewrite-url.js';
import type { RateLimiter } from './rate-limit/rate-limiter.js';
import { MalformedRequestError } from '../common/errors/errors.js';

/** What is so for every request, before anything else looks at it. */
export function addServerHooks(server: FastifyInstance, rateLimiter: RateLimiter): void {
  server.addHook('onRoute', (route) => {
    if (route.config?.bodyLimit) route.bodyLimit = route.config.bodyLimit;
  });
  server.addHook('onRequest', (request, reply, done) => {
    reply.header('X-Request-Id', request.id);
    // Answers are about people and what is theirs; a route with something to cache says so itself.
    reply.header('Cache-Control', 'no-store');
    done();
  });
  server.addHook('onRequest', (request, reply) => rateLimiter.count(request, reply));
  // After the count, so that what cannot be read is limited like everything else.
  server.addHook('onRequest', (request, _reply, done) => done(unreadablePart(request.raw)));
}

/** Percent-encoding that is not UTF-8 would reach a search as text that nobody typed. */
function unreadablePart(request: IncomingMessage): MalformedRequestError | undefined {
  if (hasMalformedPath(request)) return new MalformedRequestError('The path is not valid');
  const { url = '' } = request;
  const query = url.indexOf('?');
  return query < 0 || isPercentEncodedUtf8(url.slice(query))
    ? undefined
    : new MalformedRequestError('The query string is not valid');
}
