import type { MigrationInterface, QueryRunner } from 'typeorm';

const FILENAME = '(lower(filename) COLLATE "C")';

const FILE_SORTS = {
  date: 'upload_date, id)',
  name: `${FILENAME}, id) INCLUDE (filename)`,
  size: 'file_size, id)',
};

/**
 * The lists of everybody's files, for administrators. A migration of its own: one that held `users` and waited for `uploads` would
 * deadlock with a node that still runs.
 *
 * A file is ready if and only if it has no end (`CK_uploads_ready`). These indexes say it in the other way than those of one owner's
 * lists, so that none of them is ever taken for a list of one owner, in which it would pass everybody else's files.
 */
export class IndexAllUploads1763700014500 implements MigrationInterface {
  async up(db: QueryRunner): Promise<void> {
    for (const [name, key] of Object.entries(FILE_SORTS)) {
      await db.query(`CREATE INDEX "IX_uploads_all_${name}" ON uploads (${key} WHERE expires_at IS NULL`);
      await db.query(
        `CREATE INDEX "IX_uploads_type_${name}" ON uploads (content_type, ${key} WHERE expires_at IS NULL`,
      );
    }
  }

  async down(db: QueryRunner): Promise<void> {
    for (const name of Object.keys(FILE_SORTS))
      await db.query(`DROP INDEX "IX_uploads_type_${name}", "IX_uploads_all_${name}"`);
  }
}
