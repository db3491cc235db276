import { Injectable } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import { type EntityManager, Not, Repository } from 'typeorm';
import type { Role } from '../../common/auth/role.js';
import type { Scope } from '../../common/auth/scope.js';
import type { PageWindow } from '../../common/http/page.js';
import { Session } from './session.entity.js';

/** A session under its lock, and the database's clock: nodes may disagree about the time, their database does not. */
export interface LockedSession {
  readonly session: Session;
  readonly now: Date;
}

/** A session, or an API key with its scopes. */
export interface LiveCredential {
  readonly id: string;
  readonly scopes: Scope[] | null;
  readonly role: Role;
  readonly hasSecondFactor: boolean;
}

@Injectable()
export class SessionsRepository {
  constructor(@InjectRepository(Session) private readonly rows: Repository<Session>) {}

  within(tx: EntityManager): SessionsRepository {
    return new SessionsRepository(tx.getRepository(Session));
  }

  transaction<T>(work: (tx: EntityManager) => Promise<T>): Promise<T> {
    return this.rows.manager.transaction(work);
  }

  async insert(session: Session): Promise<void> {
    await this.rows.insert(session);
  }

  /** Waits for its turn; the clock is read once the lock is held. */
  async findLocked(id: string): Promise<LockedSession | null> {
    const session = await this.rows.findOne({ where: { id }, lock: { mode: 'pessimistic_write' } });
    return session && { session, now: await this.now() };
  }

  async now(): Promise<Date> {
    const [{ now }] = await this.rows.query<{ now: Date }[]>('SELECT clock_timestamp() AS now');
    return now;
  }

  async update(id: string, changes: Partial<Session>): Promise<void> {
    await this.rows.update({ id }, changes);
  }

  async listOwn(userId: string, { skip, limit }: PageWindow): Promise<{ sessions: Session[]; total: number }> {
    const [sessions, total] = await this.rows
      .createQueryBuilder('s')
      .where('s.user_id = :userId AND s.expires_at > now()', { userId })
      .orderBy('s.id', 'DESC')
      .offset(skip)
      .limit(limit)
      .getManyAndCount();
    return { sessions, total };
  }

  /** So many of them from the newest on, or from the one before `before`. */
  listOwnBefore(userId: string, before: string | null, limit: number): Promise<Session[]> {
    const query = this.rows.createQueryBuilder('s').where('s.user_id = :userId AND s.expires_at > now()', { userId });
    if (before) query.andWhere('s.id < :before', { before });
    return query.orderBy('s.id', 'DESC').limit(limit).getMany();
  }

  /** Those of the sessions and API keys that are alive, with what their users are now. */
  findLive(ids: readonly string[]): Promise<LiveCredential[]> {
    return this.rows.query<LiveCredential[]>(
      `SELECT c.id, c.scopes, u.role, u.has_second_factor AS "hasSecondFactor" FROM (
         SELECT id, user_id, NULL AS scopes FROM sessions WHERE id = ANY ($1) AND expires_at > now()
         UNION ALL
         SELECT id, user_id, scopes FROM api_keys
         WHERE id = ANY ($1) AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())) c
       JOIN users u ON u.id = c.user_id AND u.is_active`,
      [ids],
    );
  }

  async delete(id: string): Promise<void> {
    await this.rows.delete({ id });
  }

  async deleteOwn(id: string, userId: string): Promise<boolean> {
    const result = await this.rows.delete({ id, userId });
    return result.affected === 1;
  }

  async deleteAllOf(userId: string): Promise<void> {
    await this.rows.delete({ userId });
  }

  async deleteAllBut(id: string, userId: string): Promise<void> {
    await this.rows.delete({ userId, id: Not(id) });
  }

  /** At most `count` of them, passing over any that a refresh holds. Returns how many. */
  async deleteExpired(count: number): Promise<number> {
    const [, affected] = await this.rows.query<[unknown, number]>(
      `DELETE FROM sessions WHERE id IN
         (SELECT id FROM sessions WHERE expires_at <= now() ORDER BY expires_at LIMIT $1 FOR UPDATE SKIP LOCKED)`,
      [count],
    );
    return affected;
  }
}
