import { Logger } from '@nestjs/common';
import { type RateLimiterAbstract, RateLimiterRedis } from 'rate-limiter-flexible';
import { createClient } from 'redis';
import { redisOptions } from './redis-options.js';
import type { SharedPlace } from './shared-hit-counters.js';

const PREFIX = 'gatehouse:limit';
/** While Redis is away, this is said once in so long. */
const WARN_EVERY_MS = 60_000;
const WAITING_MAX = 10_000;

/** Redis, on a connection of its own: nothing that is slow for other reasons goes before. */
export class RedisCountingPlace implements SharedPlace {
  /** Another machine may be away: nobody waits long to find out. */
  readonly answerWithinMs = 50;
  private readonly logger = new Logger('RateLimits');
  private readonly client;
  private warnedAt = -Infinity;
  private isAway = false;
  private isClosed = false;

  constructor(url: string) {
    this.client = createClient({
      ...redisOptions(url),
      // What cannot be asked now is counted here, and not asked later.
      disableOfflineQueue: true,
      commandsQueueMaxLength: WAITING_MAX,
    });
    this.client.on('error', (error: unknown) => this.failed(error));
    this.client.on('ready', () => this.answered());
    this.client.connect().catch((error: unknown) => this.failed(error));
  }

  get isReady(): boolean {
    // Not while the first connection is being made.
    if (!this.client.isReady && this.isAway) this.failed();
    return this.client.isReady;
  }

  limiter(name: string, seconds: number): RateLimiterAbstract {
    return new RateLimiterRedis({
      storeClient: this.client,
      useRedisPackage: true,
      keyPrefix: `${PREFIX}:${name}`,
      // The caller compares; here it is counted only.
      points: Number.MAX_SAFE_INTEGER,
      duration: seconds,
    });
  }

  failed(error?: unknown): void {
    if (this.isClosed) return;
    this.isAway = true;
    if (performance.now() - this.warnedAt < WARN_EVERY_MS) return;
    this.warnedAt = performance.now();
    const reason = error instanceof Error ? `: ${error.message || (error as NodeJS.ErrnoException).code}` : '';
    this.logger.warn(`Redis does not answer, limits are counted by each process for itself${reason}`);
  }

  answered(): void {
    if (!this.isAway) return;
    this.isAway = false;
    this.logger.log('Redis answers, limits are counted together');
  }

  close(): void {
    this.isClosed = true;
    if (this.client.isOpen) this.client.destroy();
  }
}
