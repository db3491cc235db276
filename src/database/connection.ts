import pg from 'pg';
import type { DataSourceOptions } from 'typeorm';
import { SnakeCaseNamingStrategy } from './naming-strategy.js';

/** How to reach a database: by URL, or the parts that the embedded server was started with (`host` may be a socket folder). */
export type Connection =
  { url: string } | { host: string; port: number; user: string; password: string; database: string };

/** Injects the `Connection` of this process. */
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
 * does not yet: nobody would catch it. The query that follows fails all the same.
 */
class PooledClient extends pg.Client {
  constructor(config?: pg.ClientConfig) {
    super(config);
    this.on('error', () => undefined);
  }
}

export function dataSourceOptions(connection: Connection, poolSize: number): DataSourceOptions {
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
      statement_timeout: STATEMENT_TIMEOUT_MS,
      idle_in_transaction_session_timeout: STATEMENT_TIMEOUT_MS,
      query_timeout: QUERY_TIMEOUT_MS,
    },
  } as DataSourceOptions;
}
