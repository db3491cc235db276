import type { MigrationInterface, QueryRunner } from 'typeorm';

const USERNAME = '(lower(username) COLLATE "C")';
const EMAIL = '(lower(email) COLLATE "C")';
const FILENAME = '(lower(filename) COLLATE "C")';

/** With the column that an expression is made of, the index alone answers what is asked of it. */
const USER_SORTS = {
  created: 'created_at, id)',
  username: `${USERNAME}, id) INCLUDE (username)`,
  email: `${EMAIL}, id) INCLUDE (email)`,
  // Whoever has never signed in comes before everybody who has.
  login: 'last_login NULLS FIRST, id)',
};

const FILE_SORTS = {
  date: 'upload_date, id)',
  name: `${FILENAME}, id) INCLUDE (filename)`,
  size: 'file_size, id)',
};

/**
 * The lists of everybody, for administrators, each in its order. Of users there are four kinds, by role and activity; what a filter asks
 * for is one or more of them, which are merged.
 *
 * A file is ready if and only if it has no end (`CK_uploads_ready`). These indexes say it in the other way than those of one owner's
 * lists, so that none of them is ever taken for a list of one owner, in which it would pass everybody else's files.
 */
export class IndexAdminLists1763700014000 implements MigrationInterface {
  async up(db: QueryRunner): Promise<void> {
    for (const [name, key] of Object.entries(USER_SORTS))
      await db.query(`CREATE INDEX "IX_users_kind_${name}" ON users (role, is_active, ${key}`);
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
    for (const name of Object.keys(USER_SORTS)) await db.query(`DROP INDEX "IX_users_kind_${name}"`);
  }
}
