import { Injectable } from '@nestjs/common';
import { AuditEvent } from '../../common/events/audit-event.js';
import { DomainEvents } from '../../common/events/domain-events.js';
import type { ClientInfo } from '../../common/http/client-info.js';
import { AppConfig } from '../../config/app-config.js';
import { MailQueueService, type QueuedMail } from '../../mail/mail-queue.service.js';
import { RecoveryService } from '../../users/recovery.service.js';
import { EmailChangedEvent, UserRegisteredEvent, UserUpdatedEvent } from '../../users/users.events.js';
import { verificationMail } from './account-mails.js';
import { InvalidOneTimeTokenError } from './mail-flows.errors.js';
import { hashOf, linkTo } from './one-time-token.js';
import { OneTimeTokensRepository } from './one-time-tokens.repository.js';
import { OneTimeTokensService } from './one-time-tokens.service.js';

const VERIFICATION_MAIL = 'verify_email';

/** That an address is its account's is proved by a link that was mailed there. */
@Injectable()
export class EmailVerificationService {
  constructor(
    private readonly mails: MailQueueService,
    private readonly issuer: OneTimeTokensService,
    private readonly tokens: OneTimeTokensRepository,
    private readonly recovery: RecoveryService,
    private readonly events: DomainEvents,
    private readonly config: AppConfig,
  ) {
    mails.compose(VERIFICATION_MAIL, (mail) => this.compose(mail));
    for (const type of [UserRegisteredEvent, EmailChangedEvent]) {
      events.during<UserRegisteredEvent | EmailChangedEvent>(
        type,
        async ({ account: { id, email, isVerified } }, tx) => {
          if (!isVerified) await mails.queue(tx, { kind: VERIFICATION_MAIL, email, userId: id });
        },
      );
    }
  }

  /** The same statement whether or not the address is anybody's, and is proved already. */
  resend(email: string): Promise<void> {
    return this.mails.queueNow({ kind: VERIFICATION_MAIL, email });
  }

  /** @throws InvalidOneTimeTokenError */
  async verify(token: string, client: ClientInfo): Promise<void> {
    const event = await this.tokens.transaction(async (tokens, tx) => {
      const owner = await tokens.take(hashOf(token), 'verify_email');
      if (!owner) throw new InvalidOneTimeTokenError();
      await tokens.deleteAllFor(owner.id, 'verify_email');
      const updated = new UserUpdatedEvent(await this.recovery.confirmEmail(tx, owner.id));
      await this.events.record(tx, updated);
      const target = { targetType: 'user', targetId: owner.id } as const;
      await this.events.record(tx, new AuditEvent('email.verified', { actorId: null, origin: client, ...target }));
      return updated;
    });
    this.events.emit(event);
  }

  private async compose(mail: QueuedMail) {
    const issued = await this.issuer.issue('verify_email', mail);
    if (!issued) return null;
    const { productName, verifyUrl } = this.config.mail;
    return verificationMail(productName, issued.account.email, linkTo(verifyUrl, issued.token));
  }
}
