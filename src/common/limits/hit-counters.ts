import type { WindowState } from './fixed-window.js';

/** Counts hits of keys in windows of one length, which begin with a key's first hit. */
export interface HitCounter {
  hit(key: string): Promise<WindowState>;
  /** The window of a key without counting; `null` when none runs. */
  peek(key: string): Promise<WindowState | null>;
  /** Takes one hit back. */
  refund(key: string): Promise<void>;
  forget(key: string): Promise<void>;
}

/** Where limits are counted: together with all processes of the installation where that is possible. Counting never fails. */
export abstract class HitCounters {
  /** @param name whose hits these are; one name has windows of one length */
  abstract counter(name: string, windowMs: number): HitCounter;
}
