import cluster from 'node:cluster';
import { AggregatorRegistry } from 'prom-client';
import type { WorkerMessage } from '../coordination/worker.js';

/** In the primary: workers ask for the metrics of all, whichever of them was scraped. */
export function answerMetrics(): void {
  const all = new AggregatorRegistry();
  cluster.on('message', (worker, message: WorkerMessage) => {
    if (message.type !== 'gatehouse:metrics') return;
    const { id } = message;
    const answer = (text: string | null) =>
      // It may have ended meanwhile.
      worker.isConnected() && worker.send({ type: 'gatehouse:metrics-answer', id, text } satisfies WorkerMessage);
    all.clusterMetrics().then(answer, () => answer(null));
  });
}
