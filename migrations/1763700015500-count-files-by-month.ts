import type { MigrationInterface, QueryRunner } from 'typeorm';
import { add, addMonths, addTypes, createCounter, dropCounters, EVENTS, MONTH } from './parts/monthly-counts.js';

const READY = `state = 'ready'`;

/**
 * The same for files that are ready, by month and by type: what the lists of everybody's files would otherwise have to count. A migration of
 * its own: one that held `users` and waited for `uploads` would deadlock with a node that still runs.
 */
export class CountFilesByMonth1763700015500 implements MigrationInterface {
  async up(db: QueryRunner): Promise<void> {
    await db.query(`
      CREATE TABLE file_type_totals (
        content_type varchar(127),
        shard smallint,
        files bigint NOT NULL,
        bytes bigint NOT NULL,
        CONSTRAINT "PK_file_type_totals" PRIMARY KEY (content_type, shard)
      ) WITH (fillfactor = 50)`);
    await db.query('LOCK TABLE uploads IN SHARE ROW EXCLUSIVE MODE');
    await db.query(`
      INSERT INTO monthly_counts (kind, month, shard, items)
      SELECT 'file', ${MONTH('upload_date')}, 0, count(*) FROM uploads WHERE ${READY} GROUP BY 2`);
    await db.query(`
      INSERT INTO file_type_totals (content_type, shard, files, bytes)
      SELECT content_type, 0, count(*), sum(file_size) FROM uploads WHERE ${READY} GROUP BY 1`);
    await this.countStatements(db);
    await this.countPublished(db);
  }

  /** One statement counts once, however many rows it touches: a user's deletion takes the files with it. */
  private async countStatements(db: QueryRunner): Promise<void> {
    for (const { name, tables, rows, sign } of EVENTS) {
      // Reserving and releasing are as frequent as publishing, and count nothing.
      const body = `
        IF NOT EXISTS (SELECT FROM ${rows} WHERE ${READY}) THEN RETURN NULL; END IF;
        own_shard := free_shard();
        ${addMonths('file', 'upload_date', sign, `${rows} WHERE ${READY}`)}
        ${addTypes(sign, `${rows} WHERE ${READY}`)}`;
      await createCounter(db, `count_uploads_${name}_by_month`, body);
      await db.query(`
        CREATE TRIGGER "TR_uploads_month_${name}" AFTER ${name.toUpperCase()} ON uploads REFERENCING ${tables}
        FOR EACH STATEMENT EXECUTE FUNCTION count_uploads_${name}_by_month()`);
    }
  }

  /** Publishing is an UPDATE of one row; all the other updates, which are more, cost nothing for a condition on the row. */
  private async countPublished(db: QueryRunner): Promise<void> {
    const one = (sign: string, row: string) =>
      `IF ${row}.state = 'ready' THEN
         ${add('monthly_counts', 'kind, month', 'items', `VALUES ('file', ${MONTH(`${row}.upload_date`)}, own_shard, ${sign}1)`)}
         ${add('file_type_totals', 'content_type', 'files, bytes', `VALUES (${row}.content_type, own_shard, ${sign}1, ${sign}${row}.file_size)`)}
       END IF;`;
    await createCounter(
      db,
      'count_uploads_update_by_month',
      `own_shard := free_shard(); ${one('-', 'OLD')} ${one('', 'NEW')}`,
    );
    await db.query(`
      CREATE TRIGGER "TR_uploads_month_update" AFTER UPDATE ON uploads FOR EACH ROW
      WHEN ((OLD.state = 'ready' OR NEW.state = 'ready')
            AND (OLD.state, OLD.content_type, OLD.file_size, OLD.upload_date)
                IS DISTINCT FROM (NEW.state, NEW.content_type, NEW.file_size, NEW.upload_date))
      EXECUTE FUNCTION count_uploads_update_by_month()`);
  }

  async down(db: QueryRunner): Promise<void> {
    await dropCounters(db, 'uploads');
    await db.query(`DELETE FROM monthly_counts WHERE kind = 'file'`);
    await db.query('DROP TABLE file_type_totals');
  }
}
