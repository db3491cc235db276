import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Changes of addresses, each of which the previous address can undo until `undo_until`, by a token that is stored as SHA-256. What is void
 * has `-infinity` there; the row stays for a day, for how often an address may be changed.
 *
 * - An address that was verified is kept for its account while the change can be undone: otherwise a thief who moves an account to
 *   another address would sign up with the first one, and it could not be given back.
 * - Tokens for verifying and resetting know the mail that carries them: one that is sent again has one token, not two.
 */
export class CreateEmailChanges1763700025000 implements MigrationInterface {
  async up(db: QueryRunner): Promise<void> {
    await db.query(`
      CREATE TABLE email_changes (
        id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT "PK_email_changes" PRIMARY KEY,
        user_id uuid NOT NULL CONSTRAINT "FK_email_changes_user_id" REFERENCES users (id) ON DELETE CASCADE,
        previous_email varchar(254) NOT NULL,
        was_verified boolean NOT NULL,
        had_second_factor boolean NOT NULL,
        password_digest bytea NOT NULL,
        token_hash bytea CONSTRAINT "UQ_email_changes_token_hash" UNIQUE,
        changed_at timestamptz(3) NOT NULL,
        undo_until timestamptz(3) NOT NULL
      )`);
    await db.query('CREATE INDEX "IX_email_changes_user_id" ON email_changes (user_id, id)');
    await db.query('CREATE INDEX "IX_email_changes_changed_at" ON email_changes (changed_at)');
    await db.query(`
      CREATE INDEX "IX_email_changes_previous_email" ON email_changes (lower(previous_email)) WHERE was_verified`);
    await this.keepAddresses(db);
    await this.tieTokensToMails(db);
  }

  /** After the row is written: whoever was waiting for the unique index sees the change that it waited for. */
  private async keepAddresses(db: QueryRunner): Promise<void> {
    await db.query(`
      CREATE FUNCTION refuse_kept_email() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN
        IF EXISTS (SELECT FROM email_changes
                   WHERE lower(previous_email) = lower(NEW.email) AND was_verified AND user_id <> NEW.id AND undo_until > now()) THEN
          RAISE EXCEPTION 'the address may still be given back to another account'
            USING ERRCODE = 'unique_violation', CONSTRAINT = 'UQ_users_email';
        END IF;
        RETURN NULL;
      END $$`);
    await db.query(`
      CREATE TRIGGER "TR_users_refuse_kept_email" AFTER INSERT OR UPDATE OF email ON users
      FOR EACH ROW EXECUTE FUNCTION refuse_kept_email()`);
  }

  private async tieTokensToMails(db: QueryRunner): Promise<void> {
    await db.query('DELETE FROM one_time_tokens');
    await db.query(`
      ALTER TABLE one_time_tokens
        ADD COLUMN mail_id uuid NOT NULL CONSTRAINT "UQ_one_time_tokens_mail_id" UNIQUE,
        ALTER COLUMN password_digest SET NOT NULL,
        DROP CONSTRAINT "CK_one_time_tokens_purpose",
        ADD CONSTRAINT "CK_one_time_tokens_purpose" CHECK (purpose IN ('verify_email', 'reset_password'))`);
  }

  async down(db: QueryRunner): Promise<void> {
    await db.query(`
      ALTER TABLE one_time_tokens
        DROP COLUMN mail_id,
        ALTER COLUMN password_digest DROP NOT NULL,
        DROP CONSTRAINT "CK_one_time_tokens_purpose",
        ADD CONSTRAINT "CK_one_time_tokens_purpose" CHECK (purpose IN ('verify_email', 'reset_password', 'undo_email_change'))`);
    await db.query('DROP TRIGGER "TR_users_refuse_kept_email" ON users');
    await db.query('DROP FUNCTION refuse_kept_email');
    await db.query('DROP TABLE email_changes');
  }
}
