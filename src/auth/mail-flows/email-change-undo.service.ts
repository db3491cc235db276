import { Injectable } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import { AuditEvent } from '../../common/events/audit-event.js';
import { DomainEvents } from '../../common/events/domain-events.js';
import type { ClientInfo } from '../../common/http/client-info.js';
import { MailQueueService } from '../../mail/mail-queue.service.js';
import { RecoveryService } from '../../users/recovery.service.js';
import { UserUpdatedEvent } from '../../users/users.events.js';
import { AccessReclaimService } from './access-reclaim.service.js';
import { CHANGE_UNDONE_MAIL } from './account-notices.service.js';
import type { AccountState } from './account-state.js';
import { type EmailChange, EmailChangesRepository } from './email-changes.repository.js';
import { InvalidUndoTokenError } from './mail-flows.errors.js';
import { originData } from './mail-origin.js';
import { hashOf } from './one-time-token.js';
import { RESET_MAIL } from './password-reset-mails.service.js';

/** What is to be done about a change, found out under the account's lock. */
interface Undoing {
  readonly change: EmailChange;
  readonly account: AccountState;
  readonly isElsewhere: boolean;
  readonly voidsPassword: boolean;
}

@Injectable()
export class EmailChangeUndoService {
  constructor(
    private readonly changes: EmailChangesRepository,
    private readonly recovery: RecoveryService,
    private readonly access: AccessReclaimService,
    private readonly mails: MailQueueService,
    private readonly events: DomainEvents,
  ) {}

  /**
   * Gives the account back to the address that it had. Whatever opened it is void, and so are changes that came later.
   * @returns whether a new password has to be set
   * @throws InvalidUndoTokenError, EmailTakenError
   */
  async undo(token: string, client: ClientInfo): Promise<{ needsPassword: boolean }> {
    const { updated, needsPassword } = await this.changes.transaction(async (changes, tx) => {
      const taken = await changes.take(hashOf(token));
      if (!taken) throw new InvalidUndoTokenError();
      const { change, account } = taken;
      await changes.voidLaterThan(account.id, change.id);
      await changes.prolongUpTo(account.id, change.id);
      const undoing: Undoing = {
        ...taken,
        isElsewhere: account.email.toLowerCase() !== change.previousEmail.toLowerCase(),
        voidsPassword: !account.passwordDigest.equals(change.passwordDigest),
      };
      return { updated: await this.giveBack(tx, undoing, client), needsPassword: undoing.voidsPassword };
    });
    this.events.emit(updated);
    return { needsPassword };
  }

  private async giveBack(tx: EntityManager, undoing: Undoing, client: ClientInfo): Promise<UserUpdatedEvent> {
    const { change, account, isElsewhere, voidsPassword } = undoing;
    const restored = await this.recovery.restoreEmail(tx, account.id, {
      email: change.previousEmail,
      isVerified: change.wasVerified || (!isElsewhere && account.isVerified),
      voidsPassword,
    });
    await this.access.endSessionsAndKeys(tx, account.id);
    if (!change.hadSecondFactor) await this.access.removeSecondFactor(tx, account.id, client);
    await this.tell(tx, undoing, client);
    const updated = new UserUpdatedEvent(restored);
    await this.events.record(tx, updated);
    const target = { targetType: 'user', targetId: account.id } as const;
    const details = { password_voided: voidsPassword };
    await this.events.record(
      tx,
      new AuditEvent('email.change_undone', { actorId: null, origin: client, ...target, details }),
    );
    return updated;
  }

  /** The address that loses the account, without a link: two mailboxes must not take it from each other for ever. */
  private async tell(tx: EntityManager, { change, account, isElsewhere, voidsPassword }: Undoing, client: ClientInfo) {
    const userId = account.id;
    if (isElsewhere) await this.mails.queue(tx, { kind: CHANGE_UNDONE_MAIL, email: account.email, userId });
    if (!voidsPassword) return;
    const email = change.previousEmail;
    await this.mails.queue(tx, {
      kind: RESET_MAIL,
      email,
      userId,
      data: { ...originData(client), is_password_void: true },
    });
  }
}
