import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * How many users there are, kept by the database itself in the transaction that changes it, so that it cannot drift and a
 * list need not count. One statement changes one row once, however many users it touches.
 */
export class CountUsers1763700002000 implements MigrationInterface {
  async up(db: QueryRunner): Promise<void> {
    await db.query(`
      CREATE TABLE user_counts (
        is_active boolean CONSTRAINT "PK_user_counts" PRIMARY KEY,
        users bigint NOT NULL CONSTRAINT "CK_user_counts_users" CHECK (users >= 0)
      ) WITH (fillfactor = 20)`);
    await db.query(`
      INSERT INTO user_counts
      SELECT flag, (SELECT count(*) FROM users WHERE is_active = flag) FROM unnest(ARRAY[false, true]) AS flag`);
    await db.query(`
      CREATE FUNCTION count_users() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN
        IF TG_OP = 'TRUNCATE' THEN
          UPDATE user_counts SET users = 0;
        ELSIF TG_OP = 'INSERT' THEN
          UPDATE user_counts c SET users = c.users + d.n
          FROM (SELECT is_active, count(*) AS n FROM added GROUP BY is_active) d WHERE c.is_active = d.is_active;
        ELSIF TG_OP = 'DELETE' THEN
          UPDATE user_counts c SET users = c.users - d.n
          FROM (SELECT is_active, count(*) AS n FROM removed GROUP BY is_active) d WHERE c.is_active = d.is_active;
        ELSE
          UPDATE user_counts c SET users = c.users + d.n
          FROM (
            SELECT is_active, sum(n) AS n FROM (
              SELECT is_active, count(*) AS n FROM added GROUP BY is_active
              UNION ALL SELECT is_active, -count(*) FROM removed GROUP BY is_active
            ) changes GROUP BY is_active HAVING sum(n) <> 0
          ) d WHERE c.is_active = d.is_active;
        END IF;
        RETURN NULL;
      END $$`);
    const transitions = {
      INSERT: 'NEW TABLE AS added',
      DELETE: 'OLD TABLE AS removed',
      UPDATE: 'NEW TABLE AS added OLD TABLE AS removed',
    };
    for (const [event, tables] of Object.entries(transitions)) {
      await db.query(`
        CREATE TRIGGER "TR_users_count_${event.toLowerCase()}" AFTER ${event} ON users
        REFERENCING ${tables} FOR EACH STATEMENT EXECUTE FUNCTION count_users()`);
    }
    await db.query(`
      CREATE TRIGGER "TR_users_count_truncate" AFTER TRUNCATE ON users FOR EACH STATEMENT EXECUTE FUNCTION count_users()`);
  }

  async down(db: QueryRunner): Promise<void> {
    for (const event of ['insert', 'delete', 'update', 'truncate'])
      await db.query(`DROP TRIGGER "TR_users_count_${event}" ON users`);
    await db.query('DROP FUNCTION count_users');
    await db.query('DROP TABLE user_counts');
  }
}
