import { Injectable } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import type { ClientInfo } from '../../common/http/client-info.js';
import { CredentialsService, type VerifiedCredentials } from '../../users/credentials.service.js';
import { AccountLockedError } from '../../users/users.errors.js';
import { LoginFailedError } from '../auth.errors.js';
import { LoginService, type SignedIn } from '../login.service.js';
import { type LoginToken, LoginTokens } from './login-tokens.js';
import { InvalidLoginTokenError, LoginCodeRefusedError } from './mfa.errors.js';
import type { Proof } from './proof.js';
import { SecondFactorsService } from './second-factors.service.js';

/** The end of a login that was asked for a code. */
@Injectable()
export class SecondStepService {
  constructor(
    private readonly tokens: LoginTokens,
    private readonly credentials: CredentialsService,
    private readonly factors: SecondFactorsService,
    private readonly logins: LoginService,
  ) {}

  /** @throws InvalidLoginTokenError, LoginCodeRefusedError, AccountDisabledError, AccountLockedError */
  async verify(loginToken: string, proof: Proof, client: ClientInfo): Promise<SignedIn> {
    const token = this.tokens.read(loginToken);
    const verified = token && (await this.findPending(token));
    if (!verified) throw new InvalidLoginTokenError();
    const { id } = verified.account;
    await this.logins.refuseDisabled(verified.account, client);
    const take = (tx: EntityManager) => this.take(tx, token, proof);
    try {
      return await this.logins.signIn(verified, client, { kind: proof.kind, take });
    } catch (error) {
      if (error instanceof LoginCodeRefusedError) await this.logins.recordFailure(id, 'wrong_code', client);
      if (error instanceof AccountLockedError) await this.logins.recordFailure(id, 'locked', client);
      // Disabled, another password, or no second factor any more: between the lines above.
      throw error instanceof LoginFailedError ? new InvalidLoginTokenError() : error;
    }
  }

  private async findPending(token: LoginToken): Promise<VerifiedCredentials | null> {
    const verified = await this.credentials.findVerified(token.userId);
    const isPending = verified?.account.hasSecondFactor && this.tokens.isOf(token, verified.passwordHash);
    return isPending ? verified : null;
  }

  /** A wrong code takes back what is done here: the token is good for another try. */
  private async take(tx: EntityManager, token: LoginToken, proof: Proof): Promise<void> {
    if (!(await this.tokens.spend(tx, token))) throw new InvalidLoginTokenError();
    if (!(await this.factors.take(tx, token.userId, proof))) throw new LoginCodeRefusedError();
  }
}
