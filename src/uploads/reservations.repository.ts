import { Injectable } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import { type EntityManager, Repository } from 'typeorm';
import type { DatabaseCall } from '../common/events/domain-events.js';
import { AppConfig } from '../config/app-config.js';
import type { ResumePoint } from './storage/blob-storage.js';
import { StoredFile } from './stored-file.entity.js';

export interface Reservation {
  readonly id: string;
  readonly ownerId: string;
  readonly bytes: number;
  /** The row ends so long from now unless it is extended. */
  readonly ttlSeconds: number;
  readonly resumable?: { filename: string; contentType: string; description: string | null };
}

/** What becomes of a reservation when its bytes are whole and durable. */
export interface FinishedUpload {
  readonly id: string;
  readonly ownerId: string;
  readonly filename: string;
  readonly contentType: string;
  readonly size: number;
  readonly sha256: string;
  readonly description: string | null;
}

/** A resumable upload, pending or finished. */
export interface ResumableUpload {
  readonly id: string;
  readonly ownerId: string;
  readonly isReady: boolean;
  readonly size: number;
  readonly filename: string;
  readonly contentType: string;
  readonly description: string | null;
  readonly received: ResumePoint;
  readonly expiresAt: Date | null;
}

/**
 * A commit need not wait for the disk when nothing was promised: if the database loses such a change in a crash, the upload that it
 * was made for ends without an answer, and its bytes are found by the reconciler.
 */
const QUICKLY = `quickly AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true))`;

/** The one user and the one total, locked, if both have room. Locks a user before that user's uploads, and the total last. */
const ROOM = (owner: string, bytes: string, userQuota: string, storageQuota: string) => `
  FROM quickly, users u, storage_totals t
  WHERE u.id = ${owner} AND u.is_active AND u.storage_held + ${bytes} <= coalesce(u.quota, ${userQuota})
    AND t.bytes + ${bytes} <= ${storageQuota}
  FOR NO KEY UPDATE OF u, t`;

const OWNER = (owner: string) => `owner AS MATERIALIZED (SELECT id FROM users WHERE id = ${owner} FOR NO KEY UPDATE)`;

/** Pending uploads: rows that hold a part of the quotas and own bytes, but are nobody's file yet. */
@Injectable()
export class ReservationsRepository {
  constructor(
    @InjectRepository(StoredFile) private readonly rows: Repository<StoredFile>,
    private readonly config: AppConfig,
  ) {}

  transaction<T>(work: (reservations: ReservationsRepository, tx: EntityManager) => Promise<T>): Promise<T> {
    return this.rows.manager.transaction((tx) =>
      work(new ReservationsRepository(tx.getRepository(StoredFile), this.config), tx),
    );
  }

  /**
   * Takes the bytes from the owner's quota and the total, in one conditional statement; `false` when either has no room. Of a resumable
   * upload the client is told where it is: that is a promise, and is kept durably.
   */
  async reserve({ id, ownerId, bytes, ttlSeconds, resumable }: Reservation): Promise<boolean> {
    const { userQuotaBytes, storageQuotaBytes } = this.config.uploads;
    const { filename = '', contentType = '', description = null } = resumable ?? {};
    return this.isAffected(
      `WITH quickly AS MATERIALIZED (SELECT set_config('synchronous_commit', CASE WHEN $9 THEN 'on' ELSE 'off' END, true)), reserved AS (
         INSERT INTO uploads (id, owner_id, state, filename, original_filename, content_type, file_size, description, upload_date,
                              updated_at, is_resumable, expires_at)
         SELECT $1, u.id, 'pending', $6, $6, $7, $3, $8, now(), now(), $9, now() + $10 * interval '1 second'
         ${ROOM('$2', '$3::bigint', '$4::bigint', '$5::bigint')}
         RETURNING id)
       SELECT count(*) AS affected FROM reserved`,
      [
        id,
        ownerId,
        bytes,
        userQuotaBytes,
        storageQuotaBytes,
        filename,
        contentType,
        description,
        !!resumable,
        ttlSeconds,
      ],
    );
  }

  /** Reserves more for an upload that turns out larger; `false` when there is no room, or the upload is gone. */
  async grow(id: string, ownerId: string, from: number, to: number): Promise<boolean> {
    const { userQuotaBytes, storageQuotaBytes } = this.config.uploads;
    return this.isAffected(
      `WITH ${QUICKLY}, room AS MATERIALIZED (SELECT u.id ${ROOM('$2', '$3::bigint', '$4::bigint', '$5::bigint')}),
       grown AS (UPDATE uploads f SET file_size = $6 FROM room WHERE f.id = $1 AND f.owner_id = room.id AND f.state = 'pending' RETURNING f.id)
       SELECT count(*) AS affected FROM grown`,
      [id, ownerId, to - from, userQuotaBytes, storageQuotaBytes, to],
    );
  }

  /** Gives back what an upload has reserved beyond its size, now that the size is known. */
  async shrink(id: string, ownerId: string, size: number): Promise<void> {
    await this.isAffected(
      `WITH ${QUICKLY}, ${OWNER('$2')},
       shrunk AS (
         UPDATE uploads f SET file_size = $3 FROM owner, quickly
         WHERE f.id = $1 AND f.owner_id = owner.id AND f.state = 'pending' AND f.file_size > $3 RETURNING f.id)
       SELECT count(*) AS affected FROM shrunk`,
      [id, ownerId, size],
    );
  }

  /**
   * Makes the pending upload a file, durably. `null` when it has expired, or its owner is gone or disabled.
   * @param companion called if it has become one; if that fails, so does this
   */
  async publish(upload: FinishedUpload, companion: DatabaseCall | null = null): Promise<StoredFile | null> {
    // The seven below come before.
    const parameters = companion?.values.map((_, i) => `$${8 + i}`).join(', ');
    const [published] = await this.rows.query<PublishedRow[]>(
      `WITH owner AS MATERIALIZED (SELECT id FROM users WHERE id = $2 AND is_active FOR NO KEY UPDATE),
       published AS (
         UPDATE uploads f SET state = 'ready', filename = $3, original_filename = $3, content_type = $4, file_size = $5, sha256 = $6,
                              description = $7, upload_date = now(), updated_at = now(), received_bytes = $5, resume_state = NULL,
                              expires_at = NULL
         FROM owner WHERE f.id = $1 AND f.owner_id = owner.id AND f.state = 'pending' AND f.file_size >= $5
         RETURNING f.upload_date)
       SELECT upload_date ${companion ? `, (SELECT count(*) FROM ${companion.name}(${parameters}))` : ''} FROM published`,
      [
        upload.id,
        upload.ownerId,
        upload.filename,
        upload.contentType,
        upload.size,
        Buffer.from(upload.sha256, 'hex'),
        upload.description,
        ...(companion?.values ?? []),
      ],
    );
    return published ? toStoredFile(upload, published.upload_date) : null;
  }

  /** Gives the upload up; its bytes are then somebody's to remove. */
  async release(id: string, ownerId: string): Promise<boolean> {
    return this.isAffected(
      `WITH ${QUICKLY}, ${OWNER('$2')},
       released AS (
         DELETE FROM uploads f USING owner, quickly
         WHERE f.id = $1 AND f.owner_id = owner.id AND f.state = 'pending' RETURNING f.id)
       SELECT count(*) AS affected FROM released`,
      [id, ownerId],
    );
  }

  exists(id: string): Promise<boolean> {
    return this.rows.existsBy({ id });
  }

  /** Tells the reconcilers of all nodes that these are being worked on. */
  async extend(ids: readonly string[], ttlSeconds: number): Promise<void> {
    await this.rows.query(
      `UPDATE uploads SET expires_at = greatest(expires_at, now() + $2 * interval '1 second')
       WHERE id = ANY($1) AND state = 'pending'`,
      [ids, ttlSeconds],
    );
  }

  /**
   * How far a resumable upload has come, durably; it can be taken up again from here. `false` when it is gone, or somebody else has
   * brought it on from where we began.
   */
  async recordProgress(
    id: string,
    before: number,
    { offset, state }: ResumePoint,
    ttlSeconds: number,
  ): Promise<boolean> {
    return this.isAffected(
      `WITH recorded AS (
         UPDATE uploads SET received_bytes = $2, resume_state = $3, expires_at = now() + $4 * interval '1 second'
         WHERE id = $1 AND state = 'pending' AND is_resumable AND received_bytes = $5 RETURNING id)
       SELECT count(*) AS affected FROM recorded`,
      [id, offset, JSON.stringify(state), ttlSeconds, before],
    );
  }

  async findResumable(id: string, ownerId: string): Promise<ResumableUpload | null> {
    const [row] = await this.rows.query<ResumableRow[]>(
      `SELECT id, owner_id, state, file_size, filename, content_type, description, received_bytes, resume_state, expires_at
       FROM uploads WHERE id = $1 AND owner_id = $2 AND is_resumable AND (state = 'ready' OR expires_at > now())`,
      [id, ownerId],
    );
    return row ? toResumable(row) : null;
  }

  /** Whether it is the total that has no room, which is the operator's to know. */
  async isStorageExhausted(bytes: number): Promise<boolean> {
    const [{ held }] = await this.rows.query<{ held: string }[]>('SELECT bytes AS held FROM storage_totals');
    return Number(held) + bytes > this.config.uploads.storageQuotaBytes;
  }

  private async isAffected(sql: string, parameters: unknown[]): Promise<boolean> {
    const [{ affected }] = await this.rows.query<{ affected: string }[]>(sql, parameters);
    return affected !== '0';
  }
}

interface PublishedRow {
  upload_date: Date;
}

const toStoredFile = ({ sha256, size, ...upload }: FinishedUpload, at: Date): StoredFile =>
  Object.assign(new StoredFile(), {
    ...upload,
    state: 'ready' as const,
    originalFilename: upload.filename,
    fileSize: size,
    sha256: Buffer.from(sha256, 'hex'),
    uploadDate: at,
    updatedAt: at,
  });

interface ResumableRow {
  id: string;
  owner_id: string;
  state: string;
  file_size: string;
  filename: string;
  content_type: string;
  description: string | null;
  received_bytes: string;
  resume_state: ResumePoint['state'];
  expires_at: Date | null;
}

const toResumable = (row: ResumableRow): ResumableUpload => ({
  id: row.id,
  ownerId: row.owner_id,
  isReady: row.state === 'ready',
  size: Number(row.file_size),
  filename: row.filename,
  contentType: row.content_type,
  description: row.description,
  received: { offset: Number(row.received_bytes), state: row.resume_state },
  expiresAt: row.expires_at,
});
