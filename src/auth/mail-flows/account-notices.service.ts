import { Injectable } from '@nestjs/common';
import { DomainEvents } from '../../common/events/domain-events.js';
import { AppConfig } from '../../config/app-config.js';
import { MailQueueService } from '../../mail/mail-queue.service.js';
import { PasswordChangedEvent } from '../../users/users.events.js';
import { SecondFactorChangedEvent } from '../mfa/mfa.events.js';
import { changeUndoneMail, passwordChangedMail, secondFactorMail } from './account-mails.js';
import { describeOrigin, describeTime, originData, originOf } from './mail-origin.js';
import { OneTimeTokensRepository } from './one-time-tokens.repository.js';

const PASSWORD_CHANGED_MAIL = 'password_changed';
const FACTOR_ENABLED_MAIL = 'mfa_enabled';
const FACTOR_DISABLED_MAIL = 'mfa_disabled';
export const CHANGE_UNDONE_MAIL = 'email_change_undone';

/** Mails that ask for nothing: what has been done to an account, in case that it was not its owner. */
@Injectable()
export class AccountNoticesService {
  constructor(events: DomainEvents, mails: MailQueueService, tokens: OneTimeTokensRepository, { mail }: AppConfig) {
    events.during(PasswordChangedEvent, async ({ account, origin }, tx) => {
      await tokens.within(tx).voidAllOf(account.id);
      const { id: userId, email } = account;
      await mails.queue(tx, { kind: PASSWORD_CHANGED_MAIL, email, userId, data: originData(origin) });
    });
    mails.compose(PASSWORD_CHANGED_MAIL, async ({ createdAt, data }) =>
      passwordChangedMail(mail.productName, mail.resetUrl, describeOrigin(createdAt, originOf(data))),
    );
    events.during(SecondFactorChangedEvent, async ({ account: { id: userId, email }, isEnabled, origin }, tx) => {
      const kind = isEnabled ? FACTOR_ENABLED_MAIL : FACTOR_DISABLED_MAIL;
      await mails.queue(tx, { kind, email, userId, data: originData(origin) });
    });
    for (const kind of [FACTOR_ENABLED_MAIL, FACTOR_DISABLED_MAIL])
      mails.compose(kind, async ({ createdAt, data }) => {
        const origin = describeOrigin(createdAt, originOf(data));
        return secondFactorMail(mail.productName, kind === FACTOR_ENABLED_MAIL, mail.resetUrl, origin);
      });
    mails.compose(CHANGE_UNDONE_MAIL, async ({ createdAt }) =>
      changeUndoneMail(mail.productName, describeTime(createdAt)),
    );
  }
}
