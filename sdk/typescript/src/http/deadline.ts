import { TimeoutError } from '../errors.js';

/** What ends an attempt before its answer: the caller's signal, and the time that it may take. */
export class Deadline {
  /** Its reason is the caller's, or a TimeoutError. */
  readonly signal: AbortSignal;
  private readonly timer: ReturnType<typeof setTimeout> | undefined;

  /** @param milliseconds 0: no limit */
  constructor(milliseconds: number, given?: AbortSignal) {
    const late = new AbortController();
    this.signal = given ? AbortSignal.any([given, late.signal]) : late.signal;
    if (milliseconds > 0) this.timer = setTimeout(() => late.abort(new TimeoutError(milliseconds)), milliseconds);
  }

  /** What the promise gives, unless the attempt ends before. */
  async unlessOver<T>(promise: Promise<T>): Promise<T> {
    let abort = () => {};
    const over = new Promise<never>((_resolve, reject) => {
      abort = () => reject(this.signal.reason);
      if (this.signal.aborted) abort();
      else this.signal.addEventListener('abort', abort, { once: true });
    });
    try {
      return await Promise.race([over, promise]);
    } finally {
      this.signal.removeEventListener('abort', abort);
    }
  }

  /** From here on only the caller's signal ends what is still to come. */
  lift(): void {
    clearTimeout(this.timer);
  }
}
