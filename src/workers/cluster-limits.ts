import cluster from 'node:cluster';
import { FixedWindowCounter } from '../common/limits/fixed-window.js';
import type { LimitAnswer, LimitQuestion, WorkerMessage } from '../coordination/worker.js';

/** In the primary: counts for all workers, so that limits are exact whichever of them is asked. */
export class ClusterLimits {
  private readonly counters = new Map<string, FixedWindowCounter>();

  constructor() {
    cluster.on('message', (worker, message: WorkerMessage) => {
      if (message.type !== 'gatehouse:limits') return;
      const answers = message.questions.map((question) => this.answer(question));
      // It may have ended meanwhile.
      if (!worker.isConnected()) return;
      worker.send({ type: 'gatehouse:limits-answer', id: message.id, answers } satisfies WorkerMessage);
    });
  }

  private answer([verb, name, windowMs, key]: LimitQuestion): LimitAnswer {
    const window = this.counter(name, windowMs)[verb](key);
    return window ? [window.hits, window.endsAt] : null;
  }

  /** A window whose length a reload has changed begins anew. */
  private counter(name: string, windowMs: number): FixedWindowCounter {
    const id = `${name} ${windowMs}`;
    let counter = this.counters.get(id);
    if (!counter) this.counters.set(id, (counter = new FixedWindowCounter(windowMs)));
    return counter;
  }
}
