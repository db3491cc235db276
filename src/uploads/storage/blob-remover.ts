import { Injectable, Logger } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import { DataSource } from 'typeorm';
import { BlobStorage } from './blob-storage.js';

const BATCH = 500;

/**
 * Removes the bytes of rows that are gone. The database keeps the list of them (`removed_blobs`), in the transaction that removes the
 * rows: what a crash leaves to do is done later.
 */
@Injectable()
export class BlobRemover {
  private readonly logger = new Logger(BlobRemover.name);

  constructor(
    private readonly storage: BlobStorage,
    @InjectDataSource() private readonly database: DataSource,
  ) {}

  /** Right after the rows were removed. What fails stays on the list. */
  async remove(ids: readonly string[]): Promise<void> {
    try {
      await this.removeAndForget(ids);
    } catch (error) {
      this.logger.warn(
        `The bytes of ${ids.length} removed uploads could not be removed yet: ${(error as Error).message}`,
      );
    }
  }

  /** Everything on the list. */
  async removeAll(): Promise<void> {
    for (let batch = BATCH; batch === BATCH;) {
      const ids = await this.listed();
      batch = ids.length;
      if (batch > 0) await this.removeAndForget(ids);
    }
  }

  private async removeAndForget(ids: readonly string[]): Promise<void> {
    await this.storage.remove(ids);
    await this.database.query('DELETE FROM removed_blobs WHERE upload_id = ANY($1)', [ids]);
  }

  /** An id is never used twice; should a row have come back, from a backup, its bytes stay. */
  private async listed(): Promise<string[]> {
    const rows = await this.database.query<{ upload_id: string; is_back: boolean }[]>(
      `SELECT upload_id, EXISTS (SELECT FROM uploads f WHERE f.id = upload_id) AS is_back
       FROM (SELECT upload_id FROM removed_blobs ORDER BY upload_id LIMIT $1) first`,
      [BATCH],
    );
    const back = rows.filter(({ is_back }) => is_back).map(({ upload_id }) => upload_id);
    if (back.length === 0) return rows.map(({ upload_id }) => upload_id);
    await this.database.query('DELETE FROM removed_blobs WHERE upload_id = ANY($1)', [back]);
    return this.listed();
  }
}
