import { Injectable, Logger, type OnApplicationBootstrap, type OnApplicationShutdown } from '@nestjs/common';
import { ApiKeysRepository } from '../keys/api-keys.repository.js';
import { SessionsRepository } from './sessions.repository.js';

const EVERY_MS = 15 * 60 * 1000;
const BATCH = 1_000;

/** Removes sessions that have expired, and API keys that were revoked long ago. They count for nothing by then; this frees their rows. */
@Injectable()
export class SessionSweeper implements OnApplicationBootstrap, OnApplicationShutdown {
  private readonly logger = new Logger(SessionSweeper.name);
  private timer: NodeJS.Timeout | null = null;

  constructor(
    private readonly sessions: SessionsRepository,
    private readonly keys: ApiKeysRepository,
  ) {}

  onApplicationBootstrap(): void {
    this.timer = setInterval(() => void this.sweep(), EVERY_MS).unref();
  }

  onApplicationShutdown(): void {
    if (this.timer) clearInterval(this.timer);
  }

  /** Batch by batch, so that no statement holds many rows. */
  async sweep(): Promise<number> {
    let removed = 0;
    try {
      for (let batch = BATCH; batch === BATCH; removed += batch) batch = await this.sessions.deleteExpired(BATCH);
      if (removed > 0) this.logger.log(`Removed ${removed} expired sessions`);
      for (let batch = BATCH; batch === BATCH;) batch = await this.keys.deleteRevoked(BATCH);
    } catch (error) {
      this.logger.error(
        'Expired sessions or revoked keys could not be removed; the next sweep tries again',
        error instanceof Error ? error.stack : String(error),
      );
    }
    return removed;
  }
}
