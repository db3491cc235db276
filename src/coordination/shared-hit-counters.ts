import { createHash } from 'node:crypto';
import { type HitCounter, HitCounters } from '../common/limits/hit-counters.js';
import { LocalHitCounters } from './local-hit-counters.js';

/** So long after a failure nobody is made to wait for the next one. */
const PAUSE_MS = 1_000;

/** The place where all processes count together, and whether it is there. */
export interface SharedPlace {
  /** Its keys are hashed, and so of one length. */
  counter(name: string, windowMs: number): HitCounter;
  /** What a request waits for it at most. */
  readonly answerWithinMs: number;
  readonly isReady: boolean;
  /** Told each failure. */
  failed(error: unknown): void;
  /** Told each answer that came in time. */
  answered?(): void;
  close(): void;
}

/**
 * Counts where all processes of the installation count. While that place does not answer in its time, each process counts for itself,
 * from zero on: then a limit holds for each process, and nothing fails.
 */
export class SharedHitCounters extends HitCounters {
  private readonly local = new LocalHitCounters();
  private pauseUntil = 0;
  /** Asked, given up, and still without an answer: as long as there are any, nothing more is asked. */
  private overdue = 0;

  constructor(private readonly place: SharedPlace) {
    super();
  }

  counter(name: string, windowMs: number): HitCounter {
    const shared = this.place.counter(name, windowMs);
    const local = this.local.counter(name, windowMs);
    // What is wrong with a key is no fault of the place: it is hashed before.
    const ask = async <T>(key: string, question: (counter: HitCounter, key: string) => Promise<T>) => {
      const id = hashed(key);
      return this.ask(
        () => question(shared, id),
        () => question(local, key),
      );
    };
    return {
      hit: (key) => ask(key, (counter, id) => counter.hit(id)),
      peek: (key) => ask(key, (counter, id) => counter.peek(id)),
      refund: (key) => ask(key, (counter, id) => counter.refund(id)),
      forget: async (key) => {
        // What was counted here while the shared place was away is forgotten too.
        await local.forget(key);
        await ask(key, (counter, id) => counter.forget(id));
      },
    };
  }

  /** Whether the next hit is counted with those of all others. */
  get isShared(): boolean {
    return this.overdue === 0 && this.place.isReady && Date.now() >= this.pauseUntil;
  }

  private async ask<T>(ask: () => Promise<T>, fallBack: () => Promise<T>): Promise<T> {
    if (!this.isShared) return fallBack();
    const answer = ask();
    try {
      const value = await within(this.place.answerWithinMs, answer);
      this.place.answered?.();
      return value;
    } catch (error) {
      this.pauseUntil = Date.now() + PAUSE_MS;
      this.overdue++;
      const settle = () => this.overdue--;
      answer.then(settle, settle);
      this.place.failed(error);
      return fallBack();
    }
  }
}

/**
 * Rejects when the time is up, which passes in two halves: a process that was busy for all of it has the answer perhaps, and gets to look
 * before it says that there is none.
 */
async function within<T>(milliseconds: number, answer: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const timeUp = new Promise<never>((_, reject) => {
    const giveUp = () => reject(new Error(`no answer within ${milliseconds} ms`));
    const half = (next: () => void) => (timer = setTimeout(next, milliseconds / 2).unref());
    half(() => half(() => setImmediate(giveUp)));
  });
  try {
    return await Promise.race([answer, timeUp]);
  } finally {
    clearTimeout(timer);
  }
}

/** Keys name addresses and accounts, and whatever somebody typed as a name: none of that is to be read elsewhere. */
const hashed = (key: string): string => createHash('sha256').update(key).digest('base64url');
