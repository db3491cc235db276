import { Injectable } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import { type Principal, sessionOf } from '../../common/auth/principal.js';
import { AuditEvent } from '../../common/events/audit-event.js';
import { CallerActsEvent } from '../../common/events/caller-acts.js';
import { DomainEvents } from '../../common/events/domain-events.js';
import { AppConfig } from '../../config/app-config.js';
import { CredentialsService } from '../../users/credentials.service.js';
import { UsersService } from '../../users/users.service.js';
import { SessionsService } from '../sessions/sessions.service.js';
import { OwnSecondFactorError, SecondFactorEnabledError, SecondFactorMissingError } from './mfa.errors.js';
import type { Proof } from './proof.js';
import { type FactorSetup, SecondFactorsService } from './second-factors.service.js';

export interface FactorStatus {
  readonly isEnabled: boolean;
  /** Whether the settings ask the account for one. */
  readonly isRequired: boolean;
  readonly recoveryCodesLeft: number;
}

/** What people do to second factors: their own, by password and code, and as admins those of others. */
@Injectable()
export class MfaService {
  constructor(
    private readonly factors: SecondFactorsService,
    private readonly credentials: CredentialsService,
    private readonly users: UsersService,
    private readonly sessions: SessionsService,
    private readonly events: DomainEvents,
    private readonly config: AppConfig,
  ) {}

  async statusOf({ account }: Principal): Promise<FactorStatus> {
    return {
      isEnabled: account.hasSecondFactor,
      isRequired: this.config.secondFactor.isRequiredForAdmins && account.role === 'admin',
      recoveryCodesLeft: await this.factors.countRecoveryCodes(account.id),
    };
  }

  /** @throws WrongPasswordError, SecondFactorEnabledError, AccountLockedError */
  async setUp({ account }: Principal, password: string): Promise<FactorSetup> {
    if (account.hasSecondFactor) throw new SecondFactorEnabledError();
    await this.credentials.confirmPassword(account, password);
    return this.factors.begin(account);
  }

  /** Answers with the recovery codes. The caller's session goes on; all others end, as they knew no second factor. */
  confirm(caller: Principal, proof: Proof): Promise<string[]> {
    return this.sessions.transaction(async (tx) => {
      const codes = await this.factors.confirm(tx, caller.id, proof, caller.client);
      await this.events.record(tx, new CallerActsEvent(caller));
      await this.sessions.endOthers(tx, caller.id, sessionOf(caller));
      await this.events.record(tx, AuditEvent.by(caller, 'mfa.enabled', 'user', caller.id));
      return codes;
    });
  }

  /** @throws WrongPasswordError, WrongCodeError, SecondFactorMissingError, AccountLockedError */
  renewRecoveryCodes(caller: Principal, password: string, proof: Proof): Promise<string[]> {
    return this.withBoth(caller, password, proof, async (tx) => {
      const codes = await this.factors.renewRecoveryCodes(tx, caller.id);
      await this.events.record(tx, AuditEvent.by(caller, 'mfa.recovery_codes_renewed', 'user', caller.id));
      return codes;
    });
  }

  /** @throws WrongPasswordError, WrongCodeError, SecondFactorMissingError, AccountLockedError */
  disable(caller: Principal, password: string, proof: Proof): Promise<void> {
    return this.withBoth(caller, password, proof, async (tx) => {
      await this.factors.removeFor(tx, caller.id, caller.client);
      await this.events.record(tx, AuditEvent.by(caller, 'mfa.disabled', 'user', caller.id));
    });
  }

  /**
   * For somebody who has lost the app and the recovery codes. Whoever is signed in to the account is signed out.
   * @throws OwnSecondFactorError, UserNotFoundError, SecondFactorMissingError
   */
  async removeOf(admin: Principal, userId: string): Promise<void> {
    sessionOf(admin);
    if (admin.id === userId) throw new OwnSecondFactorError();
    await this.users.get(userId);
    await this.sessions.transaction(async (tx) => {
      // Where the admin was is not the user's to know.
      const origin = { ...admin.client, ipAddress: null, userAgent: null };
      if (!(await this.factors.removeFor(tx, userId, origin))) throw new SecondFactorMissingError();
      await this.sessions.endAllOf(tx, userId);
      await this.events.record(tx, AuditEvent.by(admin, 'mfa.disabled', 'user', userId));
    });
  }

  private async withBoth<T>(
    caller: Principal,
    password: string,
    proof: Proof,
    work: (tx: EntityManager) => Promise<T>,
  ): Promise<T> {
    if (!caller.account.hasSecondFactor) throw new SecondFactorMissingError();
    await this.credentials.confirmPassword(caller.account, password);
    return this.sessions.transaction(async (tx) => {
      await this.factors.confirmOwner(tx, caller.id, proof);
      await this.events.record(tx, new CallerActsEvent(caller));
      const result = await work(tx);
      if (proof.kind === 'recovery_code')
        await this.events.record(tx, AuditEvent.by(caller, 'mfa.recovery_code_used', 'user', caller.id));
      return result;
    });
  }
}
