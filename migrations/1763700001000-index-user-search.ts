import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Search by any part of a name or email (trigrams), by the beginning of a username or email for terms too short for a
 * trigram, pages of the active users and the few admins by indexes that hold nothing but what is asked.
 */
export class IndexUserSearch1763700001000 implements MigrationInterface {
  async up(db: QueryRunner): Promise<void> {
    await db.query('CREATE EXTENSION IF NOT EXISTS pg_trgm');
    await db.query(`
      CREATE INDEX "IX_users_names_trigram" ON users USING gin (
        lower(username || ' ' || coalesce(full_name, '') || ' ' || coalesce(first_name, '') || ' ' || coalesce(last_name, ''))
        gin_trgm_ops
      )`);
    await db.query('CREATE INDEX "IX_users_email_trigram" ON users USING gin (lower(email) gin_trgm_ops)');
    // With what the query asks besides, so that the table itself need not be read.
    await db.query(`
      CREATE INDEX "IX_users_username_prefix" ON users (lower(username) text_pattern_ops) INCLUDE (username, is_active, id)`);
    await db.query('CREATE INDEX "IX_users_email_prefix" ON users (lower(email) text_pattern_ops)');
    await db.query('CREATE INDEX "IX_users_active_id" ON users (id) WHERE is_active');
    await db.query(`CREATE INDEX "IX_users_admin_id" ON users (id) WHERE role = 'admin'`);
  }

  async down(db: QueryRunner): Promise<void> {
    for (const name of ['admin_id', 'active_id', 'email_prefix', 'username_prefix', 'email_trigram', 'names_trigram']) {
      await db.query(`DROP INDEX "IX_users_${name}"`);
    }
  }
}
