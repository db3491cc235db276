import { randomUUID } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { JwtService } from '@nestjs/jwt';
import { LRUCache } from 'lru-cache';
import type { AccessClaims } from '../../common/auth/access-claims.js';
import type { Role } from '../../common/auth/role.js';
import type { GatehouseRequest } from '../../common/http/request.js';
import { AppConfig } from '../../config/app-config.js';

/** What every access token must say, whoever checks it: the guard, a socket's handshake, the Passport strategy. */
export const ACCESS_TOKEN_RULES = { algorithm: 'HS256', issuer: 'gatehouse', audience: 'gatehouse-api' } as const;

/** What a stream ticket says instead. The key is the same, the audience is not: neither is taken for the other. */
const STREAM_TICKET_RULES = { audience: 'gatehouse-stream', ttlSeconds: 60 } as const;

const ID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
/** Tokens whose signature was checked before; about 10 MB when full. */
const VERIFIED_MAX = 10_000;
/** Ours are about 400 characters; nothing longer is worth a hash. */
const TOKEN_LENGTH_MAX = 2_048;

/** Access tokens: JWT (RFC 7519) signed with HS256, the algorithm pinned and the key a `KeyObject`. */
@Injectable()
export class AccessTokens {
  /** Skips the HMAC for a token seen before, never its expiry and never the session's check. */
  private readonly verified = new LRUCache<string, AccessClaims>({ max: VERIFIED_MAX });

  constructor(
    private readonly jwt: JwtService,
    private readonly config: AppConfig,
  ) {}

  get ttlSeconds(): number {
    return this.config.tokens.accessTtlSeconds;
  }

  get ticketTtlSeconds(): number {
    return STREAM_TICKET_RULES.ttlSeconds;
  }

  issue(user: { id: string; role: Role }, sessionId: string): string {
    return this.jwt.sign({ sid: sessionId, role: user.role }, { subject: user.id, jwtid: randomUUID() });
  }

  /** `null` for whatever is not a token of ours that is valid now; why is nobody's business. */
  verify(token: string): AccessClaims | null {
    if (token.length > TOKEN_LENGTH_MAX) return null;
    const known = this.verified.get(token);
    if (known) return known.exp * 1000 > Date.now() ? known : null;
    const claims = this.read(token, ACCESS_TOKEN_RULES.audience);
    if (claims) this.verified.set(token, claims);
    return claims;
  }

  /** For a URL, which logs and histories keep and where a token must never be: it opens event streams, for a minute. */
  issueTicket(user: { id: string; role: Role }, sessionId: string): string {
    const { audience, ttlSeconds: expiresIn } = STREAM_TICKET_RULES;
    return this.jwt.sign({ sid: sessionId, role: user.role }, { subject: user.id, audience, expiresIn });
  }

  /** `exp` is not the ticket's own: what it opens may last as long as by an access token issued now. */
  verifyTicket(ticket: string): AccessClaims | null {
    if (ticket.length > TOKEN_LENGTH_MAX) return null;
    const claims = this.read(ticket, STREAM_TICKET_RULES.audience);
    return claims && { ...claims, exp: Math.floor(Date.now() / 1000) + this.ttlSeconds };
  }

  /** The claims of a request's bearer token, or of its ticket on a route that takes one; worked out once. */
  claimsOf(request: GatehouseRequest): AccessClaims | null {
    if (request.accessClaims === undefined) {
      const token = bearerToken(request);
      const ticket = ticketOf(request);
      request.accessClaims = token ? this.verify(token) : ticket === null ? null : this.verifyTicket(ticket);
    }
    return request.accessClaims;
  }

  private read(token: string, audience: string): AccessClaims | null {
    try {
      const claims: unknown = this.jwt.verify(token, { audience });
      return isAccessClaims(claims) ? claims : null;
    } catch {
      return null;
    }
  }
}

/** RFC 6750, section 2.1. */
export function bearerToken(request: GatehouseRequest): string | null {
  const header = request.headers.authorization;
  if (header === undefined || header.slice(0, 7).toLowerCase() !== 'bearer ') return null;
  return header.slice(7).trim() || null;
}

/** A header, good or bad, comes first. */
function ticketOf(request: GatehouseRequest): string | null {
  if (!request.routeOptions.config.acceptsTicket || request.headers.authorization !== undefined) return null;
  const { ticket } = request.query as { ticket?: unknown };
  return typeof ticket === 'string' ? ticket : null;
}

/** Whether the request tries to say who it is, however badly. */
export const hasCredentials = (request: GatehouseRequest): boolean =>
  bearerToken(request) !== null || request.headers['x-api-key'] !== undefined || ticketOf(request) !== null;

function isAccessClaims(claims: unknown): claims is AccessClaims {
  const { sub, sid, exp } = (claims ?? {}) as Record<string, unknown>;
  return typeof sub === 'string' && ID.test(sub) && typeof sid === 'string' && ID.test(sid) && typeof exp === 'number';
}
