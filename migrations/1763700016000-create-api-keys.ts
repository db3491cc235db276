import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * API keys. The secret is stored as its SHA-256: it is 256 random bits, so there is nothing to guess. A revoked key keeps its row, so that
 * its use can be told from that of a key that never was.
 */
export class CreateApiKeys1763700016000 implements MigrationInterface {
  async up(db: QueryRunner): Promise<void> {
    await db.query(`
      CREATE TABLE api_keys (
        id uuid CONSTRAINT "PK_api_keys" PRIMARY KEY,
        user_id uuid NOT NULL CONSTRAINT "FK_api_keys_user_id" REFERENCES users (id) ON DELETE CASCADE,
        name varchar(100) NOT NULL,
        secret_hash bytea NOT NULL,
        scopes text[] NOT NULL,
        created_at timestamptz(3) NOT NULL,
        expires_at timestamptz(3),
        last_used_at timestamptz(3),
        revoked_at timestamptz(3)
      )`);
    await db.query('CREATE INDEX "IX_api_keys_user_id" ON api_keys (user_id)');
    await db.query('CREATE INDEX "IX_api_keys_live" ON api_keys (user_id, id) WHERE revoked_at IS NULL');
    await db.query('CREATE INDEX "IX_api_keys_revoked_at" ON api_keys (revoked_at) WHERE revoked_at IS NOT NULL');
    // What a live connection rests on may be a key: see AnnounceAccessChanges.
    await db.query(`
      CREATE FUNCTION announce_api_key_end() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN
        PERFORM pg_notify('gatehouse_access', 'api-key:' || OLD.user_id || ':' || OLD.id);
        RETURN NULL;
      END $$`);
    await db.query(`
      CREATE TRIGGER "TR_api_keys_announce_end" AFTER UPDATE OF revoked_at, scopes, expires_at ON api_keys FOR EACH ROW
      WHEN (NEW.revoked_at IS NOT NULL AND OLD.revoked_at IS NULL OR OLD.scopes <> NEW.scopes
            OR OLD.expires_at IS DISTINCT FROM NEW.expires_at)
      EXECUTE FUNCTION announce_api_key_end()`);
    await db.query(`
      CREATE TRIGGER "TR_api_keys_announce_deletion" AFTER DELETE ON api_keys FOR EACH ROW EXECUTE FUNCTION announce_api_key_end()`);
  }

  async down(db: QueryRunner): Promise<void> {
    await db.query('DROP TABLE api_keys');
    await db.query('DROP FUNCTION announce_api_key_end');
  }
}
