import { Inject, Injectable, type OnApplicationShutdown } from '@nestjs/common';
import pg from 'pg';
import { isConnectionFailure, isConnectionLost, isStalePlan } from './database-errors.js';
import { CONNECTION, type Connection, pgConfig } from './connection.js';

export interface PreparedStatement {
  /** One for each text: the server keeps the plan of each connection under it. */
  readonly name: string;
  readonly text: string;
}

/** Connections of their own, so that neither a slow query nor an exhausted pool is before them; two use two cores of the server. */
const LANES = 2;
/** What is asked here reads a row or two by key. An answer that takes longer is not coming. */
const ANSWER_TIMEOUT_MS = 5_000;
/** Whoever has waited so long is not let wait for yet another answer. */
const RETRY_WITHIN_MS = 1.5 * ANSWER_TIMEOUT_MS;

/**
 * Named prepared statements for the queries that every request makes: planned once a connection, without TypeORM's hydration, and
 * pipelined and gathered, so that requests that come at the same time share the system calls (`docs/adr/0004`). Short reads only: an answer waits for
 * those before it. Everything else goes through repositories.
 */
@Injectable()
export class PreparedStatements implements OnApplicationShutdown {
  private readonly lanes: (Promise<pg.Client> | null)[] = Array.from({ length: LANES }, () => null);
  private readonly gathering = new WeakSet<pg.Client>();
  private turn = 0;

  constructor(@Inject(CONNECTION) private readonly connection: Connection) {}

  /**
   * A connection may turn out to be broken, or what is prepared on it stale, only when it is used. Since nothing but reads comes this way,
   * it is asked again, on each of the others if need be: those of one server mostly break together.
   */
  async first<Row extends pg.QueryResultRow>(statement: PreparedStatement, values: unknown[]): Promise<Row | null> {
    const retryUntil = performance.now() + RETRY_WITHIN_MS;
    for (let retries = 0; ; retries++) {
      this.turn = (this.turn + 1) % LANES;
      const lane = this.turn;
      const opening = (this.lanes[lane] ??= this.open(lane));
      try {
        return await this.ask<Row>(await opening, statement, values);
      } catch (error) {
        const isStale = isStalePlan(error);
        if (isStale || isConnectionLost(error)) this.giveUp(lane, opening);
        const mayWork = isStale || isConnectionFailure(error);
        if (!mayWork || retries === LANES || performance.now() > retryUntil) throw error;
      }
    }
  }

  private async ask<Row extends pg.QueryResultRow>(
    client: pg.Client,
    statement: PreparedStatement,
    values: unknown[],
  ): Promise<Row | null> {
    this.gather(client);
    const { rows } = await client.query<Row>({ name: statement.name, text: statement.text, values });
    return rows[0] ?? null;
  }

  /** Whatever else waits for it is asked again as well. */
  private giveUp(lane: number, opening: Promise<pg.Client>): void {
    if (this.lanes[lane] === opening) this.lanes[lane] = null;
    opening.then(
      (client) => client.connection.stream.destroy(),
      () => undefined,
    );
  }

  /** What is asked in one turn of the event loop leaves in one packet, which is one system call here and one for the server. */
  private gather(client: pg.Client): void {
    if (this.gathering.has(client)) return;
    this.gathering.add(client);
    const { stream } = client.connection;
    stream.cork();
    setImmediate(() => {
      this.gathering.delete(client);
      stream.uncork();
    });
  }

  async onApplicationShutdown(): Promise<void> {
    const open = this.lanes.splice(0, LANES, ...this.lanes.map(() => null));
    await Promise.allSettled(open.map(async (lane) => (await lane)?.end()));
  }

  /** A connection that breaks is forgotten: what waits on it fails, and the next query opens another. */
  private open(lane: number): Promise<pg.Client> {
    const client = new pg.Client({
      ...pgConfig(this.connection),
      pipeline: true,
      application_name: 'gatehouse',
      statement_timeout: ANSWER_TIMEOUT_MS,
      query_timeout: ANSWER_TIMEOUT_MS,
      keepAlive: true,
    });
    const opening = client.connect().then(() => client);
    const forget = () => {
      if (this.lanes[lane] === opening) this.lanes[lane] = null;
    };
    client.on('error', forget);
    client.on('end', forget);
    opening.catch(forget);
    return opening;
  }
}
