import pg from 'pg';
import { DataSource } from 'typeorm';
import { migrations } from '../../migrations/index.js';
import { dataSourceOptions, pgConfig, type Connection } from './connection.js';

/** An arbitrary number that all Gatehouse processes agree on. */
const MIGRATION_LOCK = 7_238_145_001;
export const MIGRATIONS_TABLE = 'schema_migrations';

/**
 * Brings the schema up to date and returns the names of what was applied. Of processes that start together one migrates and
 * the others wait: the advisory lock is the session's, so it is freed even if its holder is killed.
 */
export async function migrate(connection: Connection): Promise<string[]> {
  const guard = new pg.Client(pgConfig(connection));
  await guard.connect();
  try {
    // A role may have a time limit of its own (`docs/postgresql.md`); whoever waits here waits for all of another's migration.
    await guard.query('SET statement_timeout = 0');
    await guard.query('SELECT pg_advisory_lock($1)', [MIGRATION_LOCK]);
    const dataSource = new DataSource({
      ...dataSourceOptions(connection, 2),
      // An index on a large table takes longer than any request may.
      // As text: the driver does not send a number that is zero.
      extra: { statement_timeout: '0' },
      migrations,
      migrationsTableName: MIGRATIONS_TABLE,
      migrationsTransactionMode: 'each',
    } as ConstructorParameters<typeof DataSource>[0]);
    await dataSource.initialize();
    try {
      const applied = await dataSource.runMigrations();
      return applied.map(({ name }) => name);
    } finally {
      await dataSource.destroy();
    }
  } finally {
    await guard.end();
  }
}
