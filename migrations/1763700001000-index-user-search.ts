import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Search by any part of a name or email (trigrams), by the beginning of a username or email for terms too short for a
 * trigram, and pages of the active users by an index that has nothing but what is asked.
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
    await db.query('CREATE INDEX "IX_users_username_prefix" ON users (lower(username) text_pattern_ops)');
    await db.query('CREATE INDEX "IX_users_email_prefix" ON users (lower(email) text_pattern_ops)');
    await db.query('CREATE INDEX "IX_users_active_id" ON users (id) WHERE is_active');
  }

  async down(db: QueryRunner): Promise<void> {
    for (const name of ['active_id', 'email_prefix', 'username_prefix', 'email_trigram', 'names_trigram']) {
      await db.query(`DROP INDEX "IX_users_${name}"`);
    }
  }
}
