import { FixedWindowCounter } from '../common/limits/fixed-window.js';
import { type HitCounter, HitCounters } from '../common/limits/hit-counters.js';

/** Counts in this process. */
export class LocalHitCounters extends HitCounters {
  counter(_name: string, windowMs: number): HitCounter {
    const windows = new FixedWindowCounter(windowMs);
    return {
      hit: async (key) => windows.hit(key),
      peek: async (key) => windows.peek(key),
      refund: async (key) => windows.refund(key),
      forget: async (key) => windows.forget(key),
    };
  }
}
