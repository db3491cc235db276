import { Injectable, Logger, type OnApplicationBootstrap, type OnApplicationShutdown } from '@nestjs/common';
import { AppConfig } from '../config/app-config.js';
import { AuditLogRepository } from './audit-log.repository.js';

const EVERY_MS = 60 * 60 * 1000;
const BATCH = 1_000;

/** Removes entries that are older than they are to be kept. */
@Injectable()
export class AuditSweeper implements OnApplicationBootstrap, OnApplicationShutdown {
  private readonly logger = new Logger(AuditSweeper.name);
  private timer: NodeJS.Timeout | null = null;

  constructor(
    private readonly log: AuditLogRepository,
    private readonly config: AppConfig,
  ) {}

  onApplicationBootstrap(): void {
    this.timer = setInterval(() => void this.sweep(), EVERY_MS).unref();
  }

  onApplicationShutdown(): void {
    if (this.timer) clearInterval(this.timer);
  }

  /** Batch by batch, so that no statement holds many rows. */
  async sweep(): Promise<number> {
    const { retentionDays } = this.config.audit;
    let removed = 0;
    try {
      for (let batch = BATCH; batch === BATCH; removed += batch)
        batch = await this.log.removeOlderThan(retentionDays, BATCH);
      if (removed > 0) this.logger.log(`Removed ${removed} audit entries that were older than ${retentionDays} days`);
    } catch (error) {
      this.logger.error(
        'Old audit entries could not be removed; the next sweep tries again',
        error instanceof Error ? error.stack : String(error),
      );
    }
    return removed;
  }
}
