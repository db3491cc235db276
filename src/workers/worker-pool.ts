import cluster, { type Worker } from 'node:cluster';
import { once } from 'node:events';
import type { LoggerService } from '@nestjs/common';
import type { WorkerMessage } from '../coordination/worker.js';

interface Settings {
  readonly size: number;
  readonly log: LoggerService;
  /** No worker came to life. */
  readonly onHopeless: () => void;
}

const RESTART_MIN_MS = 1_000;
const RESTART_MAX_MS = 30_000;

/** Keeps so many workers running. */
export class WorkerPool {
  /** Those that are to go on; others are on their way out. */
  private readonly members = new Set<Worker>();
  private readonly listening = new Set<Worker>();
  private restartMs = RESTART_MIN_MS;
  private isStopping = false;
  private reloading: Promise<void> | null = null;
  private isReloadDue = false;

  constructor(private readonly settings: Settings) {
    cluster.on('exit', (worker, code, signal) => this.exited(worker, code, signal));
    cluster.on('listening', (worker) => {
      this.listening.add(worker);
      this.restartMs = RESTART_MIN_MS;
    });
  }

  /** Resolves when all of them take requests. The first one is alone at first: what is wrong with all of them is said once. */
  async start(): Promise<{ port: number }> {
    const port = await this.add();
    // It has said why, and `exited()` has acted on it.
    if (port === null) return new Promise(() => undefined);
    await Promise.all(Array.from({ length: this.settings.size - 1 }, () => this.add()));
    return { port };
  }

  /** New workers in place of the present ones, one after another; the old ones finish what they have. One reload at a time. */
  async reload(): Promise<void> {
    if (this.isStopping) return;
    this.isReloadDue = true;
    this.reloading ??= this.replaceAll().finally(() => (this.reloading = null));
    await this.reloading;
  }

  /** Asks all to finish what they have, and resolves when they have ended. */
  async stop(): Promise<void> {
    this.isStopping = true;
    const workers = Object.values(cluster.workers ?? {}).filter((worker) => worker !== undefined);
    await Promise.all(
      workers.map(async (worker) => {
        const ended = once(worker, 'exit');
        this.dismiss(worker);
        await ended;
      }),
    );
  }

  private async replaceAll(): Promise<void> {
    const { log } = this.settings;
    while (this.isReloadDue && !this.isStopping) {
      this.isReloadDue = false;
      log.log('Received SIGHUP, replacing the workers');
      for (const old of [...this.members]) {
        if (this.isStopping) return;
        if ((await this.add()) === null) return log.error('The new worker does not start; the present ones go on');
        this.dismiss(old);
      }
      log.log('The workers are replaced; the old ones finish their requests');
    }
  }

  /** @returns the port that it listens on; null when it has ended before */
  private add(): Promise<number | null> {
    const worker = cluster.fork();
    this.members.add(worker);
    return new Promise((resolve) => {
      worker.once('listening', ({ port }) => resolve(port));
      worker.once('exit', () => resolve(null));
      worker.on('error', (error: Error) => {
        // Of a message to one that has just died; its exit is told besides.
        if (worker.process.pid !== undefined) return;
        this.exited(worker, null, error.message);
        resolve(null);
      });
    });
  }

  private dismiss(worker: Worker): void {
    this.members.delete(worker);
    if (worker.isConnected()) worker.send({ type: 'gatehouse:stop' } satisfies WorkerMessage);
  }

  private exited(worker: Worker, code: number | null, reason: string | null): void {
    const hasListened = this.listening.delete(worker);
    if (!this.members.delete(worker) || this.isStopping) return;
    const { log, onHopeless } = this.settings;
    if (!hasListened && this.members.size === 0) return onHopeless();
    log.error(`A worker has ended (${reason ?? `exit code ${code}`})${hasListened ? ', starting another one' : ''}`);
    // One that a reload has just tried is not tried again; others are, with growing pauses when they do not come up.
    if (!hasListened && this.reloading) return;
    const delay = hasListened ? 0 : this.restartMs;
    if (!hasListened) this.restartMs = Math.min(this.restartMs * 2, RESTART_MAX_MS);
    setTimeout(() => {
      if (!this.isStopping && this.members.size < this.settings.size) void this.add();
    }, delay);
  }
}
