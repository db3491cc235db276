import { Injectable, Logger, type OnApplicationBootstrap, type OnApplicationShutdown } from '@nestjs/common';
import { EmailChangesRepository } from './email-changes.repository.js';
import { OneTimeTokensRepository } from './one-time-tokens.repository.js';

const EVERY_MS = 15 * 60 * 1000;
const BATCH = 1_000;

/** Removes tokens and changes of addresses that are past. They count for nothing by then; this frees their rows. */
@Injectable()
export class MailFlowsSweeper implements OnApplicationBootstrap, OnApplicationShutdown {
  private readonly logger = new Logger(MailFlowsSweeper.name);
  private timer: NodeJS.Timeout | null = null;

  constructor(
    private readonly tokens: OneTimeTokensRepository,
    private readonly changes: EmailChangesRepository,
  ) {}

  onApplicationBootstrap(): void {
    this.timer = setInterval(() => void this.sweep(), EVERY_MS).unref();
  }

  onApplicationShutdown(): void {
    if (this.timer) clearInterval(this.timer);
  }

  /** Batch by batch, so that no statement holds many rows. */
  async sweep(): Promise<void> {
    try {
      while ((await this.tokens.deleteExpired(BATCH)) === BATCH);
      while ((await this.changes.deletePast(BATCH)) === BATCH);
    } catch (error) {
      this.logger.error(
        'Expired one-time tokens could not be removed; the next sweep tries again',
        error instanceof Error ? error.stack : String(error),
      );
    }
  }
}
