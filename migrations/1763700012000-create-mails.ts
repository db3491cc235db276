import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Outgoing mails: written in the transaction of the change that they are about, announced by the database to every node.
 *
 * `user_id` is no foreign key: a notice to an account's address is still due when the account has been deleted, and a mail that has
 * become pointless is dropped by whoever composes it. Nothing is looked up by it, so that deleting an account costs nothing here.
 */
export class CreateMails1763700012000 implements MigrationInterface {
  async up(db: QueryRunner): Promise<void> {
    await db.query(`
      CREATE TABLE mails (
        id uuid CONSTRAINT "PK_mails" PRIMARY KEY,
        kind varchar(50) NOT NULL,
        user_id uuid,
        email varchar(254) NOT NULL,
        data jsonb NOT NULL,
        cause varchar(200) CONSTRAINT "UQ_mails_cause" UNIQUE,
        state varchar(20) NOT NULL CONSTRAINT "CK_mails_state"
          CHECK (state IN ('queued', 'sending', 'sent', 'dropped', 'failed', 'unconfirmed')),
        attempts integer NOT NULL CONSTRAINT "CK_mails_attempts" CHECK (attempts >= 0),
        next_attempt_at timestamptz NOT NULL,
        claimed_until timestamptz,
        last_error varchar(300),
        created_at timestamptz(3) NOT NULL,
        sent_at timestamptz(3)
      )`);
    await db.query(`CREATE INDEX "IX_mails_next_attempt_at" ON mails (next_attempt_at) WHERE state = 'queued'`);
    await db.query(`
      CREATE INDEX "IX_mails_state_created_at" ON mails (state, created_at)
      WHERE state IN ('queued', 'sending', 'failed', 'unconfirmed')`);
    await db.query('CREATE INDEX "IX_mails_created_at" ON mails (created_at)');
    await db.query(`
      CREATE FUNCTION announce_mail() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN
        PERFORM pg_notify('gatehouse_mail', '');
        RETURN NULL;
      END $$`);
    await db.query(`
      CREATE TRIGGER "TR_mails_announce" AFTER INSERT ON mails FOR EACH STATEMENT EXECUTE FUNCTION announce_mail()`);
  }

  async down(db: QueryRunner): Promise<void> {
    await db.query('DROP TABLE mails');
    await db.query('DROP FUNCTION announce_mail');
  }
}
