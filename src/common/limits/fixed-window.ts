interface Window {
  hits: number;
  endsAt: number;
}

/** The state of one key's window after a hit. */
export interface WindowState {
  readonly hits: number;
  /** Milliseconds since the epoch. */
  readonly endsAt: number;
}

/** For `Retry-After`: whole seconds, one at least. */
export const retryAfterSeconds = ({ endsAt }: WindowState): number =>
  Math.max(1, Math.ceil((endsAt - Date.now()) / 1000));

/** Keys kept at once, about 20 MB; when there are more, the windows that began first are forgotten. */
const KEYS_MAX = 100_000;

/**
 * Counts hits of a key in a window that begins with its first hit. A hit costs the same however many came before, and memory
 * is bounded. One instance is for windows of one length, so that a Map's order of insertion is the order in which they end.
 */
export class FixedWindowCounter {
  private readonly windows = new Map<string, Window>();

  constructor(
    private readonly windowMs: number,
    private readonly keysMax = KEYS_MAX,
  ) {}

  hit(key: string, now = Date.now()): WindowState {
    const present = this.windows.get(key);
    if (present && present.endsAt > now) {
      present.hits++;
      // As it is now: who awaits it must not see the hits that came after.
      return { ...present };
    }
    // Deleted first, so that the new window takes its place at the end of the order.
    this.windows.delete(key);
    this.makeRoom(now);
    const window = { hits: 1, endsAt: now + this.windowMs };
    this.windows.set(key, window);
    return { ...window };
  }

  /** The window of a key without counting; `null` when none runs. */
  peek(key: string, now = Date.now()): WindowState | null {
    const window = this.windows.get(key);
    return window && window.endsAt > now ? window : null;
  }

  /** Takes one hit back. */
  refund(key: string): void {
    const window = this.windows.get(key);
    if (window && window.hits > 0) window.hits--;
  }

  forget(key: string): void {
    this.windows.delete(key);
  }

  get size(): number {
    return this.windows.size;
  }

  /** Each new window removes up to two that have ended, so the map shrinks as fast as it can grow. */
  private makeRoom(now: number): void {
    let looked = 0;
    for (const [key, window] of this.windows) {
      const isEnded = window.endsAt <= now;
      if (!isEnded && this.windows.size < this.keysMax) return;
      this.windows.delete(key);
      if (++looked === 2) return;
    }
  }
}
