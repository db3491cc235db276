import cluster from 'node:cluster';
import { Injectable } from '@nestjs/common';
import { Registry } from 'prom-client';
import { ServiceUnavailableError } from '../common/errors/errors.js';
import { withTimeout } from '../common/limits/with-timeout.js';
import type { MetricValues, WorkerMessage } from '../coordination/worker.js';
import { RuntimeMetrics } from './runtime-metrics.js';

/** The primary asks each worker, for one second at most. */
const ANSWER_WITHIN_MS = 3_000;

@Injectable()
export class MetricsService {
  private readonly waiting = new Map<number, (text: string | null) => void>();
  private asked = 0;

  constructor(
    private readonly registry: Registry,
    private readonly runtime: RuntimeMetrics,
  ) {
    if (cluster.isWorker) this.joinOthers();
  }

  /** Everything, of all workers together, in the text format of Prometheus. @throws ServiceUnavailableError when the primary does not answer */
  async read(): Promise<string> {
    this.runtime.start();
    if (!cluster.isWorker) return this.registry.metrics();
    const id = ++this.asked;
    const answer = new Promise<string | null>((resolve) => this.waiting.set(id, resolve));
    process.send?.({ type: 'gatehouse:metrics', id } satisfies WorkerMessage);
    const text = await withTimeout(answer, ANSWER_WITHIN_MS)
      .catch(() => null)
      .finally(() => this.waiting.delete(id));
    if (text === null) throw new ServiceUnavailableError('The primary process has not answered');
    return text;
  }

  private async tell(id: number): Promise<void> {
    const metrics: unknown = await this.registry.getMetricsAsJSON().catch(() => null);
    process.send?.({
      type: 'gatehouse:metrics-told',
      id,
      metrics: metrics as MetricValues[] | null,
    } satisfies WorkerMessage);
  }

  private joinOthers(): void {
    // Whoever is scraped asks all of them.
    this.runtime.start();
    process.on('message', (message: WorkerMessage) => {
      if (message.type === 'gatehouse:metrics-answer') this.waiting.get(message.id)?.(message.text);
      if (message.type === 'gatehouse:metrics-asked') void this.tell(message.id);
    });
  }
}
