import type { MigrationInterface, QueryRunner } from 'typeorm';

const MONTH = (time: string) => `date_trunc('month', ${time} AT TIME ZONE 'UTC')::date`;

const add = (table: string, columns: string, sums: string, rows: string) => `
  INSERT INTO ${table} AS c (${columns}, shard, ${sums}) ${rows}
  ON CONFLICT (${columns}, shard) DO UPDATE SET ${sums
    .split(', ')
    .map((sum) => `${sum} = c.${sum} + excluded.${sum}`)
    .join(', ')};`;

const addMonths = (kind: string, time: string, sign: string, from: string) =>
  add(
    'monthly_counts',
    'kind, month',
    'items',
    `SELECT '${kind}', ${MONTH(time)}, own_shard, ${sign}count(*) FROM ${from} GROUP BY 2 ORDER BY 2`,
  );

const addTypes = (sign: string, from: string) =>
  add(
    'file_type_totals',
    'content_type',
    'files, bytes',
    `SELECT content_type, own_shard, ${sign}count(*), ${sign}sum(file_size) FROM ${from} GROUP BY 1 ORDER BY 1`,
  );

const EVENTS = [
  { name: 'insert', tables: 'NEW TABLE AS added', rows: 'added', sign: '' },
  { name: 'delete', tables: 'OLD TABLE AS removed', rows: 'removed', sign: '-' },
];

/**
 * What the statistics and the lists of everybody's files would otherwise have to count: users and files by the month (of UTC) in which they
 * came, and files by type. Kept in the transaction of the change, so that they cannot drift, and each in a shard of its own
 * (`free_shard()`), so that nobody waits. Of files, those that are ready; only of those that are still there.
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
    await db.query(`
      CREATE TABLE file_type_totals (
        content_type varchar(127),
        shard smallint,
        files bigint NOT NULL,
        bytes bigint NOT NULL,
        CONSTRAINT "PK_file_type_totals" PRIMARY KEY (content_type, shard)
      ) WITH (fillfactor = 50)`);
    // Nobody adds or removes anything between the counting and the beginning of the keeping.
    await db.query('LOCK TABLE users, uploads IN SHARE ROW EXCLUSIVE MODE');
    await db.query(`
      INSERT INTO monthly_counts (kind, month, shard, items)
      SELECT 'user', ${MONTH('created_at')}, 0, count(*) FROM users GROUP BY 2
      UNION ALL SELECT 'file', ${MONTH('upload_date')}, 0, count(*) FROM uploads WHERE state = 'ready' GROUP BY 2`);
    await db.query(`
      INSERT INTO file_type_totals (content_type, shard, files, bytes)
      SELECT content_type, 0, count(*), sum(file_size) FROM uploads WHERE state = 'ready' GROUP BY 1`);
    await this.countStatements(db);
    await this.countPublished(db);
    await this.countMoved(db);
  }

  /** One statement counts once, however many rows it touches: a user's deletion takes the files with it. */
  private async countStatements(db: QueryRunner): Promise<void> {
    for (const { name, tables, rows, sign } of EVENTS) {
      const body = {
        users: addMonths('user', 'created_at', sign, rows),
        // Reserving and releasing are as frequent as publishing, and count nothing.
        uploads: `
          IF NOT EXISTS (SELECT FROM ${rows} WHERE state = 'ready') THEN RETURN NULL; END IF;
          own_shard := free_shard();
          ${addMonths('file', 'upload_date', sign, `${rows} WHERE state = 'ready'`)}
          ${addTypes(sign, `${rows} WHERE state = 'ready'`)}`,
      };
      for (const table of ['users', 'uploads'] as const) {
        await this.createFunction(db, `count_${table}_${name}_by_month`, table, body[table]);
        await db.query(`
          CREATE TRIGGER "TR_${table}_month_${name}" AFTER ${name.toUpperCase()} ON ${table} REFERENCING ${tables}
          FOR EACH STATEMENT EXECUTE FUNCTION count_${table}_${name}_by_month()`);
      }
    }
  }

  /** Publishing is an UPDATE of one row; all the other updates, which are more, cost nothing for a condition on the row. */
  private async countPublished(db: QueryRunner): Promise<void> {
    const one = (sign: string, row: string) =>
      `IF ${row}.state = 'ready' THEN
         ${add('monthly_counts', 'kind, month', 'items', `VALUES ('file', ${MONTH(`${row}.upload_date`)}, own_shard, ${sign}1)`)}
         ${add('file_type_totals', 'content_type', 'files, bytes', `VALUES (${row}.content_type, own_shard, ${sign}1, ${sign}${row}.file_size)`)}
       END IF;`;
    await this.createFunction(
      db,
      'count_uploads_update_by_month',
      'uploads',
      `own_shard := free_shard(); ${one('-', 'OLD')} ${one('', 'NEW')}`,
    );
    await db.query(`
      CREATE TRIGGER "TR_uploads_month_update" AFTER UPDATE ON uploads FOR EACH ROW
      WHEN ((OLD.state = 'ready' OR NEW.state = 'ready')
            AND (OLD.state, OLD.content_type, OLD.file_size, OLD.upload_date)
                IS DISTINCT FROM (NEW.state, NEW.content_type, NEW.file_size, NEW.upload_date))
      EXECUTE FUNCTION count_uploads_update_by_month()`);
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
    await this.createFunction(db, 'count_users_update_by_month', 'users', `${one('-', 'OLD')} ${one('', 'NEW')}`);
    await db.query(`
      CREATE TRIGGER "TR_users_month_update" AFTER UPDATE ON users FOR EACH ROW
      WHEN (OLD.created_at IS DISTINCT FROM NEW.created_at) EXECUTE FUNCTION count_users_update_by_month()`);
  }

  private async createFunction(db: QueryRunner, name: string, table: 'users' | 'uploads', body: string): Promise<void> {
    await db.query(`
      CREATE FUNCTION ${name}() RETURNS trigger LANGUAGE plpgsql AS $$
      DECLARE
        own_shard smallint${table === 'users' ? ' := free_shard()' : ''};
      BEGIN
        ${body}
        RETURN NULL;
      END $$`);
  }

  async down(db: QueryRunner): Promise<void> {
    for (const [table, event] of [
      ['users', 'insert'],
      ['users', 'delete'],
      ['users', 'update'],
      ['uploads', 'insert'],
      ['uploads', 'delete'],
      ['uploads', 'update'],
    ]) {
      await db.query(`DROP TRIGGER "TR_${table}_month_${event}" ON ${table}`);
      await db.query(`DROP FUNCTION count_${table}_${event}_by_month`);
    }
    await db.query('DROP TABLE file_type_totals, monthly_counts');
  }
}
