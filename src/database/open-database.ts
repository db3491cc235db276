import { join } from 'node:path';
import pg from 'pg';
import type { AppConfig } from '../config/app-config.js';
import { pgConfig, type Connection } from './connection.js';
import { findRunningPostgres, startEmbeddedPostgres } from './embedded/embedded-postgres.js';
import { migrate } from './migrate.js';
import { DatabaseUnusableError, reachOutsideServer } from './outside-server.js';

/** A database that is up and has the current schema. */
export interface OpenDatabase {
  /** To the server itself; the pool may take another way (`DatabaseModule`). */
  readonly connection: Connection;
  readonly isEmbedded: boolean;
  /** Stops the embedded server; an outside one is left alone. */
  close(): Promise<void>;
}

interface Listener {
  log(message: string): void;
  /** The embedded server has died by itself. */
  onServerExit(): void;
}

/** Of a process, beside its pool. */
const OWN_CONNECTIONS = 5;
const SPARE_CONNECTIONS = 20;

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
  const { url, directUrl } = config.database;
  if (url) return { connection: { url: directUrl ?? url }, isEmbedded: false, close };
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
  const { url } = config.database;
  if (url) {
    const connection = await reachOutsideServer(config.database, url, (line) => listener.log(line));
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
