import cluster from 'node:cluster';
import { join } from 'node:path';

/** Tells a worker where its kind keep their sockets. */
export const SOCKETS_VARIABLE = 'GATEHOUSE_WORKER_SOCKETS';

/** One metric with its values, as prom-client writes it for another process. */
export type MetricValues = { type: string } & Record<string, unknown>;

/** What a worker asks of its primary, and hears from it. */
export type WorkerMessage =
  | { type: 'gatehouse:stop' }
  | { type: 'gatehouse:metrics'; id: number }
  | { type: 'gatehouse:metrics-answer'; id: number; text: string | null }
  | { type: 'gatehouse:metrics-asked'; id: number }
  | { type: 'gatehouse:metrics-told'; id: number; metrics: MetricValues[] | null };

/** One of the processes that answer on the one port. */
export interface Worker {
  readonly id: number;
  /** Where a worker takes requests that came to another one but are of its sockets. */
  socketOf(id: number): string;
}

/** This process as a worker; `null` when it is the only one. */
export function thisWorker(): Worker | null {
  const directory = process.env[SOCKETS_VARIABLE];
  if (!cluster.worker || !directory) return null;
  return {
    id: cluster.worker.id,
    socketOf: (id) =>
      process.platform === 'win32' ? `\\\\.\\pipe\\${directory}-${id}` : join(directory, `${id}.sock`),
  };
}
