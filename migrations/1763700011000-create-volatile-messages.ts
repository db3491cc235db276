import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Messages that are not durable, on their way from one node to the others where there is no Redis: a notification says which rows to
 * fetch. They are not logged, and removed within a minute.
 */
export class CreateVolatileMessages1763700011000 implements MigrationInterface {
  async up(db: QueryRunner): Promise<void> {
    await db.query(`
      CREATE UNLOGGED TABLE volatile_messages (
        id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT "PK_volatile_messages" PRIMARY KEY,
        node_id uuid NOT NULL,
        body text NOT NULL,
        created_at timestamptz(3) NOT NULL
      )`);
    await db.query('CREATE INDEX "IX_volatile_messages_created_at" ON volatile_messages (created_at)');
  }

  async down(db: QueryRunner): Promise<void> {
    await db.query('DROP TABLE volatile_messages');
  }
}
