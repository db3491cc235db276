import { Inject, Injectable, Logger, type OnApplicationBootstrap, type OnApplicationShutdown } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import { DataSource, type EntityManager, QueryFailedError } from 'typeorm';
import { isConnectionFailure, isServerUnusable, isStatementTimeout } from '../database-errors.js';
import { type PreparedStatement, PreparedStatements } from '../prepared-statements.js';
import { LogPositions } from './log-positions.js';
import { RecentWriters } from './recent-writers.js';
import type { Replica, ReplicaState } from './replica.js';

/** Injects the replicas of this process, in the order of `DATABASE_REPLICA_URLS`. */
export const REPLICAS = Symbol('Replicas');

const CHECK_EVERY_MS = 1_000;
/** One that is further behind is left out. */
const LAG_MAX_MS = 5_000;
/** One that was left out is taken again when it is so close; the two are apart so that it does not come and go. */
const LAG_TO_RETURN_MS = 2_500;

/** Why one is left out. Faults of a kind are told once. */
interface Fault {
  readonly kind: string;
  readonly text: string;
}

/** How far behind it is will be seen when the primary's log has been looked at more often; it stays what it is. */
const NOT_KNOWN = Symbol('not known');

/** Asked of the primary. */
export const LOG_POSITION: PreparedStatement = {
  name: 'log-position',
  text: `SELECT (SELECT system_identifier::text FROM pg_control_system()) AS system_id, (pg_current_wal_lsn() - '0/0'::pg_lsn)::text AS position`,
};

export interface LogPosition {
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
  /** Those of which the log has said that they are left out, and for what kind of reason. */
  private readonly leftOut = new Map<Replica, string>();
  private isPrimarySilent = false;
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
      // What is too much for the replica would be too much for the primary. What is wrong with the query itself fails there as well.
      if (isStatementTimeout(error)) throw error;
      if (isServerUnusable(error)) this.leaveOut(replica, unreached(error));
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
    let primary: LogPosition | null;
    try {
      primary = await this.statements.first<LogPosition>(LOG_POSITION, []);
    } catch (error) {
      if (!isConnectionFailure(error)) this.doWithout(error);
      return;
    }
    if (!primary) return;
    const { system_id, position } = primary;
    this.isPrimarySilent = false;
    this.positions.add(BigInt(position), takenAt);
    await Promise.all(this.replicas.map((replica) => this.judge(replica, system_id)));
  }

  /** Without the primary's word nobody knows how far behind they are. */
  private doWithout(error: unknown): void {
    for (const replica of this.replicas) replica.leave();
    if (this.isPrimarySilent) return;
    this.isPrimarySilent = true;
    const { message } = error as Error;
    this.logger.warn(`Lists are read from the primary: it does not tell where its log is (${message})`);
  }

  private async judge(replica: Replica, systemId: string): Promise<void> {
    try {
      const fault = this.faultIn(await replica.state(), replica.isUp, systemId);
      if (fault === null) await this.take(replica);
      else if (fault !== NOT_KNOWN) this.leaveOut(replica, { kind: fault, text: fault });
    } catch (error) {
      this.leaveOut(replica, unreached(error));
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

  private async take(replica: Replica): Promise<void> {
    if (replica.isUp) return;
    await replica.take();
    this.leftOut.delete(replica);
    this.logger.log(`Replica ${this.numberOf(replica)} of DATABASE_REPLICA_URLS answers lists`);
  }

  /** Said once, and again when it is for another reason: the operator may have mended the first. */
  private leaveOut(replica: Replica, { kind, text }: Fault): void {
    replica.leave();
    if (this.leftOut.get(replica) === kind) return;
    this.leftOut.set(replica, kind);
    const name = `Replica ${this.numberOf(replica)} of DATABASE_REPLICA_URLS`;
    this.logger.warn(`${name} is left out, others answer its lists: ${text}`);
  }

  private numberOf(replica: Replica): number {
    return this.replicas.indexOf(replica) + 1;
  }
}

/** A server that starts or ends has many words for it; a wrong password is something else. */
function unreached(error: unknown): Fault {
  const cause = error instanceof QueryFailedError ? (error.driverError as NodeJS.ErrnoException) : error;
  const { message, code } = cause as NodeJS.ErrnoException;
  const text = `it is not reached (${message || code})`;
  return { kind: isConnectionFailure(error) ? 'away' : (code ?? message), text };
}
