import { Injectable } from '@nestjs/common';
import { InjectEntityManager } from '@nestjs/typeorm';
import { EntityManager } from 'typeorm';
import type { Account } from '../../common/auth/principal.js';

export interface StoredFactor {
  readonly secret: Buffer;
  readonly isConfirmed: boolean;
  /** The database's clock: nodes may disagree about the time, their database does not. */
  readonly now: Date;
}

/** Expired tokens that go with each that is spent, so that they never pile up. */
const SWEPT_MAX = 10;

@Injectable()
export class SecondFactorsRepository {
  constructor(@InjectEntityManager() private readonly database: EntityManager) {}

  within(tx: EntityManager): SecondFactorsRepository {
    return new SecondFactorsRepository(tx);
  }

  /** Until the transaction ends nobody else changes whether and how the user is asked for a code. */
  async lockOwner(userId: string): Promise<Pick<Account, 'id' | 'email'> | null> {
    const rows = await this.database.query<Pick<Account, 'id' | 'email'>[]>(
      'SELECT id, email FROM users WHERE id = $1 FOR NO KEY UPDATE',
      [userId],
    );
    return rows[0] ?? null;
  }

  async find(userId: string): Promise<StoredFactor | null> {
    const rows = await this.database.query<StoredFactor[]>(
      `SELECT secret, confirmed_at IS NOT NULL AS "isConfirmed", clock_timestamp() AS now FROM second_factors WHERE user_id = $1`,
      [userId],
    );
    return rows[0] ?? null;
  }

  /** In the place of one that was not confirmed; `false` when there is one that was. */
  async begin(userId: string, secret: Buffer): Promise<boolean> {
    const rows = await this.database.query<unknown[]>(
      `INSERT INTO second_factors AS f (user_id, secret, created_at) VALUES ($1, $2, now())
       ON CONFLICT (user_id) DO UPDATE SET secret = excluded.secret, created_at = excluded.created_at WHERE f.confirmed_at IS NULL
       RETURNING user_id`,
      [userId, secret],
    );
    return rows.length > 0;
  }

  /** From now on the user is asked for codes, later ones than this. */
  async confirm(userId: string, step: number): Promise<void> {
    await this.database.query('UPDATE second_factors SET confirmed_at = now(), last_step = $2 WHERE user_id = $1', [
      userId,
      step,
    ]);
    await this.noteWhetherConfirmed(userId);
  }

  /** Each step is good once, and none before it afterwards (RFC 6238, section 5.2). */
  async takeStep(userId: string, step: number): Promise<boolean> {
    const [, affected] = await this.database.query<[unknown, number]>(
      'UPDATE second_factors SET last_step = $2 WHERE user_id = $1 AND confirmed_at IS NOT NULL AND last_step < $2',
      [userId, step],
    );
    return affected === 1;
  }

  /** Whether it was one that had been confirmed. */
  async remove(userId: string): Promise<boolean> {
    await this.database.query('DELETE FROM recovery_codes WHERE user_id = $1', [userId]);
    const [removed] = await this.database.query<[{ is_confirmed: boolean }[], number]>(
      'DELETE FROM second_factors WHERE user_id = $1 RETURNING confirmed_at IS NOT NULL AS is_confirmed',
      [userId],
    );
    await this.noteWhetherConfirmed(userId);
    return removed.some((row) => row.is_confirmed);
  }

  async replaceCodes(userId: string, hashes: readonly Buffer[]): Promise<void> {
    await this.database.query('DELETE FROM recovery_codes WHERE user_id = $1', [userId]);
    await this.database.query('INSERT INTO recovery_codes (user_id, code_hash) SELECT $1, unnest($2::bytea[])', [
      userId,
      hashes,
    ]);
  }

  async takeCode(userId: string, hash: Buffer): Promise<boolean> {
    const [, affected] = await this.database.query<[unknown, number]>(
      'DELETE FROM recovery_codes WHERE user_id = $1 AND code_hash = $2',
      [userId, hash],
    );
    return affected === 1;
  }

  async countCodes(userId: string): Promise<number> {
    const [{ codes }] = await this.database.query<{ codes: number }[]>(
      'SELECT count(*)::integer AS codes FROM recovery_codes WHERE user_id = $1',
      [userId],
    );
    return codes;
  }

  /** `false` when the token of a login was spent before. */
  async spendLoginToken(id: string, expiresAt: Date): Promise<boolean> {
    await this.database.query(
      `DELETE FROM spent_login_tokens WHERE id IN
         (SELECT id FROM spent_login_tokens WHERE expires_at < now() - interval '1 hour' LIMIT $1 FOR UPDATE SKIP LOCKED)`,
      [SWEPT_MAX],
    );
    const rows = await this.database.query<unknown[]>(
      'INSERT INTO spent_login_tokens (id, expires_at) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING id',
      [id, expiresAt],
    );
    return rows.length > 0;
  }

  /** What the access check and the login read of it. */
  private async noteWhetherConfirmed(userId: string): Promise<void> {
    await this.database.query(
      `UPDATE users SET has_second_factor = EXISTS (SELECT 1 FROM second_factors WHERE user_id = $1 AND confirmed_at IS NOT NULL)
       WHERE id = $1`,
      [userId],
    );
  }
}
