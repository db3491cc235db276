import { createHmac } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import bcrypt from 'bcryptjs';
import { Piscina } from 'piscina';
import { ServiceUnavailableError } from '../../common/errors/errors.js';
import { AppConfig } from '../../config/app-config.js';

/** Jobs that wait while all workers are busy: half a minute of work at cost 12 on two cores. More are turned away at once. */
const QUEUE_MAX = 128;
const QUEUE_FULL_RETRY_SECONDS = 5;
/** Not a secret. It makes the digest ours, so that digests stolen elsewhere are no use as guesses here. */
const PREHASH_LABEL = 'gatehouse password v1';

/**
 * bcrypt (bcryptjs) in worker threads, one for each core, so that hashing never holds up the event loop. bcrypt reads 72
 * bytes; a password is reduced by HMAC-SHA-256 first, so that all of its 512 characters count.
 */
@Injectable()
export class PasswordHasher implements OnApplicationShutdown {
  private readonly workers: Piscina;
  private readonly decoy: string;

  constructor(private readonly config: AppConfig) {
    this.decoy = this.unusable();
    this.workers = new Piscina({
      filename: new URL('./password.worker.js', import.meta.url).href,
      minThreads: 1,
      maxThreads: Math.max(1, Math.floor(availableParallelism() / config.concurrency)),
      concurrentTasksPerWorker: 1,
      maxQueue: QUEUE_MAX,
      idleTimeout: 60_000,
    });
  }

  async onApplicationShutdown(): Promise<void> {
    await this.workers.destroy();
  }

  /** Jobs that wait for a worker. */
  get waiting(): number {
    return this.workers.queueSize;
  }

  /** @throws ServiceUnavailableError when too many wait */
  hash(password: string): Promise<string> {
    return this.run<string>({ text: prehash(password), cost: this.config.accounts.bcryptCost });
  }

  /**
   * A password that is wrong takes as long with a hash of an older, lower cost as with one of the configured cost: otherwise the time would tell
   * accounts that nobody has signed in to since from names that nobody has.
   * @throws ServiceUnavailableError when too many wait
   */
  matches(password: string, hash: string): Promise<boolean> {
    return this.run<boolean>({ text: prehash(password), hash, decoys: this.decoysFor(hash) });
  }

  /** Takes as long as `matches()` and finds nothing: for an account that does not exist. */
  async matchesNothing(password: string): Promise<false> {
    await this.matches(password, this.decoy);
    return false;
  }

  /** Well-formed and of the configured cost, but the hash of nothing: no password is right, and being told so takes as long as ever. */
  unusable(): string {
    return decoyOf(this.config.accounts.bcryptCost);
  }

  /** Whether the hash was made at another cost than the one configured now. */
  isOutdated(hash: string): boolean {
    return bcrypt.getRounds(hash) !== this.config.accounts.bcryptCost;
  }

  /** Each cost is twice the work of the one below: 2^s + (2^s + … + 2^(c-1)) = 2^c. */
  private decoysFor(hash: string): string[] {
    const cost = bcrypt.getRounds(hash);
    return Array.from({ length: Math.max(0, this.config.accounts.bcryptCost - cost) }, (_, at) => decoyOf(cost + at));
  }

  private async run<Result>(
    task: { text: string } & ({ cost: number } | { hash: string; decoys: string[] }),
  ): Promise<Result> {
    try {
      return (await this.workers.run(task)) as Result;
    } catch (error) {
      if (!(error instanceof Error) || !/queue is at limit/i.test(error.message)) throw error;
      throw new ServiceUnavailableError('The server is busy; please try again', {
        retryAfterSeconds: QUEUE_FULL_RETRY_SECONDS,
      });
    }
  }
}

/** Well-formed, and the hash of nothing. */
const decoyOf = (cost: number) => bcrypt.genSaltSync(cost) + '.'.repeat(31);

const prehash = (password: string) =>
  createHmac('sha256', PREHASH_LABEL).update(password.normalize('NFC')).digest('base64');
