import { Injectable } from '@nestjs/common';
import { Registry } from 'prom-client';
import { MailQueueService } from '../mail/mail-queue.service.js';
import { addGauge, addLabelledGauge, impatiently } from './gauge.js';

/** The mails of all nodes: any of them sends what is next. */
@Injectable()
export class MailMetrics {
  constructor(registry: Registry, queue: MailQueueService) {
    const counts = impatiently(() => queue.pendingCounts());
    const mails = {
      name: 'gatehouse_mails',
      help: 'Mails that wait to be sent, were given up, or may not have arrived',
      aggregator: 'max' as const,
    };
    addLabelledGauge(registry, { ...mails, label: 'state' }, async () => {
      const { queued, failed, unconfirmed } = await counts();
      return { queued, failed, unconfirmed };
    });
    const oldest = {
      name: 'gatehouse_mail_oldest_seconds',
      help: 'For how long the first of the queued mails has waited',
      aggregator: 'max' as const,
    };
    addGauge(registry, oldest, async () => (await counts()).oldestSeconds);
  }
}
