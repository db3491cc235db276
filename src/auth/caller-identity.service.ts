import { Injectable } from '@nestjs/common';
import type { AccessClaims } from '../common/auth/access-claims.js';
import type { Principal } from '../common/auth/principal.js';
import { type ClientInfo, clientOf } from '../common/http/client-info.js';
import type { GatehouseRequest } from '../common/http/request.js';
import { AccessService } from './access.service.js';
import { looksLikeApiKey } from './keys/api-key-text.js';
import { ApiKeysService } from './keys/api-keys.service.js';
import { AccessTokens, bearerToken } from './tokens/access-tokens.js';

export interface Identity {
  readonly claims: AccessClaims;
  readonly principal: Principal;
}

/** Whose limits a request counts against. */
export interface Payer {
  /** The user's own, or that of an API key. */
  readonly bucket: string;
  readonly userId: string;
}

/** Who somebody is who shows an access token or an API key: in a request, or in a socket's handshake. */
@Injectable()
export class CallerIdentityService {
  constructor(
    private readonly tokens: AccessTokens,
    private readonly keys: ApiKeysService,
    private readonly access: AccessService,
  ) {}

  /** Leaves the claims with the request. */
  async ofRequest(request: GatehouseRequest): Promise<Principal | null> {
    const key = apiKeyOf(request);
    if (key === null) return this.ofClaims(this.tokens.claimsOf(request), clientOf(request));
    const holder = await this.keys.authenticate(key, clientOf(request));
    request.accessClaims = holder?.claims ?? null;
    return holder && holder.principal;
  }

  /** @param credential an access token or an API key */
  async of(credential: string, client: ClientInfo): Promise<Identity | null> {
    if (looksLikeApiKey(credential)) return this.keys.authenticate(credential, client);
    const claims = this.tokens.verify(credential);
    const principal = await this.ofClaims(claims, client);
    return claims && principal && { claims, principal };
  }

  /** Of claims that were verified before: asks whether what they rest on is still there. */
  async ofClaims(claims: AccessClaims | null, client: ClientInfo): Promise<Principal | null> {
    return claims && this.access.principalOf(claims, client);
  }

  /** Whose limits a request counts against, without asking the database: what its credentials prove by themselves, or have proved before. */
  countedFor(request: GatehouseRequest): Payer | null {
    const key = apiKeyOf(request);
    if (key === null) {
      const claims = this.tokens.claimsOf(request);
      return claims && { bucket: claims.sub, userId: claims.sub };
    }
    const known = this.keys.recognise(key);
    return known && { bucket: `api-key:${known.id}`, userId: known.ownerId };
  }
}

/** A key may come as the bearer value as well; a token there comes before the other header. */
function apiKeyOf(request: GatehouseRequest): string | null {
  const bearer = bearerToken(request);
  if (bearer !== null) return looksLikeApiKey(bearer) ? bearer : null;
  const header = request.headers['x-api-key'];
  return typeof header === 'string' ? header : null;
}
