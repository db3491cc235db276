import { Injectable } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import { type EntityManager, Repository } from 'typeorm';
import { StoredFile } from './stored-file.entity.js';

/** Whose files a caller reaches: their own, or everybody's. */
export type FileScope = { ownerId: string } | 'all';

/** What is still known of a file that has gone. */
export type DeletedFile = Pick<StoredFile, 'id' | 'ownerId' | 'filename' | 'fileSize' | 'sha256'>;

const ownedBy = (scope: FileScope) => (scope === 'all' ? {} : { ownerId: scope.ownerId });

@Injectable()
export class UploadsRepository {
  constructor(@InjectRepository(StoredFile) private readonly rows: Repository<StoredFile>) {}

  transaction<T>(work: (files: UploadsRepository, tx: EntityManager) => Promise<T>): Promise<T> {
    return this.rows.manager.transaction((tx) => work(new UploadsRepository(tx.getRepository(StoredFile)), tx));
  }

  find(id: string, scope: FileScope): Promise<StoredFile | null> {
    return this.rows.findOneBy({ id, state: 'ready', ...ownedBy(scope) });
  }

  /** A file whose owner may still sign in. */
  async findOfActiveOwner(id: string): Promise<StoredFile | null> {
    return this.rows
      .createQueryBuilder('f')
      .innerJoin('users', 'u', 'u.id = f.owner_id AND u.is_active')
      .where(`f.id = :id AND f.state = 'ready'`, { id })
      .getOne();
  }

  /** Changes only what is given; `null` when the file is not there or not the owner's. */
  async update(
    id: string,
    ownerId: string,
    changes: Partial<Pick<StoredFile, 'filename' | 'description'>>,
  ): Promise<StoredFile | null> {
    const result = await this.rows.update({ id, ownerId, state: 'ready' }, { ...changes, updatedAt: new Date() });
    return result.affected === 1 ? this.find(id, { ownerId }) : null;
  }

  /** Deletes what is there and reached; users are locked before their files, in the order that all statements keep. */
  async delete(ids: readonly string[], scope: FileScope): Promise<DeletedFile[]> {
    const rows = await this.rows.query<(Omit<DeletedFile, 'fileSize'> & { fileSize: string })[]>(
      `WITH owners AS MATERIALIZED (
         SELECT u.id FROM users u
         WHERE u.id IN (SELECT owner_id FROM uploads WHERE id = ANY($1) AND state = 'ready') AND ($2::uuid IS NULL OR u.id = $2)
         ORDER BY u.id FOR NO KEY UPDATE),
       deleted AS (
         DELETE FROM uploads f USING owners WHERE f.id = ANY($1) AND f.owner_id = owners.id AND f.state = 'ready'
         RETURNING f.id, f.owner_id AS "ownerId", f.filename, f.file_size AS "fileSize", f.sha256)
       SELECT * FROM deleted`,
      [ids, scope === 'all' ? null : scope.ownerId],
    );
    return rows.map((row) => ({ ...row, fileSize: Number(row.fileSize) }));
  }
}
