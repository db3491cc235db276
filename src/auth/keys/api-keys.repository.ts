import { Injectable } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import { type EntityManager, IsNull, Repository } from 'typeorm';
import type { Scope } from '../../common/auth/scope.js';
import type { PageWindow } from '../../common/http/page.js';
import { type PreparedStatement, PreparedStatements } from '../../database/prepared-statements.js';
import { ACCOUNT_COLUMNS, type AccountRow } from '../account-row.js';
import { ApiKey } from './api-key.entity.js';

/** A key as it was found by its id, whether or not it is good, with its owner. */
export interface KeyRow extends AccountRow {
  key_id: string;
  secret_hash: Buffer;
  scopes: Scope[];
  expires_at: Date | null;
  is_live: boolean;
  is_revoked: boolean;
}

const KEY_WITH_OWNER: PreparedStatement = {
  name: 'key-with-owner',
  text: `
    SELECT ${ACCOUNT_COLUMNS}, k.id AS key_id, k.secret_hash, k.scopes, k.expires_at, k.revoked_at IS NOT NULL AS is_revoked,
           k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > now()) AND u.is_active AS is_live
    FROM api_keys k JOIN users u ON u.id = k.user_id WHERE k.id = $1`,
};

@Injectable()
export class ApiKeysRepository {
  constructor(
    @InjectRepository(ApiKey) private readonly rows: Repository<ApiKey>,
    private readonly statements: PreparedStatements,
  ) {}

  within(tx: EntityManager): ApiKeysRepository {
    return new ApiKeysRepository(tx.getRepository(ApiKey), this.statements);
  }

  transaction<T>(work: (keys: ApiKeysRepository, tx: EntityManager) => Promise<T>): Promise<T> {
    return this.rows.manager.transaction((tx) => work(this.within(tx), tx));
  }

  findWithOwner(id: string): Promise<KeyRow | null> {
    return this.statements.first<KeyRow>(KEY_WITH_OWNER, [id]);
  }

  async insert(key: ApiKey): Promise<void> {
    await this.rows.insert(key);
  }

  /** Until the transaction ends nobody else adds a key for the user, or removes the user. */
  async lockOwner(userId: string): Promise<void> {
    await this.rows.query('SELECT 1 FROM users WHERE id = $1 FOR NO KEY UPDATE', [userId]);
  }

  countOwn(userId: string): Promise<number> {
    return this.rows.countBy({ userId, revokedAt: IsNull() });
  }

  async listOwn(userId: string, { skip, limit }: PageWindow): Promise<{ keys: ApiKey[]; total: number }> {
    const [keys, total] = await this.rows.findAndCount({
      where: { userId, revokedAt: IsNull() },
      order: { id: 'DESC' },
      skip,
      take: limit,
    });
    return { keys, total };
  }

  /** Whether there was such a key that was not revoked yet. */
  async revokeOwn(id: string, userId: string): Promise<boolean> {
    const result = await this.rows.update({ id, userId, revokedAt: IsNull() }, { revokedAt: () => 'now()' });
    return result.affected === 1;
  }

  async revokeAllOf(userId: string): Promise<void> {
    await this.rows.update({ userId, revokedAt: IsNull() }, { revokedAt: () => 'now()' });
  }

  /** At most `count` of those that were revoked long ago. Returns how many. */
  async deleteRevoked(count: number): Promise<number> {
    const [, affected] = await this.rows.query<[unknown, number]>(
      `DELETE FROM api_keys WHERE id IN (
         SELECT id FROM api_keys WHERE revoked_at < now() - interval '90 days' ORDER BY revoked_at LIMIT $1 FOR UPDATE SKIP LOCKED)`,
      [count],
    );
    return affected;
  }

  /** At most once a minute, however often it is asked for. */
  async noteUse(id: string): Promise<void> {
    await this.rows.query(
      `UPDATE api_keys SET last_used_at = now()
       WHERE id = $1 AND (last_used_at IS NULL OR last_used_at < now() - interval '1 minute')`,
      [id],
    );
  }
}
