import type { MigrationInterface, QueryRunner } from 'typeorm';

export class CreateUsers1763700000000 implements MigrationInterface {
  async up(db: QueryRunner): Promise<void> {
    await db.query(`
      CREATE TABLE users (
        id uuid CONSTRAINT "PK_users" PRIMARY KEY,
        email varchar(254) NOT NULL,
        username varchar(50) NOT NULL,
        full_name varchar(100),
        first_name varchar(100),
        last_name varchar(100),
        bio varchar(500),
        phone_number varchar(16),
        role varchar(16) NOT NULL CONSTRAINT "CK_users_role" CHECK (role IN ('user', 'admin')),
        is_active boolean NOT NULL,
        is_verified boolean NOT NULL,
        password_hash varchar(72) NOT NULL,
        total_uploads integer NOT NULL DEFAULT 0,
        total_storage_used bigint NOT NULL DEFAULT 0,
        last_login timestamptz(3),
        created_at timestamptz(3) NOT NULL,
        updated_at timestamptz(3) NOT NULL
      )`);
    await db.query('CREATE UNIQUE INDEX "UQ_users_email" ON users (lower(email))');
    await db.query('CREATE UNIQUE INDEX "UQ_users_username" ON users (lower(username))');
  }

  async down(db: QueryRunner): Promise<void> {
    await db.query('DROP TABLE users');
  }
}
