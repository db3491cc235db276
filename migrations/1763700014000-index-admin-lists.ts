import type { MigrationInterface, QueryRunner } from 'typeorm';

const USERNAME = '(lower(username) COLLATE "C")';
const EMAIL = '(lower(email) COLLATE "C")';

/** With the column that an expression is made of, the index alone answers what is asked of it. */
const USER_SORTS = {
  created: 'created_at, id)',
  username: `${USERNAME}, id) INCLUDE (username)`,
  email: `${EMAIL}, id) INCLUDE (email)`,
  // Whoever has never signed in comes before everybody who has.
  login: 'last_login NULLS FIRST, id)',
};

/**
 * The lists of everybody, for administrators, each in its order. There are four kinds of users, by role and activity; what a filter asks
 * for is one or more of them, which are merged.
 */
export class IndexAdminLists1763700014000 implements MigrationInterface {
  async up(db: QueryRunner): Promise<void> {
    for (const [name, key] of Object.entries(USER_SORTS))
      await db.query(`CREATE INDEX "IX_users_kind_${name}" ON users (role, is_active, ${key}`);
  }

  async down(db: QueryRunner): Promise<void> {
    for (const name of Object.keys(USER_SORTS)) await db.query(`DROP INDEX "IX_users_kind_${name}"`);
  }
}
