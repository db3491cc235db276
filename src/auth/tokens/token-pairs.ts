import { Injectable } from '@nestjs/common';
import type { Account } from '../../common/auth/principal.js';
import { AccessService } from '../access.service.js';
import { AccessTokens } from './access-tokens.js';
import { type RefreshTicket, RefreshTokens } from './refresh-tokens.js';

export interface TokenPair {
  readonly accessToken: string;
  readonly refreshToken: string;
  readonly expiresInSeconds: number;
}

/** What somebody holds who is signed in. */
@Injectable()
export class TokenPairs {
  constructor(
    private readonly accessTokens: AccessTokens,
    private readonly refreshTokens: RefreshTokens,
    private readonly access: AccessService,
  ) {}

  /** The role is what the holder acts as now, for services that read the token and ask nobody. */
  issue(account: Account, ticket: RefreshTicket): TokenPair {
    const role = this.access.roleOf(account, null);
    return {
      accessToken: this.accessTokens.issue({ id: account.id, role }, ticket.sessionId),
      refreshToken: this.refreshTokens.issue(ticket),
      expiresInSeconds: this.accessTokens.ttlSeconds,
    };
  }
}
