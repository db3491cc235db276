import { Injectable } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import { AuditEvent } from '../../common/events/audit-event.js';
import { DomainEvents } from '../../common/events/domain-events.js';
import type { QueuedMail } from '../../mail/mail-queue.service.js';
import type { AccountState } from './account-state.js';
import { originOf } from './mail-origin.js';
import { type NewToken, newToken } from './one-time-token.js';
import { OneTimeTokensRepository, type TokenPurpose } from './one-time-tokens.repository.js';

/** However often one is asked for, an address gets no more mails. The last of an hour is good until the next may come. */
const MAILS_A_MINUTE = 1;
const MAILS_AN_HOUR = 5;

/** Issues the tokens that mails carry, when a mail is about to leave: see `MailQueueService.compose()`. */
@Injectable()
export class OneTimeTokensService {
  constructor(
    private readonly tokens: OneTimeTokensRepository,
    private readonly events: DomainEvents,
  ) {}

  /** `null` when there is nothing to send: no such account, nothing to prove, or enough mails. */
  issue(purpose: TokenPurpose, mail: QueuedMail): Promise<{ account: AccountState; token: NewToken } | null> {
    return this.tokens.transaction(async (tokens, tx) => {
      const account = await tokens.lockAccount(mail.email, mail.userId);
      if (!account?.isActive || (purpose === 'verify_email' && account.isVerified)) return null;
      const recent = await tokens.countRecent({ purpose, account, mailId: mail.id });
      if (recent.minute >= MAILS_A_MINUTE || recent.hour >= MAILS_AN_HOUR) return null;
      const token = newToken();
      const isFirst = await tokens.insert({ hash: token.hash, purpose, account, mailId: mail.id });
      if (isFirst && purpose === 'reset_password') await this.noteRequest(tx, account, mail);
      return { account, token };
    });
  }

  /** Here and not when it was asked for: the answer must take the same time for an address that is nobody's. */
  private noteRequest(tx: EntityManager, { id }: AccountState, { data }: QueuedMail): Promise<void> {
    return this.events.record(
      tx,
      new AuditEvent('password.reset_requested', {
        actorId: null,
        origin: originOf(data),
        targetType: 'user',
        targetId: id,
      }),
    );
  }
}
