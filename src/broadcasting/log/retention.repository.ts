import { Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import { DataSource } from 'typeorm';
import { AppConfig } from '../../config/app-config.js';

/** A channel whose oldest messages are past their time. */
export interface DueChannel {
  readonly id: string;
  readonly name: string;
}

/** The end of a message is looked for among so many; the next sweep goes on. */
const LOOKED_AT_MAX = 10_000;
/** An idempotency key is remembered for so long even if its message is kept for less. */
const KEY_SECONDS = 600;
/** What is removed is not waited for: if a crash brings it back, it is removed again. */
const QUICKLY = `quickly AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true))`;

@Injectable()
export class RetentionRepository {
  constructor(
    @InjectDataSource() private readonly database: DataSource,
    private readonly config: AppConfig,
  ) {}

  /** Looks at the `limit` channels after the id; `lastId` is null when there are no more. */
  async findDue(afterId: string, limit: number): Promise<{ due: DueChannel[]; lastId: string | null }> {
    const { retentionSeconds, retentionCount } = this.config.broadcasting;
    const rows = await this.database.query<(DueChannel & { is_due: boolean })[]>(
      `SELECT c.id, c.name,
              coalesce(oldest.sequence <= c.last_sequence - coalesce(c.retention_count, $4)
                       OR oldest.created_at < now() - coalesce(c.retention_seconds, $3) * interval '1 second', false) AS is_due
       FROM (SELECT * FROM channels WHERE id > $1 ORDER BY id LIMIT $2) c
       LEFT JOIN LATERAL (SELECT sequence, created_at FROM messages WHERE channel_id = c.id ORDER BY sequence LIMIT 1) oldest ON true
       ORDER BY c.id`,
      [afterId, limit, retentionSeconds, retentionCount],
    );
    return { due: rows.filter((row) => row.is_due), lastId: rows.at(-1)?.id ?? null };
  }

  findByName(name: string): Promise<DueChannel[]> {
    return this.database.query('SELECT id, name FROM channels WHERE name = $1', [name]);
  }

  /**
   * From now on readers do not see what is past its time. The channel's row is locked for this alone, not for the removal: publishers
   * do not wait.
   */
  async advance(id: string): Promise<void> {
    const { retentionSeconds, retentionCount } = this.config.broadcasting;
    await this.database.query(
      `WITH ${QUICKLY}, looked_at AS MATERIALIZED (
         SELECT m.sequence, m.created_at >= now() - coalesce(c.retention_seconds, $3) * interval '1 second' AS is_young
         FROM channels c JOIN messages m ON m.channel_id = c.id AND m.sequence >= c.first_sequence
         WHERE c.id = $1 ORDER BY m.sequence LIMIT $2),
       aged AS (SELECT coalesce(min(sequence) FILTER (WHERE is_young), max(sequence) + 1) AS first FROM looked_at),
       target AS (
         SELECT greatest(c.first_sequence, aged.first, c.last_sequence - coalesce(c.retention_count, $4) + 1) AS first
         FROM channels c, aged, quickly WHERE c.id = $1)
       UPDATE channels c SET first_sequence = target.first FROM target WHERE c.id = $1 AND c.first_sequence < target.first`,
      [id, LOOKED_AT_MAX, retentionSeconds, retentionCount],
    );
  }

  /** Removes at most `limit` rows that readers do not see any more, and says how many. */
  async remove(id: string, limit: number): Promise<number> {
    const [{ removed }] = await this.database.query<{ removed: string }[]>(
      `WITH ${QUICKLY}, removed AS (
         DELETE FROM messages USING quickly WHERE channel_id = $1 AND sequence = ANY (ARRAY(
           SELECT m.sequence FROM messages m JOIN channels c ON c.id = m.channel_id
           WHERE m.channel_id = $1 AND m.sequence < c.first_sequence
             AND (m.idempotency_key IS NULL OR m.created_at < now() - $3 * interval '1 second')
           ORDER BY m.sequence LIMIT $2))
         RETURNING 1)
       SELECT count(*) AS removed FROM removed`,
      [id, limit, KEY_SECONDS],
    );
    return Number(removed);
  }
}
