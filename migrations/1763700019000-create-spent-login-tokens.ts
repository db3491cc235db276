import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * The token of a login that waits for a code is good for one success. One that has let somebody in is remembered here until it would have
 * expired anyway.
 */
export class CreateSpentLoginTokens1763700019000 implements MigrationInterface {
  async up(db: QueryRunner): Promise<void> {
    await db.query(`
      CREATE TABLE spent_login_tokens (
        id uuid CONSTRAINT "PK_spent_login_tokens" PRIMARY KEY,
        expires_at timestamptz(3) NOT NULL
      )`);
    await db.query('CREATE INDEX "IX_spent_login_tokens_expires_at" ON spent_login_tokens (expires_at)');
  }

  async down(db: QueryRunner): Promise<void> {
    await db.query('DROP TABLE spent_login_tokens');
  }
}
