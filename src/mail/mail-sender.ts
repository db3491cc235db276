import { type BeforeApplicationShutdown, Injectable, Logger, type OnApplicationShutdown } from '@nestjs/common';
import { withTimeout } from '../common/limits/with-timeout.js';
import { Outage } from '../common/logging/outage.js';
import { DatabaseListener } from '../database/database-listener.js';
import { MailDelivery } from './mail-delivery.js';
import { MailTransport } from './mail-transport.js';
import { MailsRepository } from './mails.repository.js';
import type { ClaimedMail } from './queued-mail.js';

/** Announced by the table's trigger. */
const MAIL_TOPIC = 'gatehouse_mail';
/** For what was not announced: mails that are due again, and those of nodes that died. */
const EVERY_MS = 5_000;
/** At once, each by a connection of its own. */
export const MAILS_AT_ONCE = 4;
/** Mails whose bytes are on their way get this long when the program stops, then so long to be written down. */
const FINISH_MS = 10_000;
const SETTLE_MS = 2_000;

/** This node's part in sending what is queued. Any number of nodes take from the queue; each mail is with one of them. */
@Injectable()
export class MailSender implements BeforeApplicationShutdown, OnApplicationShutdown {
  private readonly logger = new Logger(MailSender.name);
  private readonly outage = new Outage(this.logger, {
    begin: 'The queue of mails could not be read, trying again',
    end: 'The queue of mails is read again',
  });
  private readonly stopping = new AbortController();
  private readonly underWay = new Set<Promise<void>>();
  private timer: NodeJS.Timeout | null = null;
  private filling: Promise<void> | null = null;
  private isWokenAgain = false;

  constructor(
    private readonly mails: MailsRepository,
    private readonly delivery: MailDelivery,
    private readonly transport: MailTransport,
    listener: DatabaseListener,
  ) {
    listener.on(MAIL_TOPIC, () => this.wake());
    listener.onResync(() => this.wake());
  }

  /** Sending is a server's work: a command is gone before a mail server has answered. */
  start(): void {
    this.timer = setInterval(() => void this.poll(), EVERY_MS).unref();
    void this.poll();
  }

  /** Nothing is begun any more; what is being handed over goes on beside the last requests. */
  beforeApplicationShutdown(): void {
    if (this.timer) clearInterval(this.timer);
    this.stopping.abort();
  }

  async onApplicationShutdown(): Promise<void> {
    await withTimeout(this.finish(), FINISH_MS).catch(() => undefined);
    await this.transport.close();
    await withTimeout(this.finish(), SETTLE_MS).catch(() => undefined);
  }

  /** What the timer does. */
  async poll(): Promise<void> {
    try {
      const abandoned = await this.mails.settleAbandoned('the process that sent it has died');
      for (const { id, kind } of abandoned)
        this.logger.warn(
          `Mail ${id} (${kind}) may or may not have been sent by a process that died; it is not sent again`,
        );
    } catch (error) {
      this.outage.begin(error);
    }
    this.wake();
  }

  private wake(): void {
    if (!this.timer) return;
    this.isWokenAgain = true;
    this.filling ??= this.fill().finally(() => {
      this.filling = null;
      if (this.isWokenAgain && !this.stopping.signal.aborted) this.wake();
    });
  }

  private async fill(): Promise<void> {
    try {
      // A mail that is queued while the queue is read may have been missed.
      while (this.isWokenAgain && !this.stopping.signal.aborted) {
        this.isWokenAgain = false;
        await this.takeDue();
      }
      this.outage.end();
    } catch (error) {
      this.isWokenAgain = false;
      this.outage.begin(error);
    }
  }

  private async takeDue(): Promise<void> {
    while (this.underWay.size < MAILS_AT_ONCE && !this.stopping.signal.aborted) {
      const claimed = await this.mails.claim(MAILS_AT_ONCE - this.underWay.size);
      if (claimed.length === 0) return;
      for (const mail of claimed) this.send(mail);
    }
  }

  private send(mail: ClaimedMail): void {
    const attempt = this.delivery.attempt(mail, this.stopping.signal).finally(() => {
      this.underWay.delete(attempt);
      this.wake();
    });
    this.underWay.add(attempt);
  }

  private async finish(): Promise<void> {
    await this.filling;
    await Promise.all(this.underWay);
  }
}
