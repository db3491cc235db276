import cluster from 'node:cluster';
import { join } from 'node:path';
import type { HitCounter } from '../common/limits/hit-counters.js';

/** Tells a worker where its kind keep their sockets. */
export const SOCKETS_VARIABLE = 'GATEHOUSE_WORKER_SOCKETS';

/** One metric with its values, as prom-client writes it for another process. */
export type MetricValues = { type: string } & Record<string, unknown>;

/** Something about one window: what to do, whose name, how many milliseconds it lasts, and its key. */
export type LimitQuestion = [verb: keyof HitCounter, name: string, windowMs: number, key: string];

/** The window, where there is one and the question was about it. */
export type LimitAnswer = [hits: number, endsAt: number] | null;

/** What a worker asks of its primary, and hears from it. */
export type WorkerMessage =
  | { type: 'gatehouse:stop' }
  | { type: 'gatehouse:limits'; id: number; questions: LimitQuestion[] }
  | { type: 'gatehouse:limits-answer'; id: number; answers: LimitAnswer[] }
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
