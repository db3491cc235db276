const STEPS_SECONDS = [10, 30, 120, 600, 1800, 3600];
/** So that mails that failed together do not come back together. */
const JITTER = 0.2;

/** How long to wait after so many attempts; the last step repeats until the mail is given up. */
export function retryDelaySeconds(attempts: number, random = Math.random()): number {
  const step = STEPS_SECONDS[Math.min(Math.max(attempts, 1), STEPS_SECONDS.length) - 1];
  return Math.round(step * (1 - JITTER + 2 * JITTER * random));
}
