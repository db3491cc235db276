import type { Pool } from 'pg';
import { until } from './uploads.js';

/**
 * Makes a table ready for plans to be looked at. VACUUM can tell that a row is seen by everybody when its commit is on disk, for which
 * nobody waits in tests, and when no older transaction is left; until then scans of an index alone are dear. Pages that are still empty
 * never count.
 */
export async function vacuum(database: Pool, table: string): Promise<void> {
  await until(async () => {
    await database.query(`VACUUM (ANALYZE) ${table}`);
    const { rows } = await database.query<{ isTidy: boolean }>(
      'SELECT relallvisible > 0.95 * relpages AS "isTidy" FROM pg_class WHERE oid = $1::regclass',
      [table],
    );
    return rows[0].isTidy;
  }, `all rows of ${table} to be seen by everybody`);
}
