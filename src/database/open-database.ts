import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { OperatorError } from '../common/errors/operator-error.js';
import type { AppConfig } from '../config/app-config.js';
import { isConnectionFailure } from './database-errors.js';
import { pgConfig, type Connection } from './connection.js';
import { findRunningPostgres, startEmbeddedPostgres } from './embedded/embedded-postgres.js';
import { migrate } from './migrate.js';

/** A database that is up and has the current schema. */
export interface OpenDatabase {
  readonly connection: Connection;
  readonly isEmbedded: boolean;
  /** Stops the embedded server; an outside one is left alone. */
  close(): Promise<void>;
}

/** The database cannot be used; the message says what to do. */
export class DatabaseUnusableError extends OperatorError {}

interface Listener {
  log(message: string): void;
  /** The embedded server has died by itself. */
  onServerExit(): void;
}

const WAIT_MS = 30_000;
const RETRY_MS = 500;
/** Of a process, beside its pool. */
const OWN_CONNECTIONS = 4;
const SPARE_CONNECTIONS = 20;
export const OLDEST_VERSION = 14;

export async function openDatabase(config: AppConfig, listener: Listener): Promise<OpenDatabase> {
  const server = await reachServer(config, listener);
  try {
    const applied = await migrate(server.connection);
    if (applied.length > 0) listener.log(`Applied migrations: ${applied.join(', ')}`);
    return server;
  } catch (error) {
    await server.close();
    throw error;
  }
}

/**
 * The same database for a command that only looks at it: where the program runs with its embedded server, that one is asked, beside
 * the program.
 */
export async function joinDatabase(config: AppConfig, listener: Listener): Promise<OpenDatabase> {
  const connection = config.database.url ? null : findRunningPostgres(join(config.dataDir, 'postgres'));
  if (!connection || !(await isReachable(connection))) return openDatabase(config, listener);
  return { connection, isEmbedded: true, close: async () => {} };
}

/** The database that the primary process has opened, for its workers. @throws DatabaseUnusableError */
export function shareDatabase(config: AppConfig): OpenDatabase {
  const close = async () => {};
  if (config.database.url) return { connection: { url: config.database.url }, isEmbedded: false, close };
  const connection = findRunningPostgres(join(config.dataDir, 'postgres'));
  if (!connection) throw new DatabaseUnusableError('The embedded PostgreSQL of the primary process is not there');
  return { connection, isEmbedded: true, close };
}

/** A server that was killed leaves its address behind. */
async function isReachable(connection: Connection): Promise<boolean> {
  const client = new pg.Client(pgConfig(connection));
  try {
    await client.connect();
    return true;
  } catch {
    return false;
  } finally {
    await client.end().catch(() => {});
  }
}

async function reachServer(config: AppConfig, listener: Listener): Promise<OpenDatabase> {
  if (config.database.url) {
    const connection = { url: config.database.url };
    await waitForServer(connection, listener);
    return { connection, isEmbedded: false, close: async () => {} };
  }
  const embedded = await startEmbeddedPostgres({
    directory: join(config.dataDir, 'postgres'),
    log: (line) => listener.log(line),
    settings: { max_connections: connectionsMax(config) },
  });
  embedded.onExit(() => listener.onServerExit());
  return { connection: embedded.connection, isEmbedded: true, close: () => embedded.stop() };
}

/** What all processes take at most, and some for commands and for the operator. */
function connectionsMax({ concurrency, database: { poolSize } }: AppConfig): number {
  return Math.max(100, concurrency * (poolSize + OWN_CONNECTIONS) + SPARE_CONNECTIONS);
}

/** In a composition the database often starts later than we do: a refused connection is asked again for half a minute. */
async function waitForServer(connection: Connection, listener: Listener): Promise<void> {
  const deadline = Date.now() + WAIT_MS;
  for (let attempt = 1; ; attempt++) {
    const client = new pg.Client(pgConfig(connection));
    try {
      await client.connect();
      const { rows } = await client.query<{ version: number }>(
        `SELECT current_setting('server_version_num')::int / 10000 AS version`,
      );
      if (rows[0].version >= OLDEST_VERSION) return;
      throw new DatabaseUnusableError(
        `DATABASE_URL leads to PostgreSQL ${rows[0].version}; it takes ${OLDEST_VERSION} or later`,
      );
    } catch (error) {
      if (error instanceof DatabaseUnusableError) throw error;
      const reason = error instanceof Error ? error.message || (error as NodeJS.ErrnoException).code : String(error);
      if (!isConnectionFailure(error) || Date.now() > deadline) {
        throw new DatabaseUnusableError(`DATABASE_URL leads to no usable database: ${reason}`, { cause: error });
      }
      if (attempt === 1) listener.log(`Waiting for the database: ${reason}`);
      await delay(RETRY_MS);
    } finally {
      await client.end().catch(() => {});
    }
  }
}
