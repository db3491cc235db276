import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Tokens that mails carry, as SHA-256. Each remembers the state of the account that it was issued for (`email`, `password_digest`):
 * when that has changed, the token is dead.
 *
 * `user_id` is no foreign key: how many mails an address was sent is counted by its tokens, and whoever deletes an account and makes another
 * must not begin anew. Without its account a token is good for nothing.
 */
export class CreateOneTimeTokens1763700018000 implements MigrationInterface {
  async up(db: QueryRunner): Promise<void> {
    await db.query(`
      CREATE TABLE one_time_tokens (
        token_hash bytea CONSTRAINT "PK_one_time_tokens" PRIMARY KEY,
        user_id uuid NOT NULL,
        purpose varchar(32) NOT NULL
          CONSTRAINT "CK_one_time_tokens_purpose" CHECK (purpose IN ('verify_email', 'reset_password', 'undo_email_change')),
        email varchar(254) NOT NULL,
        password_digest bytea,
        created_at timestamptz(3) NOT NULL,
        expires_at timestamptz(3) NOT NULL
      )`);
    await db.query('CREATE INDEX "IX_one_time_tokens_user_id" ON one_time_tokens (user_id, purpose)');
    await db.query('CREATE INDEX "IX_one_time_tokens_email" ON one_time_tokens (lower(email), purpose)');
    await db.query('CREATE INDEX "IX_one_time_tokens_expires_at" ON one_time_tokens (expires_at)');
  }

  async down(db: QueryRunner): Promise<void> {
    await db.query('DROP TABLE one_time_tokens');
  }
}
