import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { DataSource } from 'typeorm';
import type { AppConfig } from '../../config/app-config.js';
import { type Connection, dataSourceOptions } from '../../database/connection.js';
import { findRunningPostgres, startEmbeddedPostgres } from '../../database/embedded/embedded-postgres.js';
import { openHomeDirectory } from '../../database/embedded/home-directory.js';
import { isClearUrl, UNCLEAR_URL } from './redaction.js';

/** The database as it is: nothing is migrated, and none is made where there is none. */
export type DatabaseLook =
  | {
      readonly kind: 'reached';
      readonly database: DataSource;
      /** Where it is, without a password. */
      readonly place: string;
      close(): Promise<void>;
    }
  | { readonly kind: 'none yet'; readonly place: string }
  | { readonly kind: 'away'; readonly place: string; readonly error: unknown };

export async function lookAtDatabase(config: AppConfig): Promise<DatabaseLook> {
  const url = config.database.directUrl ?? config.database.url;
  if (url !== null) {
    const place = placeOf(url);
    try {
      const database = await connect({ url });
      return { kind: 'reached', database, place, close: () => database.destroy() };
    } catch (error) {
      return { kind: 'away', place, error: isClearUrl(url) ? error : new Error(UNCLEAR_URL) };
    }
  }
  const directory = join(config.dataDir, 'postgres');
  try {
    return await lookAtEmbedded(directory);
  } catch (error) {
    return { kind: 'away', place: `embedded PostgreSQL in ${directory}`, error };
  }
}

/** The one of a running server is asked beside it; else it runs for as long as it is looked at. */
async function lookAtEmbedded(directory: string): Promise<DatabaseLook> {
  const place = `embedded PostgreSQL in ${directory}`;
  if (!existsSync(directory) || !openHomeDirectory(directory, () => undefined).hasCluster())
    return { kind: 'none yet', place };
  const running = findRunningPostgres(directory);
  // One that was killed leaves its address behind.
  const beside = running && (await connect(running).catch(() => null));
  if (beside) return { kind: 'reached', database: beside, place: `${place}, running`, close: () => beside.destroy() };
  const server = await startEmbeddedPostgres({ directory });
  try {
    const database = await connect(server.connection);
    const close = async () => {
      await database.destroy();
      await server.stop();
    };
    return { kind: 'reached', database, place: `${place}, started for this look`, close };
  } catch (error) {
    await server.stop();
    throw error;
  }
}

async function connect(connection: Connection): Promise<DataSource> {
  const database = new DataSource({ ...dataSourceOptions(connection, 2), logging: false });
  return database.initialize();
}

/** Host and database of a URL, and whoever signs in. */
function placeOf(text: string): string {
  if (!isClearUrl(text)) return 'PostgreSQL of DATABASE_URL';
  const url = new URL(text);
  const host = url.searchParams.get('host') ?? url.host;
  return `PostgreSQL at ${host}${url.pathname}${url.username && `, as ${decodeURIComponent(url.username)}`}`;
}
