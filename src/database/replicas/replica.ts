import pg from 'pg';
import { DataSource, type DataSourceOptions, type EntityManager } from 'typeorm';
import { withTimeout } from '../../common/limits/with-timeout.js';
import { type Connection, pgConfig } from '../connection.js';

/** What a replica says of itself. */
export interface ReplicaState {
  readonly isInRecovery: boolean;
  /** Of the cluster that it is a copy of. */
  readonly systemId: string;
  /** How far it has replayed the primary's log, in bytes. */
  readonly position: bigint;
}

/** One that hangs is as good as gone. */
const ANSWER_TIMEOUT_MS = 2_000;
const END_TIMEOUT_MS = 1_000;

const STATE = `
  SELECT pg_is_in_recovery() AS is_in_recovery, (SELECT system_identifier::text FROM pg_control_system()) AS system_id,
         coalesce(pg_last_wal_replay_lsn() - '0/0'::pg_lsn, 0)::text AS position`;

/** It was left out while it was asked. */
export class ReplicaLeftError extends Error {}

/** One streaming replica: a pool for lists, and beside it a connection that asks how it is. */
export class Replica {
  private isIn = false;
  private source: DataSource | null = null;
  /** Of the pool as it is. */
  private clients = new Set<pg.Client>();
  /** The end of the last pool. */
  private ending: Promise<void> = Promise.resolve();
  private probe: Promise<pg.Client> | null = null;
  /** What ends each read that waits for it. */
  private readonly reads = new Set<(error: Error) => void>();

  constructor(
    private readonly connection: Connection,
    private readonly options: () => DataSourceOptions,
  ) {}

  /** Whether lists may be read here. */
  get isUp(): boolean {
    return this.isIn;
  }

  /** @throws whatever the connection or the server says */
  async state(): Promise<ReplicaState> {
    const client = await (this.probe ??= this.openProbe());
    try {
      const { rows } = await client.query<{ is_in_recovery: boolean; system_id: string; position: string }>(STATE);
      const [{ is_in_recovery, system_id, position }] = rows;
      return { isInRecovery: is_in_recovery, systemId: system_id, position: BigInt(position) };
    } catch (error) {
      this.probe = null;
      // Not ended: one that hangs never answers a goodbye.
      client.connection.stream.destroy();
      throw error;
    }
  }

  /** From now on it is read. @throws whatever the connection says */
  async take(): Promise<void> {
    this.source ??= await new DataSource(this.remembering(this.options())).initialize();
    this.isIn = true;
  }

  /** What waits for it waits no longer: `read()` throws `ReplicaLeftError`. Nobody gets one of its connections when it is back. */
  leave(): void {
    this.isIn = false;
    for (const end of this.reads) end(new ReplicaLeftError());
    const { source, clients } = this;
    if (!source) return;
    this.source = null;
    this.clients = new Set();
    this.ending = withTimeout(source.destroy(), END_TIMEOUT_MS)
      .catch(() => undefined)
      // One that hangs never answers a goodbye.
      .finally(() => clients.forEach(({ connection }) => connection.stream.destroy()));
  }

  async read<T>(work: (source: EntityManager) => Promise<T>): Promise<T> {
    const { source } = this;
    if (!source || !this.isIn) throw new ReplicaLeftError();
    let end: (error: Error) => void = () => undefined;
    const left = new Promise<never>((_resolve, reject) => (end = reject));
    this.reads.add(end);
    try {
      return await Promise.race([work(source.manager), left]);
    } finally {
      this.reads.delete(end);
    }
  }

  async close(): Promise<void> {
    this.leave();
    const probe = await this.probe?.catch(() => null);
    if (probe) {
      await withTimeout(probe.end(), END_TIMEOUT_MS).catch(() => undefined);
      probe.connection.stream.destroy();
    }
    await this.ending;
  }

  /** The pool's connections are noted as they are made. */
  private remembering(options: DataSourceOptions): DataSourceOptions {
    const { clients } = this;
    const { Client = pg.Client, ...extra } = (options.extra ?? {}) as { Client?: typeof pg.Client };
    const NotedClient = class extends Client {
      constructor(config?: pg.ClientConfig) {
        super(config);
        clients.add(this);
        this.once('end', () => clients.delete(this));
      }
    };
    return { ...options, extra: { ...extra, Client: NotedClient } } as DataSourceOptions;
  }

  private openProbe(): Promise<pg.Client> {
    const client = new pg.Client({
      ...pgConfig(this.connection),
      application_name: 'gatehouse replica check',
      connectionTimeoutMillis: ANSWER_TIMEOUT_MS,
      query_timeout: ANSWER_TIMEOUT_MS,
      keepAlive: true,
    });
    const opening = client.connect().then(() => client);
    const forget = () => {
      if (this.probe === opening) this.probe = null;
    };
    client.on('error', forget);
    client.on('end', forget);
    opening.catch(forget);
    return opening;
  }
}
