import type { MigrationInterface, QueryRunner } from 'typeorm';
import { add, addMonths, createCounter, dropCounters, EVENTS, MONTH } from './parts/monthly-counts.js';

/**
 * What the statistics would otherwise have to count: users by the month (of UTC) in which they came. Kept in the transaction of the change,
 * so that it cannot drift, and each in a shard of its own (`free_shard()`), so that nobody waits. Only of those who are still there.
 */
export class CountByMonth1763700015000 implements MigrationInterface {
  async up(db: QueryRunner): Promise<void> {
    await db.query(`
      CREATE TABLE monthly_counts (
        kind varchar(4) CONSTRAINT "CK_monthly_counts_kind" CHECK (kind IN ('user', 'file')),
        month date,
        shard smallint,
        items bigint NOT NULL,
        CONSTRAINT "PK_monthly_counts" PRIMARY KEY (kind, month, shard)
      ) WITH (fillfactor = 50)`);
    // Nobody adds or removes anything between the counting and the beginning of the keeping.
    await db.query('LOCK TABLE users IN SHARE ROW EXCLUSIVE MODE');
    await db.query(`
      INSERT INTO monthly_counts (kind, month, shard, items)
      SELECT 'user', ${MONTH('created_at')}, 0, count(*) FROM users GROUP BY 2`);
    for (const { name, tables, rows, sign } of EVENTS) {
      const body = `own_shard := free_shard(); ${addMonths('user', 'created_at', sign, rows)}`;
      await createCounter(db, `count_users_${name}_by_month`, body);
      await db.query(`
        CREATE TRIGGER "TR_users_month_${name}" AFTER ${name.toUpperCase()} ON users REFERENCING ${tables}
        FOR EACH STATEMENT EXECUTE FUNCTION count_users_${name}_by_month()`);
    }
    await this.countMoved(db);
  }

  /** Nothing here changes when somebody came; whoever does by hand is counted all the same. */
  private async countMoved(db: QueryRunner): Promise<void> {
    const one = (sign: string, row: string) =>
      add(
        'monthly_counts',
        'kind, month',
        'items',
        `VALUES ('user', ${MONTH(`${row}.created_at`)}, own_shard, ${sign}1)`,
      );
    await createCounter(
      db,
      'count_users_update_by_month',
      `own_shard := free_shard(); ${one('-', 'OLD')} ${one('', 'NEW')}`,
    );
    await db.query(`
      CREATE TRIGGER "TR_users_month_update" AFTER UPDATE ON users FOR EACH ROW
      WHEN (OLD.created_at IS DISTINCT FROM NEW.created_at) EXECUTE FUNCTION count_users_update_by_month()`);
  }

  async down(db: QueryRunner): Promise<void> {
    await dropCounters(db, 'users');
    await db.query('DROP TABLE monthly_counts');
  }
}
