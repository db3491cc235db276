import type { MigrationInterface, QueryRunner } from 'typeorm';

const COLUMNS = 'owner_id, content_type, state, file_size';

/** What a statement has put in and taken out, from the transition tables that its event has. */
const CHANGES = {
  insert: `SELECT ${COLUMNS}, 1 AS sign FROM added`,
  update: `SELECT ${COLUMNS}, 1 AS sign FROM added UNION ALL SELECT ${COLUMNS}, -1 FROM removed`,
  delete: `SELECT ${COLUMNS}, -1 AS sign FROM removed`,
};

const TABLES = {
  insert: 'NEW TABLE AS added',
  update: 'NEW TABLE AS added OLD TABLE AS removed',
  delete: 'OLD TABLE AS removed',
};

type Event = keyof typeof CHANGES;
const EVENTS = Object.keys(CHANGES) as Event[];

/**
 * The sums that quotas, statistics and lists read, kept by the database itself in the transaction that changes the files, so that
 * they cannot drift: neither by a crash, nor by a way of changing files that forgets them (a user's deletion takes the files with it).
 *
 * - `users.storage_held`: all rows, pending ones too; what a quota is compared with. `total_uploads`, `total_storage_used`: ready rows.
 * - `storage_totals.bytes`: what all rows hold. It changes only when a size does, so that publishing a file does not queue for the one row.
 * - `upload_type_counts`: ready files by owner and type.
 * - `removed_blobs`: rows that are gone and whose bytes are still to be removed.
 *
 * Rows are locked in one order everywhere: a user, then that user's uploads, then the total.
 */
export class AccountUploads1763700005000 implements MigrationInterface {
  async up(db: QueryRunner): Promise<void> {
    await db.query(`
      ALTER TABLE users
        ADD COLUMN quota bigint CONSTRAINT "CK_users_quota" CHECK (quota >= 0),
        ADD COLUMN storage_held bigint NOT NULL DEFAULT 0 CONSTRAINT "CK_users_storage_held" CHECK (storage_held >= 0)`);
    await db.query(`
      CREATE TABLE storage_totals (
        is_only boolean CONSTRAINT "PK_storage_totals" PRIMARY KEY CONSTRAINT "CK_storage_totals_is_only" CHECK (is_only),
        storage_id uuid,
        bytes bigint NOT NULL CONSTRAINT "CK_storage_totals_bytes" CHECK (bytes >= 0)
      ) WITH (fillfactor = 20)`);
    await db.query('INSERT INTO storage_totals (is_only, bytes) VALUES (true, 0)');
    await db.query(`
      CREATE TABLE upload_type_counts (
        owner_id uuid CONSTRAINT "FK_upload_type_counts_owner_id" REFERENCES users (id) ON DELETE CASCADE,
        content_type varchar(127),
        files bigint NOT NULL CONSTRAINT "CK_upload_type_counts_files" CHECK (files >= 0),
        CONSTRAINT "PK_upload_type_counts" PRIMARY KEY (owner_id, content_type)
      )`);
    await db.query(`
      CREATE TABLE removed_blobs (
        upload_id uuid CONSTRAINT "PK_removed_blobs" PRIMARY KEY,
        removed_at timestamptz(3) NOT NULL
      )`);
    for (const event of EVENTS) await this.account(db, event);
  }

  private async account(db: QueryRunner, event: Event): Promise<void> {
    const types = (comparison: string) => `
      SELECT owner_id, content_type, sum(sign) AS files FROM (${CHANGES[event]}) t
      WHERE state = 'ready' GROUP BY owner_id, content_type HAVING sum(sign) ${comparison} 0 ORDER BY owner_id, content_type`;
    // The owner of removed files may be gone with them; the counts then are, too.
    const fewer = `
      UPDATE upload_type_counts c SET files = c.files + d.files FROM (${types('<')}) d
      WHERE c.owner_id = d.owner_id AND c.content_type = d.content_type;`;
    const more = `
      INSERT INTO upload_type_counts AS c (owner_id, content_type, files) ${types('>')}
      ON CONFLICT (owner_id, content_type) DO UPDATE SET files = c.files + excluded.files;`;
    await db.query(`
      CREATE FUNCTION account_uploads_${event}() RETURNS trigger LANGUAGE plpgsql AS $$
      DECLARE
        change record;
        held bigint := 0;
      BEGIN
        FOR change IN
          SELECT owner_id, sum(sign * file_size) AS held,
                 coalesce(sum(sign) FILTER (WHERE state = 'ready'), 0) AS files,
                 coalesce(sum(sign * file_size) FILTER (WHERE state = 'ready'), 0) AS used
          FROM (${CHANGES[event]}) c GROUP BY owner_id ORDER BY owner_id
        LOOP
          IF change.held <> 0 OR change.files <> 0 OR change.used <> 0 THEN
            UPDATE users SET storage_held = storage_held + change.held, total_uploads = total_uploads + change.files,
                             total_storage_used = total_storage_used + change.used
            WHERE id = change.owner_id;
            held := held + change.held;
          END IF;
        END LOOP;
        ${event === 'insert' ? '' : fewer}
        ${event === 'delete' ? '' : more}
        ${event === 'delete' ? 'INSERT INTO removed_blobs (upload_id, removed_at) SELECT id, now() FROM removed;' : ''}
        IF held <> 0 THEN
          UPDATE storage_totals SET bytes = bytes + held;
        END IF;
        RETURN NULL;
      END $$`);
    await db.query(`
      CREATE TRIGGER "TR_uploads_account_${event}" AFTER ${event.toUpperCase()} ON uploads
      REFERENCING ${TABLES[event]} FOR EACH STATEMENT EXECUTE FUNCTION account_uploads_${event}()`);
  }

  async down(db: QueryRunner): Promise<void> {
    for (const event of EVENTS) {
      await db.query(`DROP TRIGGER "TR_uploads_account_${event}" ON uploads`);
      await db.query(`DROP FUNCTION account_uploads_${event}`);
    }
    for (const table of ['removed_blobs', 'upload_type_counts', 'storage_totals'])
      await db.query(`DROP TABLE ${table}`);
    await db.query('ALTER TABLE users DROP COLUMN storage_held, DROP COLUMN quota');
  }
}
