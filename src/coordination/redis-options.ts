const RETRY_MIN_MS = 100;
const RETRY_MAX_MS = 2_000;

/** Milliseconds before the next attempt to reach Redis; never the same for all processes. */
export const reconnectDelay = (attempts: number): number =>
  Math.min(RETRY_MIN_MS * 2 ** attempts, RETRY_MAX_MS) * (0.75 + Math.random() / 2);
