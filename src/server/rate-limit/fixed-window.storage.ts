import type { ThrottlerStorage } from '@nestjs/throttler';
import { FixedWindowCounter } from '../../common/limits/fixed-window.js';

type ThrottlerRecord = Awaited<ReturnType<ThrottlerStorage['increment']>>;

/**
 * Counts in this process, at the same cost however many hits a window has seen; the throttler's own storage keeps every hit.
 * Times are seconds and not rounded, so that the end of a window stays the same moment from one answer to the next.
 */
export class FixedWindowStorage implements ThrottlerStorage {
  private readonly counters = new Map<string, FixedWindowCounter>();

  async increment(
    key: string,
    ttl: number,
    limit: number,
    _blockDuration: number,
    throttlerName: string,
  ): Promise<ThrottlerRecord> {
    const now = Date.now();
    const { hits, endsAt } = this.counter(throttlerName, ttl).hit(key, now);
    const secondsLeft = (endsAt - now) / 1000;
    return { totalHits: hits, timeToExpire: secondsLeft, isBlocked: hits > limit, timeToBlockExpire: secondsLeft };
  }

  /** Takes a hit back that should have counted elsewhere. */
  refund(key: string, throttlerName: string): void {
    this.counters.get(throttlerName)?.refund(key);
  }

  private counter(name: string, windowMs: number): FixedWindowCounter {
    let counter = this.counters.get(name);
    if (!counter) this.counters.set(name, (counter = new FixedWindowCounter(windowMs)));
    return counter;
  }
}
