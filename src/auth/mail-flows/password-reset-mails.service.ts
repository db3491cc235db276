import { Injectable } from '@nestjs/common';
import type { ClientInfo } from '../../common/http/client-info.js';
import { AppConfig } from '../../config/app-config.js';
import { MailQueueService, type QueuedMail } from '../../mail/mail-queue.service.js';
import { resetMail, voidPasswordMail } from './account-mails.js';
import { describeOrigin, originData, originOf } from './mail-origin.js';
import { linkTo } from './one-time-token.js';
import { OneTimeTokensService } from './one-time-tokens.service.js';

export const RESET_MAIL = 'reset_password';

/** The way to a new password: a mail that is asked for. */
@Injectable()
export class PasswordResetMailsService {
  constructor(
    private readonly mails: MailQueueService,
    private readonly tokens: OneTimeTokensService,
    private readonly config: AppConfig,
  ) {
    mails.compose(RESET_MAIL, (mail) => this.compose(mail));
  }

  /** One statement, and the same one, whether or not the address is anybody's: that is found out when nobody waits any more. */
  request(email: string, client: ClientInfo): Promise<void> {
    return this.mails.queueNow({ kind: RESET_MAIL, email, data: originData(client) });
  }

  /** To the address as the account has it: what was typed may only look like it, and be another's mailbox. */
  private async compose(mail: QueuedMail) {
    const issued = await this.tokens.issue('reset_password', mail);
    if (!issued) return null;
    const { productName, resetUrl } = this.config.mail;
    const url = linkTo(resetUrl, issued.token);
    return mail.data.is_password_void === true
      ? voidPasswordMail(productName, issued.account.email, url)
      : resetMail(productName, issued.account.email, url, describeOrigin(mail.createdAt, originOf(mail.data)));
  }
}
