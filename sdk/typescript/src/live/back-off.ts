const FIRST_MS = 250;

/** How long to wait before the next attempt: exponential, and never the same for two clients that failed together. */
export function backOff(attempt: number, longestMs: number): number {
  const ceiling = Math.min(FIRST_MS * 2 ** Math.min(attempt, 20), longestMs);
  return ceiling * (0.5 + Math.random() / 2);
}
