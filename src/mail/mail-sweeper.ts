import { Injectable, Logger, type OnApplicationBootstrap, type OnApplicationShutdown } from '@nestjs/common';
import { MailsRepository } from './mails.repository.js';

const EVERY_MS = 15 * 60 * 1000;
const BATCH = 1_000;

/** Removes mails that were settled a month ago; until then their rows keep a cause from being mailed twice. */
@Injectable()
export class MailSweeper implements OnApplicationBootstrap, OnApplicationShutdown {
  private readonly logger = new Logger(MailSweeper.name);
  private timer: NodeJS.Timeout | null = null;
  private running: Promise<unknown> | null = null;
  private isStopped = false;

  constructor(private readonly mails: MailsRepository) {}

  onApplicationBootstrap(): void {
    this.timer = setInterval(() => {
      this.running = this.sweep();
    }, EVERY_MS).unref();
  }

  async onApplicationShutdown(): Promise<void> {
    this.isStopped = true;
    if (this.timer) clearInterval(this.timer);
    await this.running;
  }

  /** Batch by batch, so that no statement holds many rows. */
  async sweep(): Promise<number> {
    let removed = 0;
    try {
      for (let batch = BATCH; batch === BATCH && !this.isStopped; removed += batch)
        batch = await this.mails.deleteOld(BATCH);
    } catch (error) {
      this.logger.warn(`Old mails could not be removed; the next sweep tries again: ${(error as Error).message}`);
    }
    return removed;
  }
}
