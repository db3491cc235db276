import { Injectable } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import type { Account } from '../../common/auth/principal.js';
import { DomainEvents } from '../../common/events/domain-events.js';
import type { Origin } from '../../common/http/client-info.js';
import { CredentialsService } from '../../users/credentials.service.js';
import { SecondFactorEnabledError, SecondFactorMissingError, SetupMissingError, WrongCodeError } from './mfa.errors.js';
import { SecondFactorChangedEvent } from './mfa.events.js';
import type { Proof } from './proof.js';
import { RecoveryCodes } from './recovery-codes.js';
import { SecondFactorsRepository } from './second-factors.repository.js';
import { Totp } from './totp.js';

/** What somebody enters into the authenticator app, or lets it read as a QR code. */
export interface FactorSetup {
  readonly secret: string;
  readonly uri: string;
}

/** An account's authenticator app and recovery codes. Who may do what to them is for `MfaService` and the login to say. */
@Injectable()
export class SecondFactorsService {
  constructor(
    private readonly factors: SecondFactorsRepository,
    private readonly totp: Totp,
    private readonly recoveryCodes: RecoveryCodes,
    private readonly credentials: CredentialsService,
    private readonly events: DomainEvents,
  ) {}

  /** It counts for nothing until it is confirmed; beginning again replaces it. @throws SecondFactorEnabledError */
  async begin(account: Pick<Account, 'id' | 'email'>): Promise<FactorSetup> {
    const { secret, uri, sealed } = this.totp.create(account);
    if (!(await this.factors.begin(account.id, sealed))) throw new SecondFactorEnabledError();
    return { secret, uri };
  }

  /**
   * A code shows that the app has the secret. Answers with the recovery codes.
   * @throws SetupMissingError, SecondFactorEnabledError, WrongCodeError, AccountLockedError
   */
  async confirm(tx: EntityManager, userId: string, { code }: Proof, origin: Origin): Promise<string[]> {
    const factors = this.factors.within(tx);
    const owner = await factors.lockOwner(userId);
    const factor = await factors.find(userId);
    if (!factor) throw new SetupMissingError();
    if (factor.isConfirmed) throw new SecondFactorEnabledError();
    const step = this.totp.stepOf(code, factor.secret, userId, factor.now);
    if (!(await this.credentials.guard(userId, async () => step !== null)) || step === null) throw new WrongCodeError();
    await factors.confirm(userId, step);
    const codes = await this.renewRecoveryCodes(tx, userId);
    if (owner) await this.events.record(tx, new SecondFactorChangedEvent(owner, true, origin));
    return codes;
  }

  /** Whether the proof is good. If it is it is used up, together with what the transaction is for. @throws AccountLockedError */
  take(tx: EntityManager, userId: string, proof: Proof): Promise<boolean> {
    const factors = this.factors.within(tx);
    return this.credentials.guard(userId, () =>
      proof.kind === 'totp'
        ? this.takeTotp(factors, userId, proof.code)
        : this.takeRecoveryCode(factors, userId, proof.code),
    );
  }

  /** The same for somebody who is signed in. @throws SecondFactorMissingError, WrongCodeError, AccountLockedError */
  async confirmOwner(tx: EntityManager, userId: string, proof: Proof): Promise<void> {
    const factors = this.factors.within(tx);
    await factors.lockOwner(userId);
    if (!(await factors.find(userId))?.isConfirmed) throw new SecondFactorMissingError();
    if (!(await this.take(tx, userId, proof))) throw new WrongCodeError();
  }

  /** Those from before are void. */
  async renewRecoveryCodes(tx: EntityManager, userId: string): Promise<string[]> {
    const codes = this.recoveryCodes.createSet();
    const hashes = codes.flatMap((code) => this.recoveryCodes.hashOf(userId, code) ?? []);
    await this.factors.within(tx).replaceCodes(userId, hashes);
    return codes;
  }

  countRecoveryCodes(userId: string): Promise<number> {
    return this.factors.countCodes(userId);
  }

  /**
   * Whatever the user has set up or begun to; nobody's word is asked. Whether there was a second factor that signing in asked for. The
   * sessions and the entry in the audit log are the caller's to see to.
   * @param origin what the owner may be told of it
   */
  async removeFor(tx: EntityManager, userId: string, origin: Origin): Promise<boolean> {
    const factors = this.factors.within(tx);
    const owner = await factors.lockOwner(userId);
    if (!(await factors.remove(userId))) return false;
    if (owner) await this.events.record(tx, new SecondFactorChangedEvent(owner, false, origin));
    return true;
  }

  private async takeTotp(factors: SecondFactorsRepository, userId: string, code: string): Promise<boolean> {
    const factor = await factors.find(userId);
    const step = factor?.isConfirmed ? this.totp.stepOf(code, factor.secret, userId, factor.now) : null;
    return step !== null && factors.takeStep(userId, step);
  }

  private async takeRecoveryCode(factors: SecondFactorsRepository, userId: string, code: string): Promise<boolean> {
    const hash = this.recoveryCodes.hashOf(userId, code);
    return hash !== null && factors.takeCode(userId, hash);
  }
}
