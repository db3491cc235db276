import { ConnectionError, GatehouseError, TimeoutError } from '../errors.js';
import { isRedirect } from './failure.js';

const FIRST_DELAY_MS = 250;
const LONGEST_DELAY_MS = 8_000;
/** Who is asked to wait longer than this is told so at once. */
const LONGEST_RETRY_AFTER_S = 60;
/** 502 and 504 come from proxies before a server that restarts. */
const PASSING = new Set([429, 502, 503, 504]);

/**
 * How long to wait before the next attempt, in milliseconds; null when there is to be none. Exponential with full jitter, so that
 * clients that failed together do not come back together.
 *
 * @param attempt 0 for the first
 */
export function retryDelay(error: unknown, attempt: number): number | null {
  if (!(error instanceof GatehouseError)) return null;
  if (error instanceof ConnectionError && isRedirect(error.cause)) return null;
  const isPassing = error instanceof ConnectionError || error instanceof TimeoutError || PASSING.has(error.status);
  if (!isPassing) return null;
  if (error.retryAfter === null) return backOff(attempt);
  return error.retryAfter <= LONGEST_RETRY_AFTER_S ? error.retryAfter * 1000 + backOff(attempt) : null;
}

/** Exponential with full jitter, in milliseconds. @param attempt 0 for the first */
export function backOff(attempt: number): number {
  return Math.random() * longestDelay(attempt, LONGEST_DELAY_MS);
}

/** What exponential growth makes of the delay before an attempt, in milliseconds; jitter shortens it. */
export function longestDelay(attempt: number, limitMs: number): number {
  return Math.min(FIRST_DELAY_MS * 2 ** attempt, limitMs);
}

/** Resolves after so many milliseconds; rejects with the signal's reason when it is aborted before. */
export function sleep(milliseconds: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', abort);
      resolve();
    }, milliseconds);
    const abort = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    signal?.addEventListener('abort', abort, { once: true });
  });
}
