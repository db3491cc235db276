import { Module } from '@nestjs/common';
import { AppConfig } from '../config/app-config.js';
import { MailDelivery } from './mail-delivery.js';
import { MailQueueService } from './mail-queue.service.js';
import { MAILS_AT_ONCE, MailSender } from './mail-sender.js';
import { MailSweeper } from './mail-sweeper.js';
import { MailTransport } from './mail-transport.js';
import { MailsRepository } from './mails.repository.js';
import { OutboxTransport } from './outbox-transport.js';
import { SmtpTransport } from './smtp-transport.js';

@Module({
  providers: [
    MailsRepository,
    MailQueueService,
    {
      provide: MailTransport,
      inject: [AppConfig],
      useFactory: ({ mail, dataDir }: AppConfig): MailTransport =>
        mail.smtpUrl ? new SmtpTransport(mail, mail.smtpUrl, MAILS_AT_ONCE) : new OutboxTransport(mail, dataDir),
    },
    MailDelivery,
    MailSender,
    MailSweeper,
  ],
  exports: [MailQueueService, MailTransport],
})
export class MailModule {}
