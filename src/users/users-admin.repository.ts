import { Injectable } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import { type EntityManager, Repository, type SelectQueryBuilder } from 'typeorm';
import type { Account } from '../common/auth/principal.js';
import { ROLES, type Role } from '../common/auth/role.js';
import type { PageWindow } from '../common/http/page.js';
import { ListReader } from '../database/replicas/list-reader.js';
import { userSearch } from './user-search.js';
import { User } from './user.entity.js';

/** An account, with what only administrators see and set. */
export interface ManagedAccount extends Account {
  /** Bytes; `null` is the default of everybody. */
  readonly quota: number | null;
}

export interface UsersFilter {
  readonly search: string | null;
  /** `null` is any. */
  readonly role: Role | null;
  readonly isActive: boolean | null;
  readonly sortBy: 'created_at' | 'username' | 'email' | 'last_login';
  readonly isDescending: boolean;
}

interface PageOfIds {
  readonly ids: string[];
  readonly total: number;
}

const SORT_KEYS = {
  created_at: 'created_at',
  username: '(lower(username) COLLATE "C")',
  email: '(lower(email) COLLATE "C")',
  last_login: 'last_login',
} as const;

/** What administrators ask and change. Each list is a walk along indexes that have its order (`migrations/…-index-admin-lists`). */
@Injectable()
export class UsersAdminRepository {
  constructor(
    @InjectRepository(User) private readonly rows: Repository<User>,
    private readonly lists: ListReader,
  ) {}

  within(tx: EntityManager): UsersAdminRepository {
    return new UsersAdminRepository(tx.getRepository(User), this.lists);
  }

  async find(id: string): Promise<ManagedAccount | null> {
    const [account] = await managed(this.withQuota().where('u.id = :id', { id }));
    return account ?? null;
  }

  /** Nobody else changes the user until the transaction ends. */
  async findForUpdate(id: string): Promise<ManagedAccount | null> {
    const [account] = await managed(this.withQuota().where('u.id = :id', { id }).setLock('pessimistic_write'));
    return account ?? null;
  }

  /** Of a user whose row the transaction holds. */
  async update(account: ManagedAccount): Promise<ManagedAccount> {
    const { id, role, isActive, quota } = account;
    const [[row]] = await this.rows.query<[{ updated_at: Date }[], number]>(
      'UPDATE users SET role = $2, is_active = $3, quota = $4, updated_at = now() WHERE id = $1 RETURNING updated_at',
      [id, role, isActive, quota],
    );
    return { ...account, updatedAt: row.updated_at };
  }

  list(filter: UsersFilter, window: PageWindow): Promise<{ users: ManagedAccount[]; total: number }> {
    return this.lists.read((source) => this.within(source).listHere(filter, window));
  }

  private async listHere(filter: UsersFilter, window: PageWindow): Promise<{ users: ManagedAccount[]; total: number }> {
    const { ids, total } =
      filter.search === null
        ? await this.pageOfAll(filter, window)
        : await this.pageOfMatches({ ...filter, search: filter.search }, window);
    const found = await managed(this.withQuota().where('u.id = ANY(:ids)', { ids }));
    const byId = new Map(found.map((account) => [account.id, account]));
    return { users: ids.flatMap((id) => byId.get(id) ?? []), total };
  }

  /**
   * Users are of four kinds, by role and activity, and every order has an index that begins with the kind. Each kind that is asked for is
   * walked as far as the page may lie in it; the walks are merged, since each is in the order of the whole.
   */
  private pageOfAll(filter: UsersFilter, { skip, limit }: PageWindow): Promise<PageOfIds> {
    const kinds = kindsOf(filter).map(
      (kind) =>
        `(SELECT id, ${SORT_KEYS[filter.sortBy]} AS key FROM users WHERE ${kind} ${orderBy(filter)} LIMIT $1::bigint + $2::bigint)`,
    );
    return this.idsAndTotal(
      `SELECT (${totalOf(filter)}) AS total,
              ARRAY(SELECT id FROM (${kinds.join(' UNION ALL ')}) k ${orderBy(filter)} OFFSET $1 LIMIT $2) AS ids`,
      [skip, limit],
    );
  }

  /** The matches are found once, for the count and the page. */
  private pageOfMatches(filter: UsersFilter & { search: string }, { skip, limit }: PageWindow): Promise<PageOfIds> {
    const { condition, pattern } = userSearch(filter.search, '$3', true);
    const isAsked = [
      condition,
      ...(filter.role === null ? [] : [`role = '${filter.role}'`]),
      ...(filter.isActive === null ? [] : [`is_active = ${filter.isActive}`]),
    ];
    return this.idsAndTotal(
      `WITH found AS MATERIALIZED (SELECT id, ${SORT_KEYS[filter.sortBy]} AS key FROM users WHERE ${isAsked.join(' AND ')})
       SELECT (SELECT count(*) FROM found) AS total, ARRAY(SELECT id FROM found ${orderBy(filter)} OFFSET $1 LIMIT $2) AS ids`,
      [skip, limit, pattern],
    );
  }

  private async idsAndTotal(sql: string, parameters: unknown[]): Promise<PageOfIds> {
    const [{ ids, total }] = await this.rows.query<{ ids: string[]; total: string }[]>(sql, parameters);
    return { ids, total: Number(total) };
  }

  private withQuota(): SelectQueryBuilder<User> {
    return this.rows.createQueryBuilder('u').addSelect('u.quota', 'quota');
  }
}

/** A row is one user, so what the query selects besides stands in the same place. */
async function managed(query: SelectQueryBuilder<User>): Promise<ManagedAccount[]> {
  const { entities, raw } = await query.getRawAndEntities<{ quota: string | null }>();
  return entities.map((user, i) => ({ ...user, quota: raw[i].quota === null ? null : Number(raw[i].quota) }));
}

/** Whoever has never signed in comes before everybody who has. */
function orderBy({ sortBy, isDescending }: UsersFilter): string {
  const direction = isDescending ? 'DESC' : 'ASC';
  const nulls = sortBy === 'last_login' ? `NULLS ${isDescending ? 'LAST' : 'FIRST'}` : '';
  return `ORDER BY key ${direction} ${nulls}, id ${direction}`;
}

const kindsOf = ({ role, isActive }: UsersFilter): string[] =>
  (role === null ? ROLES : [role]).flatMap((oneRole) =>
    (isActive === null ? [true, false] : [isActive]).map(
      (oneActivity) => `role = '${oneRole}' AND is_active = ${oneActivity}`,
    ),
  );

/** How many are active is kept; admins are few, and counted along their index. */
function totalOf({ role, isActive }: UsersFilter): string {
  const activity = isActive === null ? 'true' : `is_active = ${isActive}`;
  const all = `SELECT sum(users) FROM user_counts WHERE ${activity}`;
  const admins = `SELECT count(*) FROM users WHERE role = 'admin' AND ${activity}`;
  if (role === 'admin') return admins;
  return role === null ? all : `(${all}) - (${admins})`;
}
