import { createHmac, randomUUID, timingSafeEqual } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { JwtService } from '@nestjs/jwt';
import type { EntityManager } from 'typeorm';
import { AppConfig } from '../../config/app-config.js';
import type { VerifiedCredentials } from '../../users/credentials.service.js';
import { SecondFactorsRepository } from './second-factors.repository.js';

const RULES = { algorithm: 'HS256', issuer: 'gatehouse', audience: 'gatehouse-mfa' } as const;
const TTL_SECONDS = 300;
/** Ours are about 400 characters; nothing longer is worth a hash. */
const TOKEN_LENGTH_MAX = 1_024;
const ID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

export interface LoginToken {
  readonly id: string;
  readonly userId: string;
  readonly expiresAt: Date;
  /** A digest of the hash that the password was compared with. */
  readonly passwordState: string;
}

/**
 * What a login answers that waits for a code: proof of the right password, for five minutes and one success. It has a key and an audience of
 * its own, so that no other token is taken for one, nor one for any other.
 */
@Injectable()
export class LoginTokens {
  readonly ttlSeconds = TTL_SECONDS;
  private readonly jwt: JwtService;

  constructor(
    private readonly config: AppConfig,
    private readonly factors: SecondFactorsRepository,
  ) {
    const { algorithm, issuer, audience } = RULES;
    this.jwt = new JwtService({
      secret: config.secondFactor.loginKey,
      signOptions: { algorithm, issuer, audience, expiresIn: TTL_SECONDS },
      verifyOptions: { algorithms: [algorithm], issuer, audience, maxAge: TTL_SECONDS },
    });
  }

  issue({ account, passwordHash }: VerifiedCredentials): string {
    return this.jwt.sign({ pwd: this.stateOf(passwordHash) }, { subject: account.id, jwtid: randomUUID() });
  }

  /** `null` for whatever is not such a token that is valid now; why is nobody's business. */
  read(text: string): LoginToken | null {
    if (text.length > TOKEN_LENGTH_MAX) return null;
    try {
      const { sub, jti, pwd, exp } = this.jwt.verify<Record<string, unknown>>(text);
      if (typeof sub !== 'string' || !ID.test(sub) || typeof jti !== 'string' || !ID.test(jti)) return null;
      if (typeof pwd !== 'string' || typeof exp !== 'number') return null;
      return { id: jti, userId: sub, expiresAt: new Date(exp * 1000), passwordState: pwd };
    } catch {
      return null;
    }
  }

  /** Whether the password is still the one that was right: a change of it ends the logins that were under way. */
  isOf(token: LoginToken, passwordHash: string): boolean {
    const [then, now] = [Buffer.from(token.passwordState), Buffer.from(this.stateOf(passwordHash))];
    return then.length === now.length && timingSafeEqual(then, now);
  }

  /** `false` when it has let somebody in before. */
  spend(tx: EntityManager, { id, expiresAt }: LoginToken): Promise<boolean> {
    return this.factors.within(tx).spendLoginToken(id, expiresAt);
  }

  private stateOf(passwordHash: string): string {
    return createHmac('sha256', this.config.secondFactor.loginKey)
      .update(`password ${passwordHash}`)
      .digest('base64url');
  }
}
