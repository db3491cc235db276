import { Injectable } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import type { MailContent } from './mail-content.js';
import { MailsRepository } from './mails.repository.js';
import type { NewMail, PendingCounts, QueuedMail } from './queued-mail.js';

export type { NewMail, PendingCounts, QueuedMail } from './queued-mail.js';

export type MailComposer = (mail: QueuedMail) => Promise<MailContent | null>;

/** Takes mails to be sent. Sending is another matter: a mail server that is down costs whoever queues nothing. */
@Injectable()
export class MailQueueService {
  private readonly composers = new Map<string, MailComposer>();

  constructor(private readonly mails: MailsRepository) {}

  /**
   * Within the transaction of the change that the mail is about: it is sent if and only if the change holds. The same cause is never
   * mailed twice; a second call does nothing.
   */
  async queue(tx: EntityManager, mail: NewMail): Promise<void> {
    await this.mails.insert(mail, tx);
  }

  /** The same outside a transaction, in one statement. */
  async queueNow(mail: NewMail): Promise<void> {
    await this.mails.insert(mail);
  }

  /**
   * Who knows what mails of a kind say. Called when one is about to be sent, again at each attempt; `null` when there is nothing to send
   * any more. One-time tokens are issued there: neither the queue nor the database ever holds one, and their hour begins when the mail
   * leaves.
   */
  compose(kind: string, composer: MailComposer): void {
    if (this.composers.has(kind)) throw new Error(`Mails of kind ${kind} are composed already`);
    this.composers.set(kind, composer);
  }

  async contentOf(mail: QueuedMail): Promise<MailContent | null> {
    const composer = this.composers.get(mail.kind);
    // A newer version of the program may have queued it: it has time until then.
    if (!composer) throw new Error(`nobody composes mails of kind ${mail.kind}`);
    return composer(mail);
  }

  /** For metrics and `gatehouse doctor`. */
  pendingCounts(): Promise<PendingCounts> {
    return this.mails.countPending();
  }
}
