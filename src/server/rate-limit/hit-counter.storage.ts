import type { ThrottlerStorage } from '@nestjs/throttler';
import type { HitCounter, HitCounters } from '../../common/limits/hit-counters.js';

type ThrottlerRecord = Awaited<ReturnType<ThrottlerStorage['increment']>>;

/**
 * The throttler's storage: where all limits are counted, at the same cost however many hits a window has seen; the throttler's own
 * keeps every hit. Times are seconds and not rounded, so that the end of a window stays the same moment from one answer to the next.
 */
export class HitCounterStorage implements ThrottlerStorage {
  private readonly byName = new Map<string, HitCounter>();

  constructor(private readonly counters: HitCounters) {}

  async increment(
    key: string,
    ttl: number,
    limit: number,
    _blockDuration: number,
    throttlerName: string,
  ): Promise<ThrottlerRecord> {
    const { hits, endsAt } = await this.counter(throttlerName, ttl).hit(key);
    const secondsLeft = (endsAt - Date.now()) / 1000;
    return { totalHits: hits, timeToExpire: secondsLeft, isBlocked: hits > limit, timeToBlockExpire: secondsLeft };
  }

  /** Takes a hit back that should have counted elsewhere. */
  async refund(key: string, throttlerName: string): Promise<void> {
    await this.byName.get(throttlerName)?.refund(key);
  }

  private counter(name: string, windowMs: number): HitCounter {
    let counter = this.byName.get(name);
    if (!counter) this.byName.set(name, (counter = this.counters.counter(name, windowMs)));
    return counter;
  }
}
