import { Injectable } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import { PasswordsDifferError } from '../../common/errors/rule-error.js';
import { AuditEvent } from '../../common/events/audit-event.js';
import { DomainEvents } from '../../common/events/domain-events.js';
import type { ClientInfo } from '../../common/http/client-info.js';
import { RecoveryService } from '../../users/recovery.service.js';
import { PasswordChangedEvent, UserUpdatedEvent } from '../../users/users.events.js';
import { AccessReclaimService } from './access-reclaim.service.js';
import type { AccountState } from './account-state.js';
import { EmailChangesRepository } from './email-changes.repository.js';
import { InvalidOneTimeTokenError } from './mail-flows.errors.js';
import { hashOf } from './one-time-token.js';
import { OneTimeTokensRepository } from './one-time-tokens.repository.js';

export interface PasswordReset {
  token: string;
  newPassword: string;
  /** Must equal the new password when it is given. */
  confirmPassword?: string;
}

@Injectable()
export class PasswordResetService {
  constructor(
    private readonly tokens: OneTimeTokensRepository,
    private readonly changes: EmailChangesRepository,
    private readonly recovery: RecoveryService,
    private readonly access: AccessReclaimService,
    private readonly events: DomainEvents,
  ) {}

  /** A password that is too weak leaves the token good. @throws InvalidOneTimeTokenError, WeakPasswordError, PasswordsDifferError */
  async reset({ token, newPassword, confirmPassword }: PasswordReset, client: ClientInfo): Promise<void> {
    if (confirmPassword !== undefined && confirmPassword !== newPassword) throw new PasswordsDifferError();
    const hash = hashOf(token);
    const holder = await this.tokens.findHolder(hash, 'reset_password');
    if (!holder) throw new InvalidOneTimeTokenError();
    const passwordHash = await this.recovery.prepareReset(holder, newPassword);
    const { account, updated } = await this.tokens.transaction(async (tokens, tx) => {
      const owner = await tokens.take(hash, 'reset_password');
      if (!owner) throw new InvalidOneTimeTokenError();
      return { account: owner, updated: await this.change(tx, owner, passwordHash, client) };
    });
    if (!account.hasSecondFactor) await this.recovery.liftLockoutHere(account.id);
    this.events.emit(updated);
  }

  private async change(tx: EntityManager, owner: AccountState, passwordHash: string, client: ClientInfo) {
    const { id } = owner;
    const account = await this.recovery.resetPassword(tx, id, passwordHash);
    await this.endAccess(tx, owner, client);
    // Codes of a second factor are guessed under the same count: whoever has only the mailbox must not get to begin anew.
    if (!owner.hasSecondFactor) await this.recovery.liftLockout(tx, id);
    const updated = new UserUpdatedEvent(account);
    await this.events.record(tx, new PasswordChangedEvent(account, client));
    await this.events.record(tx, updated);
    const target = { targetType: 'user', targetId: id } as const;
    await this.events.record(tx, new AuditEvent('password.reset', { actorId: null, origin: client, ...target }));
    return updated;
  }

  /**
   * Whoever signed up with an address that is now proved to be another's is left with nothing. An account whose address was proved before
   * keeps its keys, on which its programs rest. One that was ever proved keeps its second factor as well, which a mailbox is no substitute
   * for, least of all one that a thief has moved the account to. For admins somebody has answered.
   */
  private async endAccess(tx: EntityManager, owner: AccountState, client: ClientInfo): Promise<void> {
    if (owner.isVerified || owner.role === 'admin') return this.access.endSessions(tx, owner.id);
    await this.access.endSessionsAndKeys(tx, owner.id);
    if (owner.wasEverVerified) return;
    await this.access.removeSecondFactor(tx, owner.id, client);
    await this.changes.within(tx).voidAllOf(owner.id);
  }
}
