import { Logger } from '@nestjs/common';
import type { HitCounter } from '../common/limits/hit-counters.js';
import { RareWarning } from '../common/logging/rare-warning.js';
import type { SharedPlace } from './shared-hit-counters.js';
import type { LimitAnswer, LimitQuestion, WorkerMessage } from './worker.js';

interface Asked {
  readonly question: LimitQuestion;
  readonly resolve: (answer: LimitAnswer) => void;
}

/**
 * The primary process of the workers on one port. A message between processes costs more than all that is counted with it, so what is
 * asked in one turn of the event loop goes in one.
 */
export class PrimaryCountingPlace implements SharedPlace {
  private readonly warning = new RareWarning(new Logger('RateLimits'));
  /** It goes only with its workers, and is late only when the machine is short of processors. */
  readonly answerWithinMs = 2_000;
  private readonly asked = new Map<number, readonly Asked[]>();
  private gathered: Asked[] = [];
  private sent = 0;
  private readonly hear = (message: WorkerMessage) => {
    if (message.type !== 'gatehouse:limits-answer') return;
    this.asked.get(message.id)?.forEach(({ resolve }, at) => resolve(message.answers[at]));
    this.asked.delete(message.id);
  };

  constructor() {
    process.on('message', this.hear);
  }

  get isReady(): boolean {
    return process.connected;
  }

  counter(name: string, windowMs: number): HitCounter {
    const ask = (verb: LimitQuestion[0], key: string) => this.ask([verb, name, windowMs, key]);
    return {
      hit: async (key) => {
        const window = await ask('hit', key);
        if (!window) throw new Error('the primary process has not counted a hit');
        return { hits: window[0], endsAt: window[1] };
      },
      peek: async (key) => {
        const window = await ask('peek', key);
        return window && { hits: window[0], endsAt: window[1] };
      },
      refund: async (key) => void (await ask('refund', key)),
      forget: async (key) => void (await ask('forget', key)),
    };
  }

  failed(error: unknown): void {
    const reason = (error as Error).message;
    this.warning.say(`The primary process does not answer, limits are counted by each worker for itself: ${reason}`);
  }

  close(): void {
    process.off('message', this.hear);
  }

  private ask(question: LimitQuestion): Promise<LimitAnswer> {
    return new Promise((resolve) => {
      if (this.gathered.push({ question, resolve }) === 1) setImmediate(() => this.send());
    });
  }

  private send(): void {
    const gathered = this.gathered;
    this.gathered = [];
    const id = ++this.sent;
    this.asked.set(id, gathered);
    const questions = gathered.map(({ question }) => question);
    const message: WorkerMessage = { type: 'gatehouse:limits', id, questions };
    // A failure is heard of as an answer that does not come: the primary has gone, and this process is about to.
    process.send?.(message, undefined, undefined, () => undefined);
  }
}
