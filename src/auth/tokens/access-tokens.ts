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

  issue(user: { id: string; role: Role }, sessionId: string): string {
    return this.jwt.sign({ sid: sessionId, role: user.role }, { subject: user.id, jwtid: randomUUID() });
  }

  /** `null` for whatever is not a token of ours that is valid now; why is nobody's business. */
  verify(token: string): AccessClaims | null {
    if (token.length > TOKEN_LENGTH_MAX) return null;
    const known = this.verified.get(token);
    if (known) return known.exp * 1000 > Date.now() ? known : null;
    try {
      const claims: unknown = this.jwt.verify(token);
      if (!isAccessClaims(claims)) return null;
      this.verified.set(token, claims);
      return claims;
    } catch {
      return null;
    }
  }

  /** The claims of a request's bearer token, worked out once. */
  claimsOf(request: GatehouseRequest): AccessClaims | null {
    if (request.accessClaims === undefined) {
      const token = bearerToken(request);
      request.accessClaims = token ? this.verify(token) : null;
    }
    return request.accessClaims;
  }
}

/** RFC 6750, section 2.1. */
export function bearerToken(request: GatehouseRequest): string | null {
  const header = request.headers.authorization;
  if (header === undefined || header.slice(0, 7).toLowerCase() !== 'bearer ') return null;
  return header.slice(7).trim() || null;
}

/** Whether the request tries to say who it is, however badly. */
export const hasCredentials = (request: GatehouseRequest): boolean =>
  bearerToken(request) !== null || request.headers['x-api-key'] !== undefined;

function isAccessClaims(claims: unknown): claims is AccessClaims {
  const { sub, sid, exp } = (claims ?? {}) as Record<string, unknown>;
  return typeof sub === 'string' && ID.test(sub) && typeof sid === 'string' && ID.test(sid) && typeof exp === 'number';
}
