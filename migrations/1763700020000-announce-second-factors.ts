import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Where administrators need a second factor, having one decides what an account's holder acts as: live connections have to hear of it as
 * they hear of another role (see AnnounceAccessChanges).
 */
export class AnnounceSecondFactors1763700020000 implements MigrationInterface {
  async up(db: QueryRunner): Promise<void> {
    await db.query(`
      CREATE TRIGGER "TR_users_announce_second_factor" AFTER UPDATE OF has_second_factor ON users FOR EACH ROW
      WHEN (OLD.role = 'admin' AND OLD.has_second_factor <> NEW.has_second_factor) EXECUTE FUNCTION announce_user_change()`);
  }

  async down(db: QueryRunner): Promise<void> {
    await db.query('DROP TRIGGER "TR_users_announce_second_factor" ON users');
  }
}
