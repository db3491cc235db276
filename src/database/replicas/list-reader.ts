import { Inject, Injectable, Logger, type OnApplicationBootstrap, type OnApplicationShutdown } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import { DataSource, type EntityManager } from 'typeorm';
import { isConnectionFailure, isStatementTimeout } from '../database-errors.js';
import { type PreparedStatement, PreparedStatements } from '../prepared-statements.js';
import { LogPositions } from './log-positions.js';
import { RecentWriters } from './recent-writers.js';
import { type Replica, ReplicaLeftError, type ReplicaState } from './replica.js';

/** Injects the replicas of this process, in the order of `DATABASE_REPLICA_URLS`. */
export const REPLICAS = Symbol('Replicas');

const CHECK_EVERY_MS = 1_000;
/** One that is further behind is left out. */
const LAG_MAX_MS = 5_000;
/** One that was left out is taken again when it is so close; the two are apart so that it does not come and go. */
const LAG_TO_RETURN_MS = 2_500;

/** How far behind it is will be seen when the primary's log has been looked at more often; it stays what it is. */
const NOT_KNOWN = Symbol('not known');

const PRIMARY: PreparedStatement = {
  name: 'log-position',
  text: `SELECT (SELECT system_identifier::text FROM pg_control_system()) AS system_id, (pg_current_wal_lsn() - '0/0'::pg_lsn)::text AS position`,
};

interface Primary {
  readonly system_id: string;
  readonly position: string;
}

/**
 * Where lists and searches are read that are nobody's own: from the replicas in turn, as far as they are up and close behind, else from
 * the primary (`docs/adr/0025`). Access decisions, single records and whatever follows from a write do not come here.
 */
@Injectable()
export class ListReader implements OnApplicationBootstrap, OnApplicationShutdown {
  private readonly logger = new Logger(ListReader.name);
  private readonly positions = new LogPositions();
  /** Those of which the log has said that they are left out. */
  private readonly leftOut = new Set<Replica>();
  private turn = 0;
  private timer: NodeJS.Timeout | null = null;
  private checking: Promise<void> | null = null;
  private hasStopped = false;

  constructor(
    @InjectDataSource() private readonly primary: DataSource,
    private readonly statements: PreparedStatements,
    private readonly writers: RecentWriters,
    @Inject(REPLICAS) private readonly replicas: readonly Replica[],
  ) {}

  /** @param work all queries of one list; it may be done again, on the primary */
  async read<T>(work: (source: EntityManager) => Promise<T>): Promise<T> {
    const replica = this.next();
    if (!replica) return work(this.primary.manager);
    try {
      return await replica.read(work);
    } catch (error) {
      // What is too much for the replica would be too much for the primary.
      if (isStatementTimeout(error) || !(error instanceof ReplicaLeftError || isConnectionFailure(error))) throw error;
      return work(this.primary.manager);
    }
  }

  onApplicationBootstrap(): void {
    if (this.replicas.length > 0) this.checkLater(0);
  }

  async onApplicationShutdown(): Promise<void> {
    this.hasStopped = true;
    if (this.timer) clearTimeout(this.timer);
    await this.checking;
    await Promise.allSettled(this.replicas.map((replica) => replica.close()));
  }

  private next(): Replica | null {
    if (this.replicas.length === 0 || this.writers.includesCaller()) return null;
    for (let tried = 0; tried < this.replicas.length; tried++) {
      this.turn = (this.turn + 1) % this.replicas.length;
      if (this.replicas[this.turn].isUp) return this.replicas[this.turn];
    }
    return null;
  }

  private checkLater(ms: number): void {
    if (this.hasStopped) return;
    this.timer = setTimeout(() => {
      this.checking = this.check().finally(() => this.checkLater(CHECK_EVERY_MS));
    }, ms).unref();
  }

  /** While the primary is away there is nothing to compare with, and nothing to be answered either. */
  private async check(): Promise<void> {
    const takenAt = performance.now();
    const primary = await this.statements.first<Primary>(PRIMARY, []).catch(() => null);
    if (!primary) return;
    this.positions.add(BigInt(primary.position), takenAt);
    const judged = this.replicas.map((replica, index) => this.judge(replica, index + 1, primary.system_id));
    await Promise.all(judged);
  }

  private async judge(replica: Replica, number: number, systemId: string): Promise<void> {
    try {
      const fault = this.faultIn(await replica.state(), replica.isUp, systemId);
      if (fault === null) await this.take(replica, number);
      else if (fault !== NOT_KNOWN) this.leaveOut(replica, number, fault);
    } catch (error) {
      const { message, code } = error as NodeJS.ErrnoException;
      this.leaveOut(replica, number, `it is not reached (${message || code})`);
    }
  }

  /** `null`: it may be read. */
  private faultIn(
    { isInRecovery, systemId, position }: ReplicaState,
    isUp: boolean,
    primaryId: string,
  ): string | typeof NOT_KNOWN | null {
    if (!isInRecovery) return 'it is no replica, or none any more';
    if (systemId !== primaryId) return 'it is a copy of another database';
    const lag = this.positions.lagOf(position, performance.now());
    if (lag === null) return NOT_KNOWN;
    return lag > (isUp ? LAG_MAX_MS : LAG_TO_RETURN_MS) ? 'it is too far behind' : null;
  }

  private async take(replica: Replica, number: number): Promise<void> {
    if (replica.isUp) return;
    await replica.take();
    this.leftOut.delete(replica);
    this.logger.log(`Replica ${number} of DATABASE_REPLICA_URLS answers lists`);
  }

  private leaveOut(replica: Replica, number: number, fault: string): void {
    replica.leave();
    if (this.leftOut.has(replica)) return;
    this.leftOut.add(replica);
    this.logger.warn(`Replica ${number} of DATABASE_REPLICA_URLS is left out, others answer its lists: ${fault}`);
  }
}
