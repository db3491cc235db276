import { Injectable } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import { type EntityManager, In, Repository, type SelectQueryBuilder } from 'typeorm';
import { isDeadlock, violatedConstraint } from '../database/database-errors.js';
import { ListReader } from '../database/replicas/list-reader.js';
import type { PageWindow } from '../common/http/page.js';
import { userSearch } from './user-search.js';
import { User } from './user.entity.js';
import { EmailTakenError, UsernameTakenError } from './users.errors.js';

/** What a caller may see of the directory. */
export interface DirectoryScope {
  readonly includesInactive: boolean;
  readonly searchesEmail: boolean;
}

interface PageOfIds {
  readonly ids: string[];
  readonly total: number;
}

/** An arbitrary number: whoever changes how many admins there are holds the lock of this name. */
const ADMINS_LOCK = 7_238_145_002;

@Injectable()
export class UsersRepository {
  constructor(
    @InjectRepository(User) private readonly rows: Repository<User>,
    private readonly lists: ListReader,
  ) {}

  within(tx: EntityManager): UsersRepository {
    return new UsersRepository(tx.getRepository(User), this.lists);
  }

  transaction<T>(work: (users: UsersRepository, tx: EntityManager) => Promise<T>): Promise<T> {
    return this.rows.manager.transaction((tx) => work(this.within(tx), tx));
  }

  /** Done once more after a deadlock, as of two users who take each other's name at once. */
  async transactionOrAgain<T>(work: (users: UsersRepository, tx: EntityManager) => Promise<T>): Promise<T> {
    try {
      return await this.transaction(work);
    } catch (error) {
      if (!isDeadlock(error)) throw error;
      return this.transaction(work);
    }
  }

  findById(id: string): Promise<User | null> {
    return this.rows.findOneBy({ id });
  }

  findAll(ids: readonly string[]): Promise<User[]> {
    return this.rows.find({ where: { id: In([...ids]) }, order: { id: 'ASC' } });
  }

  findByEmailWithPassword(email: string): Promise<User | null> {
    return this.withPassword().where('lower(u.email) = lower(:email)', { email }).getOne();
  }

  findByUsernameWithPassword(username: string): Promise<User | null> {
    return this.withPassword().where('lower(u.username) = lower(:username)', { username }).getOne();
  }

  findByIdWithPassword(id: string): Promise<User | null> {
    return this.withPassword().where({ id }).getOne();
  }

  async findPasswordHash(id: string): Promise<string | null> {
    const user = await this.findByIdWithPassword(id);
    return user?.passwordHash ?? null;
  }

  /** @throws EmailTakenError, UsernameTakenError */
  async insert(user: User): Promise<void> {
    await named(this.rows.insert(user));
  }

  /** Nobody else changes the user until the transaction ends. */
  findForUpdate(id: string): Promise<User | null> {
    return this.rows.findOne({ where: { id }, lock: { mode: 'pessimistic_write' } });
  }

  /** Changes only what is given. @throws EmailTakenError, UsernameTakenError */
  async update(user: User, changes: Partial<User>): Promise<User> {
    const changed = { ...withoutUndefined(changes), updatedAt: new Date() };
    await named(this.rows.update({ id: user.id }, changed));
    return Object.assign(user, changed);
  }

  /** Replaces the hash only while it is still `oldHash`, so that of two changes at once one wins and the other is told. */
  async replacePasswordHash(id: string, oldHash: string, newHash: string): Promise<boolean> {
    const result = await this.rows.update(
      { id, passwordHash: oldHash },
      { passwordHash: newHash, updatedAt: new Date() },
    );
    return result.affected === 1;
  }

  /** Whatever the hash was: for who proves to be the owner by other means than the password. */
  async setPasswordHash(id: string, hash: string): Promise<void> {
    await this.rows.update({ id }, { passwordHash: hash, updatedAt: new Date() });
  }

  /** Notes a login while the account is active, its hash is still the one that was compared, and no other proof is asked for. */
  async recordLogin(
    { id, hasSecondFactor }: Pick<User, 'id' | 'hasSecondFactor'>,
    comparedHash: string,
    at: Date,
  ): Promise<boolean> {
    const unchanged = { id, passwordHash: comparedHash, hasSecondFactor, isActive: true };
    const result = await this.rows.update(unchanged, { lastLogin: at });
    return result.affected === 1;
  }

  async delete(id: string): Promise<boolean> {
    const result = await this.rows.delete({ id });
    return result.affected === 1;
  }

  /** Until the transaction ends nobody else adds or takes away an admin. */
  async lockAdmins(): Promise<void> {
    await this.rows.query('SELECT pg_advisory_xact_lock($1)', [ADMINS_LOCK]);
  }

  hasAdmin(): Promise<boolean> {
    return this.rows.existsBy({ role: 'admin' });
  }

  countOtherActiveAdmins(id: string): Promise<number> {
    return this.rows
      .createQueryBuilder('u')
      .where(`u.role = 'admin' AND u.is_active AND u.id <> :id`, { id })
      .getCount();
  }

  /** Users in the order in which they came. */
  list(scope: DirectoryScope, search: string | null, window: PageWindow): Promise<{ users: User[]; total: number }> {
    return this.lists.read((source) => this.within(source).listHere(scope, search, window));
  }

  private async listHere(
    scope: DirectoryScope,
    search: string | null,
    window: PageWindow,
  ): Promise<{ users: User[]; total: number }> {
    const { ids, total } =
      search === null ? await this.pageOfAll(scope, window) : await this.pageOfMatches(scope, search, window);
    return { users: await this.findAll(ids), total };
  }

  /** A page deep in the list is found in an index alone; the total is read from the counters that the database keeps. */
  private async pageOfAll({ includesInactive }: DirectoryScope, { skip, limit }: PageWindow): Promise<PageOfIds> {
    const condition = includesInactive ? 'true' : 'is_active';
    return this.idsAndTotal(
      `SELECT (SELECT sum(users) FROM user_counts WHERE ${condition}) AS total,
              ARRAY(SELECT id FROM users WHERE ${condition} ORDER BY id OFFSET $1 LIMIT $2) AS ids`,
      [skip, limit],
    );
  }

  /**
   * The matches are found once, for the count and the page. Left to itself, the planner looks for the page along the primary key,
   * which passes every other user when the matches are all new.
   */
  private async pageOfMatches(scope: DirectoryScope, search: string, { skip, limit }: PageWindow): Promise<PageOfIds> {
    const { condition, pattern } = userSearch(search, '$3', scope.searchesEmail);
    return this.idsAndTotal(
      `WITH found AS MATERIALIZED (
         SELECT id FROM users
         WHERE ${condition} ${scope.includesInactive ? '' : 'AND is_active'})
       SELECT (SELECT count(*) FROM found) AS total, ARRAY(SELECT id FROM found ORDER BY id OFFSET $1 LIMIT $2) AS ids`,
      [skip, limit, pattern],
    );
  }

  private async idsAndTotal(sql: string, parameters: unknown[]): Promise<PageOfIds> {
    const [{ ids, total }] = await this.rows.query<{ ids: string[]; total: string }[]>(sql, parameters);
    return { ids, total: Number(total) };
  }

  private withPassword(): SelectQueryBuilder<User> {
    return this.rows.createQueryBuilder('u').addSelect('u.passwordHash');
  }
}

const withoutUndefined = <T extends object>(object: T) =>
  Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined)) as Partial<T>;

/** The database decides what is unique; its constraint's name says what was taken. */
async function named<T>(change: Promise<T>): Promise<T> {
  try {
    return await change;
  } catch (error) {
    const constraint = violatedConstraint(error);
    if (constraint === 'UQ_users_email') throw new EmailTakenError();
    if (constraint === 'UQ_users_username') throw new UsernameTakenError();
    throw error;
  }
}
