import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Users are updated with each of their files; the count of the active ones changes only when somebody is disabled or enabled. */
export class CountUsersByRow1763700007000 implements MigrationInterface {
  async up(db: QueryRunner): Promise<void> {
    await db.query(`
      CREATE FUNCTION count_user_activity() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN
        UPDATE user_counts SET users = users + CASE WHEN is_active = NEW.is_active THEN 1 ELSE -1 END;
        RETURN NULL;
      END $$`);
    await db.query('DROP TRIGGER "TR_users_count_update" ON users');
    await db.query(`
      CREATE TRIGGER "TR_users_count_update" AFTER UPDATE ON users
      FOR EACH ROW WHEN (OLD.is_active IS DISTINCT FROM NEW.is_active) EXECUTE FUNCTION count_user_activity()`);
  }

  async down(db: QueryRunner): Promise<void> {
    await db.query('DROP TRIGGER "TR_users_count_update" ON users');
    await db.query(`
      CREATE TRIGGER "TR_users_count_update" AFTER UPDATE ON users
      REFERENCING NEW TABLE AS added OLD TABLE AS removed FOR EACH STATEMENT EXECUTE FUNCTION count_users()`);
    await db.query('DROP FUNCTION count_user_activity');
  }
}
