import { Logger } from '@nestjs/common';
import { RateLimiterRedis, type RateLimiterRes } from 'rate-limiter-flexible';
import { createClient } from 'redis';
import type { WindowState } from '../common/limits/fixed-window.js';
import type { HitCounter } from '../common/limits/hit-counters.js';
import { RareWarning } from '../common/logging/rare-warning.js';
import { redisOptions } from './redis-options.js';
import type { SharedPlace } from './shared-hit-counters.js';

const PREFIX = 'gatehouse:limit';
const WAITING_MAX = 10_000;

/** Redis, on a connection of its own: nothing that is slow for other reasons goes before. */
export class RedisCountingPlace implements SharedPlace {
  /** Another machine may be away: nobody waits long to find out. */
  readonly answerWithinMs = 50;
  private readonly logger = new Logger('RateLimits');
  private readonly warning = new RareWarning(this.logger);
  private readonly client;
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

  counter(name: string, windowMs: number): HitCounter {
    const limiter = new RateLimiterRedis({
      storeClient: this.client,
      useRedisPackage: true,
      keyPrefix: `${PREFIX}:${name}`,
      // The caller compares; here it is counted only.
      points: Number.MAX_SAFE_INTEGER,
      duration: windowMs / 1000,
    });
    return {
      hit: async (key) => stateOf(await limiter.penalty(key, 1)),
      peek: async (key) => {
        const found = await limiter.get(key);
        return found && stateOf(found);
      },
      refund: async (key) => void (await limiter.reward(key, 1)),
      forget: async (key) => void (await limiter.delete(key)),
    };
  }

  failed(error?: unknown): void {
    if (this.isClosed) return;
    this.isAway = true;
    const reason = error instanceof Error ? `: ${error.message || (error as NodeJS.ErrnoException).code}` : '';
    this.warning.say(`Redis does not answer, limits are counted by each process for itself${reason}`);
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

const stateOf = ({ consumedPoints, msBeforeNext }: RateLimiterRes): WindowState => ({
  hits: consumedPoints,
  endsAt: Date.now() + Math.max(msBeforeNext, 0),
});
