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

/** Longer than a worker gives its requests in flight: one that hangs is not waited for. */
const END_WITHIN_MS = 27_000;
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
  /** The one that a reload tries. */
  private trial: Worker | null = null;

  constructor(private readonly settings: Settings) {
    cluster.on('exit', (worker, code, signal) => this.exited(worker, code, signal));
    cluster.on('listening', (worker) => {
      this.listening.add(worker);
      this.restartMs = RESTART_MIN_MS;
    });
  }

  /** Those that take requests, also the ones that are on their way out. */
  *running(): Iterable<Worker> {
    yield* this.listening;
  }

  /** Resolves when all of them take requests. The first one is alone at first: what is wrong with all of them is said once. */
  async start(): Promise<void> {
    const isUp = await this.add();
    if (isUp && !this.isStopping) await Promise.all(Array.from({ length: this.settings.size - 1 }, () => this.add()));
    // It has said why, and `exited()` has acted on it; or the program is stopping.
    if (!isUp || this.isStopping) return new Promise(() => undefined);
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
      const isDone = await this.replaceEach([...this.members]);
      this.settle();
      if (!isDone) return;
      log.log('The workers are replaced; the old ones finish their requests');
    }
  }

  private async replaceEach(present: readonly Worker[]): Promise<boolean> {
    for (const old of present) {
      // One that has died meanwhile is no concern any more.
      if (!this.members.has(old)) continue;
      const isUp = await this.add((worker) => (this.trial = worker));
      this.trial = null;
      if (this.isStopping) return false;
      if (!isUp) {
        this.settings.log.error(
          'The new worker does not start; the present ones go on, and cannot be replaced like this',
        );
        return false;
      }
      this.dismiss(old);
    }
    return true;
  }

  /** Those that died during a reload may have too many successors, or none. */
  private settle(): void {
    if (this.isStopping) return;
    const { size } = this.settings;
    for (const worker of [...this.members].slice(0, Math.max(0, this.members.size - size))) this.dismiss(worker);
    for (let missing = size - this.members.size; missing > 0; missing--) void this.add();
  }

  /** @returns whether it takes requests; false when it has ended before */
  private add(announce: (worker: Worker) => void = () => undefined): Promise<boolean> {
    const worker = cluster.fork();
    this.members.add(worker);
    announce(worker);
    return new Promise((resolve) => {
      worker.once('listening', () => resolve(true));
      worker.once('exit', () => resolve(false));
      worker.on('error', (error: Error) => {
        // Of a message to one that has just died; its exit is told besides.
        if (worker.process.pid !== undefined) return;
        this.exited(worker, null, error.message);
        resolve(false);
      });
    });
  }

  private dismiss(worker: Worker): void {
    this.members.delete(worker);
    // One that starts does not hear yet, and has nothing to finish.
    if (!this.listening.has(worker)) return void worker.process.kill('SIGKILL');
    if (worker.isConnected()) worker.send({ type: 'gatehouse:stop' } satisfies WorkerMessage);
    const patience = setTimeout(() => worker.process.kill('SIGKILL'), END_WITHIN_MS);
    worker.once('exit', () => clearTimeout(patience));
  }

  private exited(worker: Worker, code: number | null, reason: string | null): void {
    const hasListened = this.listening.delete(worker);
    if (!this.members.delete(worker) || this.isStopping) return;
    const { log, onHopeless } = this.settings;
    if (!hasListened && this.members.size === 0) return onHopeless();
    log.error(`A worker has ended (${reason ?? `exit code ${code}`})${hasListened ? ', starting another one' : ''}`);
    // What a reload has tried is not tried again; others are, with growing pauses when they do not come up.
    if (worker === this.trial) return;
    const delay = hasListened ? 0 : this.restartMs;
    if (!hasListened) this.restartMs = Math.min(this.restartMs * 2, RESTART_MAX_MS);
    setTimeout(() => {
      if (!this.isStopping && this.members.size < this.settings.size) void this.add();
    }, delay);
  }
}
