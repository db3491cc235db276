import { hostname } from 'node:os';
import { type BeforeApplicationShutdown, Injectable, Logger } from '@nestjs/common';
import { v7 as uuidv7 } from 'uuid';
import { ServiceUnavailableError } from '../../common/errors/errors.js';
import { withTimeout } from '../../common/limits/with-timeout.js';
import { LEASE_MS, NodesRepository } from './nodes.repository.js';
import { Outage } from '../../common/logging/outage.js';
import { SingleFlight } from './single-flight.js';

type Listener = () => void;

/** Five of them fit into a lease. */
const BEAT_MS = 2_000;
/** At least one has been missed. */
const LATE_MS = 5_000;
const HOST_NAME_MAX = 100;
const FAREWELL_TIMEOUT_MS = 3_000;

/**
 * This process among those that share the database. It holds a lease for as long as it is alive, and removes others whose lease has run
 * out while its own was renewed in time, with their audiences and presences. It begins when it is first used: a command that creates the
 * application is no node.
 */
@Injectable()
export class NodeService implements BeforeApplicationShutdown {
  readonly id = uuidv7();
  readonly name = `${hostname().slice(0, HOST_NAME_MAX)}:${process.pid}`;
  private readonly logger = new Logger(NodeService.name);
  private readonly startedAt = new Date();
  private readonly beats = new SingleFlight(() => this.beat());
  private readonly outage = new Outage(this.logger, {
    begin: 'This node’s lease could not be renewed, trying again',
    end: 'This node’s lease is renewed again',
  });
  private readonly registrationListeners: Listener[] = [];
  private readonly beatListeners: Listener[] = [];
  private timer: NodeJS.Timeout | null = null;
  private isRegistered = false;
  private hasStopped = false;
  /** By `performance.now()`, as the next. */
  private lastBeatAt = -Infinity;
  private steadySince = Infinity;
  private connectionCount = 0;

  constructor(private readonly repository: NodesRepository) {}

  /** Idempotent, and without effect once the application shuts down. */
  start(): void {
    if (this.timer || this.hasStopped) return;
    const beat = () =>
      void this.beats.join().then(
        () => this.outage.end(),
        (error: unknown) => this.outage.begin(error),
      );
    this.timer = setInterval(beat, BEAT_MS).unref();
    beat();
  }

  /** Known to the other nodes with the next beat. */
  setConnections(count: number): void {
    this.connectionCount = count;
    this.start();
  }

  get connections(): number {
    return this.connectionCount;
  }

  /** Whether the application is shutting down; nothing of this node is written any more. */
  get isStopped(): boolean {
    return this.hasStopped;
  }

  /**
   * Whether this node has been beating without a gap for a whole lease, so that everybody who is alive has been able to. Until then it
   * is as likely that the database was away, and what other nodes have or have not written there says nothing about them.
   */
  get isSteady(): boolean {
    return performance.now() - this.steadySince >= LEASE_MS;
  }

  /** Called when this node has been registered, at first or anew: nothing else of it is in the database then. */
  onRegistered(listener: Listener): void {
    this.registrationListeners.push(listener);
  }

  /** Called after each beat that has succeeded: the time to try again what has failed. */
  onBeat(listener: Listener): void {
    this.beatListeners.push(listener);
  }

  /** Resolves when this node has been registered. @throws ServiceUnavailableError when the application shuts down */
  async ready(): Promise<void> {
    if (this.hasStopped) throw new ServiceUnavailableError('The server is shutting down');
    this.start();
    if (!this.isRegistered) await this.beats.join();
  }

  /** A beat now; for when the database is found not to know this node any more. */
  renew(): Promise<void> {
    return this.beats.run();
  }

  /** Everything of this node goes at once, so that nobody waits for its lease to run out. */
  async beforeApplicationShutdown(): Promise<void> {
    this.hasStopped = true;
    if (!this.timer) return;
    clearInterval(this.timer);
    try {
      await withTimeout(this.remove(), FAREWELL_TIMEOUT_MS);
    } catch (error) {
      this.logger.warn(`Other nodes see only by its lease that this one has gone: ${(error as Error).message}`);
    }
  }

  private async remove(): Promise<void> {
    // One that is under way might register the node again.
    await this.beats.run();
    await this.repository.remove(this.id);
  }

  private async beat(): Promise<void> {
    if (this.hasStopped) return;
    const renewed = await this.repository.renew(this.id, this.connectionCount);
    const now = performance.now();
    if (!renewed || now - this.lastBeatAt > LATE_MS) this.steadySince = now;
    this.lastBeatAt = now;
    if (renewed?.hasExpired && this.isSteady)
      for (const name of await this.repository.removeExpired()) this.logger.warn(`The lease of node ${name} ran out`);
    if (!renewed) await this.register();
    for (const listener of this.beatListeners) listener();
  }

  private async register(): Promise<void> {
    const { id, name, connections, startedAt } = this;
    if (this.isRegistered) this.logger.warn('This node was taken for gone, and is registered again');
    if (!(await this.repository.register({ id, name, connections, startedAt })))
      throw new Error('this node is still being removed');
    this.isRegistered = true;
    for (const listener of this.registrationListeners) listener();
  }
}
