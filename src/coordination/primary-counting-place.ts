import { Logger } from '@nestjs/common';
import { RateLimiterCluster, type RateLimiterAbstract } from 'rate-limiter-flexible';
import type { SharedPlace } from './shared-hit-counters.js';

const PREFIX = 'gatehouse:limit';
const WARN_EVERY_MS = 60_000;

/** The primary process of the workers on one port. */
export class PrimaryCountingPlace implements SharedPlace {
  private readonly logger = new Logger('RateLimits');
  readonly isReady = true;
  /** It goes only with its workers, and is late only when the machine is short of processors. */
  readonly answerWithinMs = 2_000;
  private warnedAt = -Infinity;

  limiter(name: string, seconds: number): RateLimiterAbstract {
    return new RateLimiterCluster({
      // One that a reload has changed begins anew; the primary keeps what it has made.
      keyPrefix: `${PREFIX}:${name}:${seconds}`,
      points: Number.MAX_SAFE_INTEGER,
      duration: seconds,
      timeoutMs: this.answerWithinMs,
    });
  }

  failed(error: unknown): void {
    if (performance.now() - this.warnedAt < WARN_EVERY_MS) return;
    this.warnedAt = performance.now();
    this.logger.warn(
      `The primary process does not answer, limits are counted by each worker for itself: ${(error as Error).message}`,
    );
  }

  close(): void {}
}
