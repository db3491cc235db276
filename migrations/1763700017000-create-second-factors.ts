import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Authenticator apps (TOTP) and recovery codes. The shared secret is encrypted with a key that is not in the database; recovery codes are
 * stored as hashes. `users.has_second_factor` is what the access check reads.
 */
export class CreateSecondFactors1763700017000 implements MigrationInterface {
  async up(db: QueryRunner): Promise<void> {
    await db.query('ALTER TABLE users ADD COLUMN has_second_factor boolean NOT NULL DEFAULT false');
    await db.query(`
      CREATE TABLE second_factors (
        user_id uuid CONSTRAINT "PK_second_factors" PRIMARY KEY
          CONSTRAINT "FK_second_factors_user_id" REFERENCES users (id) ON DELETE CASCADE,
        secret bytea NOT NULL,
        created_at timestamptz(3) NOT NULL,
        confirmed_at timestamptz(3),
        last_step bigint NOT NULL DEFAULT 0
      )`);
    await db.query(`
      CREATE TABLE recovery_codes (
        user_id uuid CONSTRAINT "FK_recovery_codes_user_id" REFERENCES users (id) ON DELETE CASCADE,
        code_hash bytea,
        CONSTRAINT "PK_recovery_codes" PRIMARY KEY (user_id, code_hash)
      )`);
  }

  async down(db: QueryRunner): Promise<void> {
    for (const table of ['recovery_codes', 'second_factors']) await db.query(`DROP TABLE ${table}`);
    await db.query('ALTER TABLE users DROP COLUMN has_second_factor');
  }
}
