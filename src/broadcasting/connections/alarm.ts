/** Longer than a timer can be set for. */
const TIMER_MAX_MS = 2 ** 31 - 1;

export interface Alarm {
  cancel(): void;
}

/** Calls `ring` at a time that may be months away; never for `Infinity`. It keeps no process alive. */
export function atUnixTime(seconds: number, ring: () => void): Alarm {
  let timer: NodeJS.Timeout | undefined;
  const wait = () => {
    const left = Math.max(0, seconds * 1000 - Date.now());
    timer = setTimeout(() => (left > TIMER_MAX_MS ? wait() : ring()), Math.min(left, TIMER_MAX_MS)).unref();
  };
  if (Number.isFinite(seconds)) wait();
  return { cancel: () => clearTimeout(timer) };
}
