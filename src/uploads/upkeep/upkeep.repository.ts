import { Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import { DataSource } from 'typeorm';

export interface ExpiredUpload {
  readonly id: string;
  readonly ownerId: string;
  readonly bytes: number;
}

export interface KnownUpload {
  readonly id: string;
  readonly ownerId: string;
  readonly state: 'pending' | 'ready';
  readonly size: number;
}

/** A sum that the database keeps, where it differs from what the rows add up to. */
export interface DriftedSum {
  readonly what: string;
  readonly kept: string;
  readonly counted: string;
}

const FIRST_ID = '00000000-0000-0000-0000-000000000000';

/** What the reconciler asks and does. */
@Injectable()
export class UpkeepRepository {
  constructor(@InjectDataSource() private readonly database: DataSource) {}

  /**
   * Removes pending uploads that nobody works on any more, and answers with those. Users are locked before their uploads; a row that
   * was published or extended while this waited for its lock is found so by the deletion, and stays.
   */
  async deleteExpired(max: number): Promise<ExpiredUpload[]> {
    const rows = await this.database.query<{ id: string; owner_id: string; file_size: string }[]>(
      `WITH expired AS MATERIALIZED (
         SELECT id, owner_id FROM uploads WHERE state = 'pending' AND expires_at < now() ORDER BY expires_at LIMIT $1),
       owners AS MATERIALIZED (
         SELECT id FROM users WHERE id IN (SELECT owner_id FROM expired) ORDER BY id FOR NO KEY UPDATE),
       deleted AS (
         DELETE FROM uploads f USING expired, owners
         WHERE f.id = expired.id AND f.owner_id = owners.id AND f.state = 'pending' AND f.expires_at < now()
         RETURNING f.id, f.owner_id, f.file_size)
       SELECT * FROM deleted`,
      [max],
    );
    return rows.map(({ id, owner_id, file_size }) => ({ id, ownerId: owner_id, bytes: Number(file_size) }));
  }

  async countExpired(): Promise<number> {
    const [{ count }] = await this.database.query<{ count: string }[]>(
      `SELECT count(*) FROM uploads WHERE state = 'pending' AND expires_at < now()`,
    );
    return Number(count);
  }

  async countRemovedBlobs(): Promise<number> {
    const [{ count }] = await this.database.query<{ count: string }[]>('SELECT count(*) FROM removed_blobs');
    return Number(count);
  }

  async isToBeRemoved(id: string): Promise<boolean> {
    const rows = await this.database.query<unknown[]>('SELECT FROM removed_blobs WHERE upload_id = $1', [id]);
    return rows.length > 0;
  }

  /** Which of these keys have a row. */
  async findKnown(keys: readonly string[]): Promise<Map<string, KnownUpload>> {
    const rows = await this.database.query<UploadRow[]>(
      'SELECT id, owner_id, state, file_size FROM uploads WHERE id = ANY($1)',
      [keys],
    );
    return new Map(rows.map((row) => [row.id, toKnown(row)]));
  }

  /** Ready files in the order of their ids, page by page. */
  async *readyFiles(pageSize: number): AsyncIterable<KnownUpload[]> {
    for (let after = FIRST_ID; ;) {
      const rows = await this.database.query<UploadRow[]>(
        `SELECT id, owner_id, state, file_size FROM uploads WHERE id > $1 AND state = 'ready' ORDER BY id LIMIT $2`,
        [after, pageSize],
      );
      if (rows.length === 0) return;
      yield rows.map(toKnown);
      after = rows[rows.length - 1].id;
    }
  }

  /** Puts bytes that no row owns on the list of what is to be removed, unless a row owns them by now. */
  async listOrphan(key: string): Promise<boolean> {
    const rows = await this.database.query<unknown[]>(
      `INSERT INTO removed_blobs (upload_id, removed_at) SELECT $1::uuid, now() WHERE NOT EXISTS (SELECT FROM uploads WHERE id = $1::uuid)
       ON CONFLICT DO NOTHING RETURNING upload_id`,
      [key],
    );
    return rows.length > 0;
  }

  /** Removes a file whose bytes are gone, once more looking for them while nobody else can change the row. */
  async deleteWithoutBytes({ id, ownerId }: KnownUpload, hasBytes: () => Promise<boolean>): Promise<boolean> {
    return this.database.transaction(async (tx) => {
      await tx.query('SELECT FROM users WHERE id = $1 FOR NO KEY UPDATE', [ownerId]);
      const rows = await tx.query<unknown[]>(`SELECT id FROM uploads WHERE id = $1 AND state = 'ready' FOR UPDATE`, [
        id,
      ]);
      if (rows.length === 0 || (await hasBytes())) return false;
      await tx.query('DELETE FROM uploads WHERE id = $1', [id]);
      return true;
    });
  }

  /** The kept sums against the rows, in one snapshot. */
  findDriftedSums(): Promise<DriftedSum[]> {
    return this.database.query<DriftedSum[]>(`
      WITH sums AS (
        SELECT owner_id, sum(file_size) AS held, count(*) FILTER (WHERE state = 'ready') AS files,
               coalesce(sum(file_size) FILTER (WHERE state = 'ready'), 0) AS used
        FROM uploads GROUP BY owner_id),
      types AS (SELECT owner_id, content_type, count(*) AS files FROM uploads WHERE state = 'ready' GROUP BY owner_id, content_type)
      SELECT 'storage of user ' || u.id AS what, format('%s held, %s files, %s used', u.storage_held, u.total_uploads, u.total_storage_used) AS kept,
             format('%s held, %s files, %s used', coalesce(s.held, 0), coalesce(s.files, 0), coalesce(s.used, 0)) AS counted
      FROM users u LEFT JOIN sums s ON s.owner_id = u.id
      WHERE (u.storage_held, u.total_uploads, u.total_storage_used) IS DISTINCT FROM (coalesce(s.held, 0), coalesce(s.files, 0), coalesce(s.used, 0))
      UNION ALL
      SELECT 'all storage', t.bytes::text, (SELECT coalesce(sum(held), 0) FROM sums)::text FROM storage_totals t
      WHERE t.bytes <> (SELECT coalesce(sum(held), 0) FROM sums)
      UNION ALL
      SELECT format('files of type %s of user %s', coalesce(c.content_type, t.content_type), coalesce(c.owner_id, t.owner_id)),
             coalesce(c.files, 0)::text, coalesce(t.files, 0)::text
      FROM upload_type_counts c FULL JOIN types t ON t.owner_id = c.owner_id AND t.content_type = c.content_type
      WHERE coalesce(c.files, 0) <> coalesce(t.files, 0)`);
  }
}

interface UploadRow {
  id: string;
  owner_id: string;
  state: 'pending' | 'ready';
  file_size: string;
}

const toKnown = ({ id, owner_id, state, file_size }: UploadRow): KnownUpload => ({
  id,
  ownerId: owner_id,
  state,
  size: Number(file_size),
});
