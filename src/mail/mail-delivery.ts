import { Injectable, Logger } from '@nestjs/common';
import { isEmail } from 'class-validator';
import { Outage } from '../common/logging/outage.js';
import { AppConfig } from '../config/app-config.js';
import type { MailContent } from './mail-content.js';
import { renderMail } from './mail-layout.js';
import { MailQueueService } from './mail-queue.service.js';
import {
  MailDeferredError,
  MailRefusedError,
  MailTransport,
  MailUnconfirmedError,
  type OutgoingMail,
  ServerBusyError,
  TransportUnusableError,
} from './mail-transport.js';
import { HELD_UP, MailsRepository } from './mails.repository.js';
import type { ClaimedMail } from './queued-mail.js';
import { retryDelaySeconds } from './retry-schedule.js';
import { reasonOf } from './smtp-errors.js';

/** Not several, no name with one, no command to the server. Hosts of one's own network have no dots. */
const isOneAddress = (text: string) => /^[^\p{C}\p{Z}]*$/u.test(text) && isEmail(text, { require_tld: false });

/** Another node has the mail by now; what becomes of it is written there. */
class ClaimLostError extends Error {}

/** One attempt at one mail: composed, handed over, and what came of it written down. */
@Injectable()
export class MailDelivery {
  private readonly logger = new Logger(MailDelivery.name);
  private readonly outage = new Outage(this.logger, {
    begin: 'Mails cannot be handed over, trying again',
    end: 'Mails are handed over again',
  });
  /** Whether mails may wait for what was in the way of them: of this process, or of one before it. */
  private hasHeldUp = true;

  constructor(
    private readonly queue: MailQueueService,
    private readonly mails: MailsRepository,
    private readonly transport: MailTransport,
    private readonly config: AppConfig,
  ) {}

  /** Never fails. What has not been handed over when `stopping` is aborted goes back into the queue. */
  async attempt(mail: ClaimedMail, stopping: AbortSignal): Promise<void> {
    try {
      await this.settle(mail, await this.handOver(mail, stopping), stopping);
    } catch (error) {
      this.logger.warn(
        `What became of mail ${mail.id} (${mail.kind}) could not be written: ${reasonOf(error as Error)}`,
      );
    }
  }

  private async handOver(mail: ClaimedMail, stopping: AbortSignal): Promise<'sent' | 'dropped' | Error> {
    let isLost = false;
    const giveUp = new AbortController();
    const abort = () => giveUp.abort();
    stopping.addEventListener('abort', abort);
    const begin = async () => {
      giveUp.signal.throwIfAborted();
      isLost = !(await this.mails.begin(mail));
      if (isLost) throw new ClaimLostError();
      giveUp.signal.throwIfAborted();
      stopping.removeEventListener('abort', abort);
    };
    try {
      stopping.throwIfAborted();
      const content = await this.queue.contentOf(mail);
      if (!content) return 'dropped';
      stopping.throwIfAborted();
      await this.transport.send(this.toOutgoing(mail, content), { begin, signal: giveUp.signal });
      return 'sent';
    } catch (error) {
      return isLost ? new ClaimLostError() : (error as Error);
    } finally {
      stopping.removeEventListener('abort', abort);
    }
  }

  private toOutgoing({ id, kind, createdAt, email }: ClaimedMail, content: MailContent): OutgoingMail {
    const to = content.to ?? email;
    if (!isOneAddress(to)) throw new MailRefusedError('its address is not one that mail can be sent to');
    return { id, kind, createdAt, to, ...renderMail(content, this.config.mail.productName) };
  }

  private async settle(mail: ClaimedMail, outcome: 'sent' | 'dropped' | Error, stopping: AbortSignal): Promise<void> {
    if (outcome instanceof ClaimLostError) return;
    if (!(outcome instanceof Error)) {
      await this.mails.settleSent(mail, outcome);
      if (outcome === 'sent') await this.noteTaken();
      return;
    }
    const reason = reasonOf(outcome);
    const what = `Mail ${mail.id} (${mail.kind})`;
    if (outcome instanceof MailUnconfirmedError) {
      await this.mails.settleUnsent(mail, 'unconfirmed', reason);
      this.logger.warn(`${what} may or may not have been sent, and is not sent again: ${reason}`);
    } else if (outcome instanceof MailRefusedError) {
      await this.mails.settleUnsent(mail, 'failed', reason);
      await this.noteTaken();
      this.logger.error(`${what} was refused and is given up: ${reason}`);
    } else if (stopping.aborted) {
      await this.mails.release(mail);
    } else {
      await this.postpone(mail, outcome, reason);
    }
  }

  /** The server is there: once after each time that it was not, the others are sent after. */
  private async noteTaken(): Promise<void> {
    this.outage.end();
    if (!this.hasHeldUp) return;
    this.hasHeldUp = false;
    try {
      await this.mails.wakeHeldUp();
    } catch (error) {
      this.hasHeldUp = true;
      throw error;
    }
  }

  private async postpone(mail: ClaimedMail, error: Error, reason: string): Promise<void> {
    const what = `Mail ${mail.id} (${mail.kind})`;
    const isHeldUp = error instanceof TransportUnusableError && !(error instanceof ServerBusyError);
    const note = isHeldUp ? HELD_UP + reason : reason;
    const isKept = await this.mails.postpone(mail, retryDelaySeconds(mail.attempts), note);
    if (isHeldUp) this.hasHeldUp = true;
    if (!isKept) this.logger.error(`${what} could not be sent for a day and is given up: ${reason}`);
    else if (error instanceof TransportUnusableError) this.outage.begin(new Error(reason));
    else if (error instanceof MailDeferredError) this.logger.debug(`${what} is tried again later: ${reason}`);
    else this.logger.warn(`${what} could not be composed, trying again: ${reason}`);
  }
}
