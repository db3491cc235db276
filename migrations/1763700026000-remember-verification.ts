import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * `users.ever_verified` stays true when the address changes, which `is_verified` does not: what an account has, such as a second factor, is
 * not for whoever has the next mailbox to remove.
 */
export class RememberVerification1763700026000 implements MigrationInterface {
  async up(db: QueryRunner): Promise<void> {
    await db.query('ALTER TABLE users ADD COLUMN ever_verified boolean NOT NULL DEFAULT false');
    await db.query('UPDATE users SET ever_verified = true WHERE is_verified');
    await db.query(`
      CREATE FUNCTION remember_verification() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN
        NEW.ever_verified := true;
        RETURN NEW;
      END $$`);
    await db.query(`
      CREATE TRIGGER "TR_users_remember_verification" BEFORE INSERT OR UPDATE OF is_verified ON users
      FOR EACH ROW WHEN (NEW.is_verified) EXECUTE FUNCTION remember_verification()`);
  }

  async down(db: QueryRunner): Promise<void> {
    await db.query('DROP TRIGGER "TR_users_remember_verification" ON users');
    await db.query('DROP FUNCTION remember_verification');
    await db.query('ALTER TABLE users DROP COLUMN ever_verified');
  }
}
