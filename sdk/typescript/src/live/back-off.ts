import { longestDelay } from '../http/retry.js';

/**
 * How long to wait before a live connection, or what goes on with it, is tried again: never the same for two clients that failed
 * together, and never at once, as calls may be.
 */
export function pauseBefore(attempt: number, longestMs: number): number {
  return longestDelay(attempt, longestMs) * (0.5 + Math.random() / 2);
}
