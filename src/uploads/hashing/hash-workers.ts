import { randomUUID } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { FileHash } from './file-hash.js';

interface Answer {
  call: number;
  result?: string;
  error?: string;
}

type Task = { action: 'take'; fd: number; from: number; to: number } | { action: 'digest' } | { action: 'forget' };

/** One hash in the making, in one of the workers. */
export interface HashLane {
  /** Adds the bytes `from` up to `to` of an open file, which must stay open until this resolves. */
  take(fd: number, from: number, to: number): Promise<void>;
  digest(): Promise<string>;
  forget(): void;
}

/** More threads than this would only take cores from each other. */
const WORKERS_MAX = 4;

/** SHA-256 off the main thread: hashing a gigabyte there would keep everybody else waiting for half a second. */
@Injectable()
export class HashWorkers implements OnApplicationShutdown {
  private readonly workers: HashWorker[] = [];
  private readonly size = Math.max(1, Math.min(WORKERS_MAX, availableParallelism() - 1));
  private turn = 0;

  start(): FileHash {
    return new FileHash(() => this.lane());
  }

  async onApplicationShutdown(): Promise<void> {
    await Promise.all(this.workers.splice(0).map((worker) => worker.stop()));
  }

  private lane(): HashLane {
    this.turn = (this.turn + 1) % this.size;
    const present = this.workers.at(this.turn);
    const worker = present?.isAlive ? present : (this.workers[this.turn] = new HashWorker());
    const id = randomUUID();
    return {
      take: async (fd, from, to) => void (await worker.run(id, { action: 'take', fd, from, to })),
      digest: () => worker.run(id, { action: 'digest' }),
      forget: () => void worker.run(id, { action: 'forget' }).catch(() => undefined),
    };
  }
}

class HashWorker {
  isAlive = true;
  private readonly worker = new Worker(new URL('./hash.worker.js', import.meta.url));
  private readonly waiting = new Map<number, { resolve(result: string): void; reject(error: Error): void }>();
  private calls = 0;

  constructor() {
    this.worker.unref();
    this.worker.on('message', ({ call, result, error }: Answer) => {
      const waiting = this.waiting.get(call);
      this.waiting.delete(call);
      if (error === undefined) waiting?.resolve(result ?? '');
      else waiting?.reject(new Error(`Hashing failed: ${error}`));
    });
    this.worker.on('error', (error) => this.fail(error));
    this.worker.on('exit', () => this.fail(new Error('The hashing thread has ended')));
  }

  run(id: string, task: Task): Promise<string> {
    if (!this.isAlive) return Promise.reject(new Error('The hashing thread has ended'));
    const call = ++this.calls;
    return new Promise((resolve, reject) => {
      this.waiting.set(call, { resolve, reject });
      this.worker.postMessage({ call, id, ...task });
    });
  }

  async stop(): Promise<void> {
    await this.worker.terminate();
  }

  private fail(error: Error): void {
    this.isAlive = false;
    for (const { reject } of this.waiting.values()) reject(error);
    this.waiting.clear();
  }
}
