import type { MigrationInterface, QueryRunner } from 'typeorm';

const NAME = `(lower(filename) COLLATE "C")`;
const SORTS = { date: 'upload_date', name: NAME, size: 'file_size' };
/** With the column that an expression is made of, the index alone answers what is asked of it. */
const INCLUDED = { date: '', name: 'INCLUDE (filename)', size: '' };

/**
 * Every list of a user's files, with or without a type, in each of its orders, is a walk along an index; a search by any part of a
 * name or description is a lookup of trigrams and owner together. Names in the order of their code points also serve terms too short
 * for a trigram, which are looked up as a beginning.
 */
export class IndexUploadLists1763700006000 implements MigrationInterface {
  async up(db: QueryRunner): Promise<void> {
    await db.query('CREATE EXTENSION IF NOT EXISTS btree_gin');
    for (const [name, key] of Object.entries(SORTS)) {
      const included = INCLUDED[name as keyof typeof SORTS];
      await db.query(`CREATE INDEX "IX_uploads_owner_${name}" ON uploads (owner_id, state, ${key}, id) ${included}`);
      await db.query(`
        CREATE INDEX "IX_uploads_owner_type_${name}" ON uploads (owner_id, content_type, ${key}, id) ${included} WHERE state = 'ready'`);
    }
    await db.query(`
      CREATE INDEX "IX_uploads_search" ON uploads
      USING gin (owner_id, lower(filename || ' ' || coalesce(description, '')) gin_trgm_ops) WHERE state = 'ready'`);
  }

  async down(db: QueryRunner): Promise<void> {
    const names = Object.keys(SORTS).flatMap((name) => [`owner_${name}`, `owner_type_${name}`]);
    for (const name of [...names, 'search']) await db.query(`DROP INDEX "IX_uploads_${name}"`);
  }
}
