import pg from 'pg';
import type { DataSourceOptions } from 'typeorm';
import { SnakeCaseNamingStrategy } from './naming-strategy.js';

/** How to reach a database: by URL, or the parts that the embedded server was started with (`host` may be a socket folder). */
export type Connection =
  { url: string } | { host: string; port: number; user: string; password: string; database: string };

/** Injects the `Connection` of this process, to the server itself: whatever needs a session of its own uses this one. */
export const CONNECTION = Symbol('Connection');

const CONNECT_TIMEOUT_MS = 5_000;
/** No request waits longer for an answer that will not come. */
const STATEMENT_TIMEOUT_MS = 15_000;
/** A server that hangs does not keep its own time limit; then ours ends the wait. */
const QUERY_TIMEOUT_MS = 20_000;

/** The connection as the `pg` driver takes it. */
export function pgConfig(connection: Connection) {
  return 'url' in connection
    ? { connectionString: connection.url, connectionTimeoutMillis: CONNECT_TIMEOUT_MS }
    : { ...connection, connectionTimeoutMillis: CONNECT_TIMEOUT_MS };
}

/**
 * A server that dies may say so in the very moment in which a connection is made, when the pool no longer listens for errors and TypeORM
 * does not yet: nobody would catch it. The query that follows fails all the same. And a server that has not answered a query in time
 * would not answer the ROLLBACK after it either: its connection is given up, so that nobody waits twice.
 */
class PooledClient extends pg.Client {
  constructor(config?: pg.ClientConfig) {
    super(config);
    this.on('error', () => undefined);
    const ask = this.query.bind(this) as (...given: unknown[]) => unknown;
    const giveUp = ({ message }: Error) => {
      if (message === 'Query read timeout') this.connection.stream.destroy();
    };
    this.query = ((...given: unknown[]) => {
      const answer = ask(...given);
      if (answer instanceof Promise) answer.catch(giveUp);
      return answer;
    }) as typeof this.query;
  }
}

export interface PoolTraits {
  /** A pooler in transaction mode is on the way, which takes no settings: they stand in its own configuration (`docs/postgresql.md`). */
  readonly isPooler?: boolean;
  readonly isReadOnly?: boolean;
}

export function dataSourceOptions(
  connection: Connection,
  poolSize: number,
  { isPooler = false, isReadOnly = false }: PoolTraits = {},
): DataSourceOptions {
  const { user, ...parts } = 'url' in connection ? { user: undefined, ...connection } : connection;
  return {
    type: 'postgres',
    ...parts,
    ...(user && { username: user }),
    namingStrategy: new SnakeCaseNamingStrategy(),
    synchronize: false,
    installExtensions: false,
    connectTimeoutMS: CONNECT_TIMEOUT_MS,
    applicationName: 'gatehouse',
    poolSize,
    extra: {
      Client: PooledClient,
      keepAlive: true,
      query_timeout: QUERY_TIMEOUT_MS,
      ...(!isPooler && {
        statement_timeout: STATEMENT_TIMEOUT_MS,
        idle_in_transaction_session_timeout: STATEMENT_TIMEOUT_MS,
      }),
      ...(isReadOnly && !isPooler && { options: '-c default_transaction_read_only=on' }),
    },
  } as DataSourceOptions;
}
