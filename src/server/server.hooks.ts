import type { FastifyInstance } from 'fastify';
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
    done(isReadable(request.raw.url ?? '') ? undefined : new MalformedRequestError('The query string is not valid'));
  });
  server.addHook('onRequest', (request, reply) => rateLimiter.count(request, reply));
}

/** Percent-encoding that is not UTF-8 would reach a search as text that nobody typed. */
function isReadable(url: string): boolean {
  const query = url.indexOf('?');
  if (query < 0 || !url.includes('%', query)) return true;
  try {
    decodeURIComponent(url.slice(query));
    return true;
  } catch {
    return false;
  }
}
