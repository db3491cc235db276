import { Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import { DataSource, type EntityManager } from 'typeorm';
import { v7 as uuidv7 } from 'uuid';
import type { ClaimedMail, NewMail, PendingCounts } from './queued-mail.js';

type Claim = Pick<ClaimedMail, 'id' | 'attempts'>;

/** Longer than an attempt can take: composing, connecting, handing over. */
const LEASE = `interval '5 minutes'`;
const TRIED_FOR = `interval '24 hours'`;
const WOKEN_WITHIN = `interval '10 seconds'`;
const KEPT_FOR = `interval '30 days'`;
/** How the reason begins of what was not the mail's fault, see `wakeHeldUp()`. */
export const HELD_UP = 'cannot be handed over: ';
/** Whose claim it is. One that was taken for lost still knows best what has become of its mail. */
const MINE = `id = $1 AND attempts = $2 AND state IN ('queued', 'sending', 'unconfirmed')`;

/** The queue. The database's clock counts, and no other. */
@Injectable()
export class MailsRepository {
  constructor(@InjectDataSource() private readonly database: DataSource) {}

  /** One statement, in the transaction or by itself. Without effect when the cause has had its mail. */
  async insert({ kind, email, userId, data, cause }: NewMail, tx?: EntityManager): Promise<void> {
    await (tx ?? this.database).query(
      `INSERT INTO mails (id, kind, user_id, email, data, cause, state, attempts, next_attempt_at, created_at)
       VALUES ($1, $2, $3, $4, $5, $6, 'queued', 0, now(), now()) ON CONFLICT (cause) DO NOTHING`,
      [uuidv7(), kind, userId ?? null, email, JSON.stringify(data ?? {}), cause ?? null],
    );
  }

  /** Takes mails that are due, so that no other node does. One that is claimed and not begun when its lease ends is due again. */
  async claim(limit: number): Promise<ClaimedMail[]> {
    const [rows] = await this.database.query<[ClaimedMail[], number]>(
      `WITH due AS MATERIALIZED (
         SELECT id FROM mails
         WHERE state = 'queued' AND next_attempt_at <= now() AND (claimed_until IS NULL OR claimed_until <= now())
         ORDER BY next_attempt_at LIMIT $1 FOR UPDATE SKIP LOCKED)
       UPDATE mails m SET attempts = m.attempts + 1, claimed_until = now() + ${LEASE} FROM due WHERE m.id = due.id
       RETURNING m.id, m.kind, m.user_id AS "userId", m.email, m.data, m.created_at AS "createdAt", m.attempts`,
      [limit],
    );
    return rows;
  }

  /** From now on the mail may have been sent, whatever becomes of this process. `false` when it is in other hands. */
  async begin({ id, attempts }: Claim): Promise<boolean> {
    const [, begun] = await this.database.query<[unknown[], number]>(
      `UPDATE mails SET state = 'sending', claimed_until = now() + ${LEASE}
       WHERE id = $1 AND attempts = $2 AND state IN ('queued', 'sending')`,
      [id, attempts],
    );
    return begun > 0;
  }

  /** What was sent is kept for its cause alone: whom it went to and what it was about are nobody's business any more. */
  async settleSent({ id, attempts }: Claim, state: 'sent' | 'dropped'): Promise<void> {
    await this.database.query(
      `UPDATE mails SET state = $3::varchar, sent_at = CASE WHEN $3::varchar = 'sent' THEN now() END, claimed_until = NULL, last_error = NULL,
              email = '', data = '{}' WHERE ${MINE}`,
      [id, attempts, state],
    );
  }

  /** Not sent, or not known to be. */
  async settleUnsent({ id, attempts }: Claim, state: 'failed' | 'unconfirmed', reason: string): Promise<void> {
    await this.database.query(`UPDATE mails SET state = $3, claimed_until = NULL, last_error = $4 WHERE ${MINE}`, [
      id,
      attempts,
      state,
      reason,
    ]);
  }

  /** To be tried again after so long; `false` when it has been tried for long enough, and is given up. */
  async postpone({ id, attempts }: Claim, delaySeconds: number, reason: string): Promise<boolean> {
    const [rows] = await this.database.query<[{ state: string }[], number]>(
      `UPDATE mails SET state = CASE WHEN now() + $3 * interval '1 second' < created_at + ${TRIED_FOR} THEN 'queued' ELSE 'failed' END,
              next_attempt_at = now() + $3 * interval '1 second', claimed_until = NULL, last_error = $4
       WHERE ${MINE} RETURNING state`,
      [id, attempts, delaySeconds, reason],
    );
    return rows.every(({ state }) => state === 'queued');
  }

  /**
   * Those that could not be handed over come now, one after the other: whatever was in the way is gone. Who is about to write one of them knows
   * better.
   */
  async wakeHeldUp(): Promise<void> {
    await this.database.query(
      `UPDATE mails SET next_attempt_at = now() + random() * ${WOKEN_WITHIN} WHERE id = ANY (ARRAY(
         SELECT id FROM mails
         WHERE state = 'queued' AND next_attempt_at > now() + ${WOKEN_WITHIN} AND starts_with(last_error, $1) FOR UPDATE SKIP LOCKED))`,
      [HELD_UP],
    );
  }

  /** Back into the queue, for another node to take at once. */
  async release({ id, attempts }: Claim): Promise<void> {
    await this.database.query(`UPDATE mails SET state = 'queued', claimed_until = NULL WHERE ${MINE}`, [id, attempts]);
  }

  /** Those whose sender has died while it handed them over. Answers with what they are. */
  async settleAbandoned(reason: string): Promise<Pick<ClaimedMail, 'id' | 'kind'>[]> {
    const [rows] = await this.database.query<[Pick<ClaimedMail, 'id' | 'kind'>[], number]>(
      `UPDATE mails SET state = 'unconfirmed', claimed_until = NULL, last_error = $1
       WHERE state = 'sending' AND claimed_until <= now() RETURNING id, kind`,
      [reason],
    );
    return rows;
  }

  async countPending(): Promise<PendingCounts> {
    const [row] = await this.database.query<Record<keyof PendingCounts, string>[]>(
      `SELECT count(*) FILTER (WHERE state IN ('queued', 'sending')) AS queued,
              count(*) FILTER (WHERE state = 'failed') AS failed,
              count(*) FILTER (WHERE state = 'unconfirmed') AS unconfirmed,
              coalesce(extract(epoch FROM now() - min(created_at) FILTER (WHERE state IN ('queued', 'sending'))), 0) AS "oldestSeconds"
       FROM mails WHERE state IN ('queued', 'sending', 'failed', 'unconfirmed')`,
    );
    return {
      queued: Number(row.queued),
      failed: Number(row.failed),
      unconfirmed: Number(row.unconfirmed),
      oldestSeconds: Math.max(0, Number(row.oldestSeconds)),
    };
  }

  /** Removes at most so many that are settled and old, and says how many. */
  async deleteOld(limit: number): Promise<number> {
    const [, deleted] = await this.database.query<[unknown[], number]>(
      `DELETE FROM mails WHERE id = ANY (ARRAY(
         SELECT id FROM mails WHERE created_at < now() - ${KEPT_FOR} AND state NOT IN ('queued', 'sending')
         ORDER BY created_at LIMIT $1 FOR UPDATE SKIP LOCKED))`,
      [limit],
    );
    return deleted;
  }
}
