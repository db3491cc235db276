import { Injectable } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import { DomainEvents } from '../../common/events/domain-events.js';
import { AppConfig } from '../../config/app-config.js';
import { MailQueueService, type QueuedMail } from '../../mail/mail-queue.service.js';
import { EmailChangedEvent } from '../../users/users.events.js';
import { emailChangedMail } from './account-mails.js';
import { EmailChangesRepository } from './email-changes.repository.js';
import { TooManyEmailChangesError } from './mail-flows.errors.js';
import { describeOrigin, originData, originOf } from './mail-origin.js';
import { linkTo, newToken } from './one-time-token.js';
import { OneTimeTokensRepository } from './one-time-tokens.repository.js';

const CHANGED_MAIL = 'email_changed';
const CHANGES_A_DAY = 10;

/** The address that an account leaves is told, and can take the account back. */
@Injectable()
export class EmailChangesService {
  constructor(
    private readonly changes: EmailChangesRepository,
    private readonly tokens: OneTimeTokensRepository,
    private readonly mails: MailQueueService,
    private readonly config: AppConfig,
    events: DomainEvents,
  ) {
    mails.compose(CHANGED_MAIL, (mail) => this.compose(mail));
    events.during(EmailChangedEvent, (event, tx) => this.note(event, tx));
  }

  private async note(event: EmailChangedEvent, tx: EntityManager): Promise<void> {
    const { account, previous, origin } = event;
    await this.tokens.within(tx).voidAllOf(account.id);
    const id = await this.insert(event, this.changes.within(tx));
    const data = { ...originData(origin), change_id: id };
    await this.mails.queue(tx, { kind: CHANGED_MAIL, email: previous.email, userId: account.id, data });
  }

  /**
   * Who comes back to an address has undone what was changed since, as it were: the addresses in between get no say any more, or a thief
   * could come and go, and take the account later. The link of the first change stays good.
   */
  private async insert(event: EmailChangedEvent, changes: EmailChangesRepository): Promise<string> {
    const { id, email } = event.account;
    const { count, secondsLeft } = await changes.countRecent(id);
    if (count >= CHANGES_A_DAY) throw new TooManyEmailChangesError(secondsLeft);
    const departure = await changes.findDeparture(id, email);
    if (departure !== null) await changes.voidLaterThan(id, departure);
    const changeId = await changes.insert(event, departure === null);
    if (departure === null) await changes.prolongUpTo(id, changeId);
    return changeId;
  }

  private async compose({ createdAt, data }: QueuedMail) {
    const { productName, undoUrl } = this.config.mail;
    const token = newToken();
    const canBeUndone = await this.changes.transaction((changes) =>
      changes.setToken(String(data.change_id), token.hash),
    );
    const origin = describeOrigin(createdAt, originOf(data));
    return emailChangedMail(productName, canBeUndone ? linkTo(undoUrl, token) : null, origin);
  }
}
