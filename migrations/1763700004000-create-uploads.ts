import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * A row owns the blob of its id. `file_size` is what the row takes of the quotas: the reservation while it is pending, the size once it
 * is ready. A pending row ends at `expires_at`.
 */
export class CreateUploads1763700004000 implements MigrationInterface {
  async up(db: QueryRunner): Promise<void> {
    await db.query(`
      CREATE TABLE uploads (
        id uuid CONSTRAINT "PK_uploads" PRIMARY KEY,
        owner_id uuid NOT NULL CONSTRAINT "FK_uploads_owner_id" REFERENCES users (id) ON DELETE CASCADE,
        state varchar(8) NOT NULL CONSTRAINT "CK_uploads_state" CHECK (state IN ('pending', 'ready')),
        filename varchar(255) NOT NULL,
        original_filename varchar(255) NOT NULL,
        content_type varchar(127) NOT NULL,
        file_size bigint NOT NULL CONSTRAINT "CK_uploads_file_size" CHECK (file_size >= 0),
        sha256 bytea,
        description varchar(1000),
        upload_date timestamptz(3) NOT NULL,
        updated_at timestamptz(3) NOT NULL,
        is_resumable boolean NOT NULL,
        received_bytes bigint NOT NULL DEFAULT 0,
        resume_state jsonb,
        expires_at timestamptz(3),
        CONSTRAINT "CK_uploads_ready" CHECK (CASE state WHEN 'ready' THEN length(sha256) = 32 AND expires_at IS NULL ELSE expires_at IS NOT NULL END)
      )`);
    await db.query(`CREATE INDEX "IX_uploads_expires_at" ON uploads (expires_at) WHERE state = 'pending'`);
  }

  async down(db: QueryRunner): Promise<void> {
    await db.query('DROP TABLE uploads');
  }
}
