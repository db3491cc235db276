import type { FastifyRequest } from 'fastify';
import type { Principal } from '../auth/principal.js';
import type { AccessClaims } from '../auth/access-claims.js';

export type RateLimitGroup = 'credentials' | 'anonymous' | 'uploads' | 'admin' | 'none';

/** What a route tells the server around it; set by `@RateLimit()` and `@Body…()` decorators. */
export interface RouteSettings {
  rateLimit?: RateLimitGroup;
  /** Bytes; replaces the server's own limit. */
  bodyLimit?: number;
  /** The route also takes `application/x-www-form-urlencoded`. */
  acceptsForm?: boolean;
  /** The media type of a body that the route reads itself, while it comes; any other is refused. */
  streamedBody?: string;
  /** What a 429 of this route says. */
  rateLimitMessage?: string;
  /** A stream ticket in the query (`ticket`) says who the caller is, when no header does. */
  acceptsTicket?: boolean;
}

declare module 'fastify' {
  // eslint-disable-next-line @typescript-eslint/no-empty-object-type -- this is how Fastify's types are extended
  interface FastifyContextConfig extends RouteSettings {}
}

export interface GatehouseRequest extends FastifyRequest {
  principal?: Principal;
  /** The verified claims of the bearer token or ticket, `null` when there is none or it is bad; read once a request. */
  accessClaims?: AccessClaims | null;
}
