import cluster, { type Worker } from 'node:cluster';
import { AggregatorRegistry } from 'prom-client';
import type { MetricValues, WorkerMessage } from '../coordination/worker.js';

/** A worker that takes longer is told of by what it said last. */
const ANSWER_WITHIN_MS = 1_000;
/** What only grows. It must not fall when a worker ends: whoever reads it would take that for a new beginning. */
const GROWING = new Set(['counter', 'histogram']);

/** In the primary: workers ask for the metrics of all, whichever of them was scraped. */
export class ClusterMetrics {
  private readonly lastOf = new Map<number, MetricValues[]>();
  private readonly waiting = new Map<number, (metrics: MetricValues[] | null) => void>();
  private ended: Promise<MetricValues[]> = Promise.resolve([]);
  private asked = 0;

  /** @param workers those that take requests */
  constructor(private readonly workers: () => Iterable<Worker>) {
    cluster.on('message', (worker, message: WorkerMessage) => {
      if (message.type === 'gatehouse:metrics') void this.answer(worker, message.id);
      if (message.type === 'gatehouse:metrics-told') this.waiting.get(message.id)?.(message.metrics);
    });
    cluster.on('exit', ({ id }) => this.keep(id));
  }

  private async answer(worker: Worker, id: number): Promise<void> {
    const text = await this.read().catch(() => null);
    // It may have ended meanwhile.
    if (worker.isConnected()) worker.send({ type: 'gatehouse:metrics-answer', id, text } satisfies WorkerMessage);
  }

  private async read(): Promise<string> {
    const all = await Promise.all([...this.workers()].map((worker) => this.ask(worker)));
    return AggregatorRegistry.aggregate([await this.ended, ...all]).metrics();
  }

  private async ask(worker: Worker): Promise<MetricValues[]> {
    const id = ++this.asked;
    const told = await new Promise<MetricValues[] | null>((resolve) => {
      this.waiting.set(id, resolve);
      setTimeout(() => resolve(null), ANSWER_WITHIN_MS);
      if (worker.isConnected()) worker.send({ type: 'gatehouse:metrics-asked', id } satisfies WorkerMessage);
      else resolve(null);
    });
    this.waiting.delete(id);
    if (told) this.lastOf.set(worker.id, told);
    return told ?? growing(this.lastOf.get(worker.id));
  }

  /** Of a worker that has ended: its part of the sums, as it was told last. One after the other, since several may end at once. */
  private keep(id: number): void {
    const last = growing(this.lastOf.get(id));
    this.lastOf.delete(id);
    this.ended = this.ended.then(async (ended) => {
      const sum: unknown = await AggregatorRegistry.aggregate([ended, last]).getMetricsAsJSON();
      return sum as MetricValues[];
    });
  }
}

const growing = (metrics: MetricValues[] = []): MetricValues[] => metrics.filter(({ type }) => GROWING.has(type));
