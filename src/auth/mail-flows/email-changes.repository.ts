import { Injectable } from '@nestjs/common';
import { InjectEntityManager } from '@nestjs/typeorm';
import { EntityManager } from 'typeorm';
import type { EmailChangedEvent } from '../../users/users.events.js';
import { ACCOUNT_STATE, type AccountState, PASSWORD_DIGEST } from './account-state.js';

/** A change that is being undone, with what the account was like before it. */
export interface EmailChange {
  readonly id: string;
  readonly userId: string;
  readonly previousEmail: string;
  readonly wasVerified: boolean;
  readonly hadSecondFactor: boolean;
  readonly passwordDigest: Buffer;
}

const UNDO_TIME = `interval '72 hours'`;
const COUNTED_FOR = `interval '1 day'`;
const COLUMNS = `id, user_id AS "userId", previous_email AS "previousEmail", was_verified AS "wasVerified",
  had_second_factor AS "hadSecondFactor", password_digest AS "passwordDigest"`;

/** Whoever writes here holds the lock of the account. */
@Injectable()
export class EmailChangesRepository {
  constructor(@InjectEntityManager() private readonly database: EntityManager) {}

  within(tx: EntityManager): EmailChangesRepository {
    return new EmailChangesRepository(tx);
  }

  transaction<T>(work: (changes: EmailChangesRepository, tx: EntityManager) => Promise<T>): Promise<T> {
    return this.database.transaction((tx) => work(this.within(tx), tx));
  }

  /** Those of the last day, and in how many seconds the first of them will be older. */
  async countRecent(userId: string): Promise<{ count: number; secondsLeft: number }> {
    const [row] = await this.database.query<{ count: string; left: string | null }[]>(
      `SELECT count(*), extract(epoch FROM min(changed_at) + ${COUNTED_FOR} - now()) AS left FROM email_changes
       WHERE user_id = $1 AND changed_at > now() - ${COUNTED_FOR}`,
      [userId],
    );
    return { count: Number(row.count), secondsLeft: Math.max(1, Math.ceil(Number(row.left ?? 0))) };
  }

  /** The first change by which the account left the address that it has come back to; `null` when it has not. */
  async findDeparture(userId: string, email: string): Promise<string | null> {
    const [row] = await this.database.query<{ id: string | null }[]>(
      `SELECT min(id) AS id FROM email_changes WHERE user_id = $1 AND undo_until > now() AND lower(previous_email) = lower($2)`,
      [userId, email],
    );
    return row.id;
  }

  async insert({ account, previous }: EmailChangedEvent, canBeUndone: boolean): Promise<string> {
    const [row] = await this.database.query<{ id: string }[]>(
      `INSERT INTO email_changes (user_id, previous_email, was_verified, had_second_factor, password_digest, changed_at, undo_until)
       SELECT u.id, $2, $3, u.has_second_factor, ${PASSWORD_DIGEST}, now(), CASE WHEN $4 THEN now() + ${UNDO_TIME} ELSE '-infinity' END
       FROM users u WHERE u.id = $1 RETURNING id`,
      [account.id, previous.email, previous.isVerified, canBeUndone],
    );
    return row.id;
  }

  /** Gives a change its token, in the place of any other. `false` when it cannot be undone any more. */
  async setToken(id: string, hash: Buffer): Promise<boolean> {
    await this.database.query(
      'SELECT FROM users u JOIN email_changes c ON c.user_id = u.id WHERE c.id = $1 FOR NO KEY UPDATE OF u',
      [id],
    );
    const [rows] = await this.database.query<[{ userId: string }[], number]>(
      `UPDATE email_changes SET token_hash = $2 WHERE id = $1 AND undo_until > now() RETURNING user_id AS "userId"`,
      [id, hash],
    );
    if (rows.length === 0) return false;
    await this.prolongUpTo(rows[0].userId, id);
    return true;
  }

  /** Uses a token up. Of several at once one gets it. */
  async take(hash: Buffer): Promise<{ change: EmailChange; account: AccountState } | null> {
    const [account] = await this.database.query<AccountState[]>(
      `SELECT ${ACCOUNT_STATE} FROM users u JOIN email_changes c ON c.user_id = u.id WHERE c.token_hash = $1 FOR NO KEY UPDATE OF u`,
      [hash],
    );
    const [rows] = await this.database.query<[EmailChange[], number]>(
      `UPDATE email_changes SET undo_until = '-infinity', token_hash = NULL WHERE token_hash = $1 AND undo_until > now()
       RETURNING ${COLUMNS}`,
      [hash],
    );
    return rows.length > 0 ? { change: rows[0], account } : null;
  }

  async voidLaterThan(userId: string, id: string): Promise<void> {
    await this.database.query(
      `UPDATE email_changes SET undo_until = '-infinity', token_hash = NULL WHERE user_id = $1 AND id > $2`,
      [userId, id],
    );
  }

  async voidAllOf(userId: string): Promise<void> {
    await this.voidLaterThan(userId, '0');
  }

  /** As long as a later address can take the account back, an earlier one can do it after that. */
  async prolongUpTo(userId: string, id: string): Promise<void> {
    await this.database.query(
      `UPDATE email_changes SET undo_until = now() + ${UNDO_TIME} WHERE user_id = $1 AND id <= $2 AND undo_until > now()`,
      [userId, id],
    );
  }

  /** At most so many; says how many. */
  async deletePast(limit: number): Promise<number> {
    const [, deleted] = await this.database.query<[unknown[], number]>(
      `DELETE FROM email_changes WHERE id = ANY (ARRAY(
         SELECT id FROM email_changes WHERE changed_at < now() - ${COUNTED_FOR} AND undo_until <= now()
         ORDER BY changed_at LIMIT $1 FOR UPDATE SKIP LOCKED))`,
      [limit],
    );
    return deleted;
  }
}
