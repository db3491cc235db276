import { Injectable } from '@nestjs/common';
import { InjectEntityManager } from '@nestjs/typeorm';
import { EntityManager } from 'typeorm';
import { ACCOUNT_STATE, type AccountState, PASSWORD_DIGEST } from './account-state.js';

export type TokenPurpose = 'verify_email' | 'reset_password';

export interface MailedToken {
  readonly hash: Buffer;
  readonly purpose: TokenPurpose;
  readonly account: AccountState;
  readonly mailId: string;
}

const LIFETIME = `interval '1 hour'`;
/** What has expired tells for so long that a mail, which is tried for a day, was on its way before. */
const KEPT_FOR = `interval '1 day'`;

/** A token is good for the account that it was issued for, and for no later state of it. */
const IS_LIVE = `t.token_hash = $1 AND t.purpose = $2 AND t.expires_at > now() AND u.is_active
  AND lower(u.email) = lower(t.email) AND ${PASSWORD_DIGEST} = t.password_digest`;

@Injectable()
export class OneTimeTokensRepository {
  constructor(@InjectEntityManager() private readonly database: EntityManager) {}

  within(tx: EntityManager): OneTimeTokensRepository {
    return new OneTimeTokensRepository(tx);
  }

  transaction<T>(work: (tokens: OneTimeTokensRepository, tx: EntityManager) => Promise<T>): Promise<T> {
    return this.database.transaction((tx) => work(this.within(tx), tx));
  }

  /** By address, and by id where that is known. Nobody else changes the account until the transaction ends. */
  async lockAccount(email: string, userId: string | null): Promise<AccountState | null> {
    const rows = await this.database.query<AccountState[]>(
      `SELECT ${ACCOUNT_STATE} FROM users u
       WHERE lower(u.email) = lower($1) AND ($2::uuid IS NULL OR u.id = $2) FOR NO KEY UPDATE`,
      [email, userId],
    );
    return rows[0] ?? null;
  }

  /** How many the account's address was sent lately, by other mails and whatever account it belonged to. */
  async countRecent({
    account,
    purpose,
    mailId,
  }: Omit<MailedToken, 'hash'>): Promise<{ minute: number; hour: number }> {
    const [row] = await this.database.query<{ minute: string; hour: string }[]>(
      `SELECT count(*) FILTER (WHERE created_at > now() - interval '1 minute') AS minute, count(*) AS hour FROM one_time_tokens
       WHERE lower(email) = lower($1) AND purpose = $2 AND mail_id <> $3 AND created_at > now() - interval '1 hour'`,
      [account.email, purpose, mailId],
    );
    return { minute: Number(row.minute), hour: Number(row.hour) };
  }

  /** In the place of the one that an earlier attempt at the same mail has taken along; `true` when there was none. */
  async insert({ hash, purpose, account, mailId }: MailedToken): Promise<boolean> {
    const [, replaced] = await this.database.query<[unknown[], number]>(
      'DELETE FROM one_time_tokens WHERE mail_id = $1',
      [mailId],
    );
    await this.database.query(
      `INSERT INTO one_time_tokens (token_hash, user_id, purpose, email, password_digest, mail_id, created_at, expires_at)
       VALUES ($1, $2, $3, $4, $5, $6, now(), now() + ${LIFETIME})`,
      [hash, account.id, purpose, account.email, account.passwordDigest, mailId],
    );
    return replaced === 0;
  }

  /** Whose a token is that is good now. */
  async findHolder(hash: Buffer, purpose: TokenPurpose): Promise<AccountState | null> {
    const rows = await this.database.query<AccountState[]>(
      `SELECT ${ACCOUNT_STATE} FROM one_time_tokens t JOIN users u ON u.id = t.user_id WHERE ${IS_LIVE}`,
      [hash, purpose],
    );
    return rows[0] ?? null;
  }

  /** Uses a token up, and tells what its account was like. Of several at once one gets it; the account stays locked. */
  async take(hash: Buffer, purpose: TokenPurpose): Promise<AccountState | null> {
    await this.database.query(
      `SELECT FROM users u JOIN one_time_tokens t ON t.user_id = u.id WHERE t.token_hash = $1 FOR NO KEY UPDATE OF u`,
      [hash],
    );
    const [rows] = await this.database.query<[AccountState[], number]>(
      `DELETE FROM one_time_tokens t USING users u WHERE u.id = t.user_id AND ${IS_LIVE} RETURNING ${ACCOUNT_STATE}`,
      [hash, purpose],
    );
    return rows[0] ?? null;
  }

  /** They go on counting for how many mails an address gets. */
  async voidAllOf(userId: string): Promise<void> {
    await this.database.query(
      'UPDATE one_time_tokens SET expires_at = now() WHERE user_id = $1 AND expires_at > now()',
      [userId],
    );
  }

  async deleteAllFor(userId: string, purpose: TokenPurpose): Promise<void> {
    await this.database.query('DELETE FROM one_time_tokens WHERE user_id = $1 AND purpose = $2', [userId, purpose]);
  }

  /** At most so many; says how many. */
  async deleteExpired(limit: number): Promise<number> {
    const [, deleted] = await this.database.query<[unknown[], number]>(
      `DELETE FROM one_time_tokens WHERE token_hash = ANY (ARRAY(
         SELECT token_hash FROM one_time_tokens WHERE expires_at < now() - ${KEPT_FOR}
         ORDER BY expires_at LIMIT $1 FOR UPDATE SKIP LOCKED))`,
      [limit],
    );
    return deleted;
  }
}
