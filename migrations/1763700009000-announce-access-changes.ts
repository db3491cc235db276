import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Whatever ends what a live connection rests on is announced by the database itself, in the transaction that does it: to every node,
 * whichever node, command or statement did it. The payload is `<what>:<ids>`; `src/broadcasting/connections/access-changes.ts` reads it.
 */
export class AnnounceAccessChanges1763700009000 implements MigrationInterface {
  async up(db: QueryRunner): Promise<void> {
    await this.announce(
      db,
      'session_end',
      'DELETE ON sessions',
      'REFERENCING OLD TABLE AS removed',
      `
      PERFORM pg_notify('gatehouse_access', 'session:' || user_id || ':' || id) FROM removed;`,
    );
    await this.announce(
      db,
      'user_deletion',
      'DELETE ON users',
      'REFERENCING OLD TABLE AS removed',
      `
      PERFORM pg_notify('gatehouse_access', 'user-deleted:' || id) FROM removed;`,
    );
    await this.announce(
      db,
      'member_removal',
      'DELETE ON channel_members',
      'REFERENCING OLD TABLE AS removed',
      `
      PERFORM pg_notify('gatehouse_access', 'member:' || r.user_id || ':' || c.name) FROM removed r JOIN channels c ON c.id = r.channel_id;`,
    );
    await db.query(`
      CREATE FUNCTION announce_user_change() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN
        PERFORM pg_notify('gatehouse_access', CASE WHEN NEW.is_active THEN 'user-role:' ELSE 'user-disabled:' END || NEW.id);
        RETURN NULL;
      END $$`);
    await db.query(`
      CREATE TRIGGER "TR_users_announce_change" AFTER UPDATE OF role, is_active ON users FOR EACH ROW
      WHEN (OLD.role <> NEW.role OR (OLD.is_active AND NOT NEW.is_active)) EXECUTE FUNCTION announce_user_change()`);
  }

  private async announce(
    db: QueryRunner,
    name: string,
    event: string,
    tables: string,
    statement: string,
  ): Promise<void> {
    const table = event.split(' ').at(-1);
    await db.query(`
      CREATE FUNCTION announce_${name}() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN ${statement}
        RETURN NULL;
      END $$`);
    await db.query(`
      CREATE TRIGGER "TR_${table}_announce_${name}" AFTER ${event} ${tables} FOR EACH STATEMENT EXECUTE FUNCTION announce_${name}()`);
  }

  async down(db: QueryRunner): Promise<void> {
    for (const [table, name] of [
      ['sessions', 'session_end'],
      ['users', 'user_deletion'],
      ['channel_members', 'member_removal'],
      ['users', 'change'],
    ])
      await db.query(`DROP TRIGGER "TR_${table}_announce_${name}" ON ${table}`);
    await db.query(
      'DROP FUNCTION announce_session_end, announce_user_deletion, announce_member_removal, announce_user_change',
    );
  }
}
