import type { MigrationInterface, QueryRunner } from 'typeorm';

/** A row is a live session: ending one deletes it. It holds a counter, never a token. */
export class CreateSessions1763700003000 implements MigrationInterface {
  async up(db: QueryRunner): Promise<void> {
    await db.query(`
      CREATE TABLE sessions (
        id uuid CONSTRAINT "PK_sessions" PRIMARY KEY,
        user_id uuid NOT NULL CONSTRAINT "FK_sessions_user_id" REFERENCES users (id) ON DELETE CASCADE,
        refresh_counter integer NOT NULL,
        rotated_at timestamptz(3) NOT NULL,
        created_at timestamptz(3) NOT NULL,
        last_used_at timestamptz(3) NOT NULL,
        expires_at timestamptz(3) NOT NULL,
        ends_at timestamptz(3) NOT NULL,
        ip_address varchar(45) NOT NULL,
        user_agent varchar(512),
        CONSTRAINT "CK_sessions_refresh_counter" CHECK (refresh_counter >= 0)
      )`);
    await db.query('CREATE INDEX "IX_sessions_user_id" ON sessions (user_id, id)');
    await db.query('CREATE INDEX "IX_sessions_expires_at" ON sessions (expires_at)');
  }

  async down(db: QueryRunner): Promise<void> {
    await db.query('DROP TABLE sessions');
  }
}
