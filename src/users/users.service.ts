import { Injectable } from '@nestjs/common';
import { v7 as uuidv7 } from 'uuid';
import { type Account, awaitsSecondFactor, type Principal } from '../common/auth/principal.js';
import type { Role } from '../common/auth/role.js';
import { ForbiddenError, InsufficientScopeError, SecondFactorRequiredError } from '../common/errors/errors.js';
import { PasswordsDifferError, WeakPasswordError } from '../common/errors/rule-error.js';
import { AuditEvent } from '../common/events/audit-event.js';
import { CallerActsEvent } from '../common/events/caller-acts.js';
import { DomainEvents } from '../common/events/domain-events.js';
import type { ClientInfo, Origin } from '../common/http/client-info.js';
import type { PageWindow } from '../common/http/page.js';
import { brokenPasswordRules } from '../common/validation/password-policy.js';
import { AppConfig } from '../config/app-config.js';
import { PasswordHasher } from './passwords/password-hasher.js';
import { PasswordVerifier } from './passwords/password-verifier.js';
import { User } from './user.entity.js';
import { usernameFrom, withRandomSuffix } from './username.js';
import {
  AdminOnlyAccountError,
  LastAdminError,
  RegistrationClosedError,
  UsernameTakenError,
  UserNotFoundError,
  WrongPasswordError,
} from './users.errors.js';
import { EmailChangedEvent, UserRegisteredEvent, UserUpdatedEvent } from './users.events.js';
import { UsersRepository } from './users.repository.js';

export interface NewAccount {
  email: string;
  password: string;
  /** Must equal the password when it is given. */
  confirmPassword?: string;
  username?: string;
  fullName?: string | null;
  firstName?: string | null;
  lastName?: string | null;
  role: Role;
}

export type AccountChanges = Partial<
  Pick<Account, 'email' | 'username' | 'fullName' | 'firstName' | 'lastName' | 'bio' | 'phoneNumber'>
>;

const USERNAME_ATTEMPTS = 5;

@Injectable()
export class UsersService {
  constructor(
    private readonly users: UsersRepository,
    private readonly hasher: PasswordHasher,
    private readonly verifier: PasswordVerifier,
    private readonly events: DomainEvents,
    private readonly config: AppConfig,
  ) {}

  /** Creates an account for anybody while registration is open, and for an admin always. Only an admin makes an admin. */
  async register(account: NewAccount, caller: Principal | undefined, client: ClientInfo): Promise<Account> {
    if (caller?.role !== 'admin') this.refuseWhatIsForAdmins(account.role, caller);
    const username = account.username ?? usernameFrom(account.email);
    const broken = brokenPasswordRules(account.password, { email: account.email, username });
    if (broken.length > 0) throw new WeakPasswordError('password', broken);
    if (account.confirmPassword !== undefined && account.confirmPassword !== account.password)
      throw new PasswordsDifferError();
    const user = newUser(account, await this.hasher.hash(account.password));
    const audit = caller
      ? AuditEvent.by(caller, 'user.created', 'user', user.id, { role: user.role })
      : new AuditEvent('user.registered', { actorId: null, origin: client, targetType: 'user', targetId: user.id });
    await this.insert(user, account.username === undefined, audit);
    return user;
  }

  private refuseWhatIsForAdmins(role: Role, caller: Principal | undefined): void {
    const isOpen = this.config.accounts.isRegistrationOpen;
    if (isOpen && role !== 'admin') return;
    if (caller && awaitsSecondFactor(caller)) throw new SecondFactorRequiredError();
    throw isOpen ? new AdminOnlyAccountError() : new RegistrationClosedError();
  }

  async get(id: string): Promise<Account> {
    const user = await this.users.findById(id);
    if (!user) throw new UserNotFoundError();
    return user;
  }

  async findActive(id: string): Promise<Account | null> {
    const user = await this.users.findById(id);
    return user?.isActive ? user : null;
  }

  /** Those of the ids that there are, in the order of ids. */
  findAll(ids: readonly string[]): Promise<Account[]> {
    return this.users.findAll(ids);
  }

  /** Admins see everybody and search emails too; others see the active users. */
  list(
    caller: Principal,
    search: string | undefined,
    window: PageWindow,
  ): Promise<{ users: Account[]; total: number }> {
    const isAdmin = caller.role === 'admin';
    const scope = { includesInactive: isAdmin, searchesEmail: isAdmin || this.config.accounts.directoryShowsEmail };
    return this.users.list(scope, search?.trim() || null, window);
  }

  /** For the owner and admins. A new address is not verified; the same one written otherwise stays so. */
  async update(caller: Principal, id: string, changes: AccountChanges): Promise<Account> {
    refuseUnlessOwnerOrAdmin(caller, id);
    if (Object.values(changes).every((value) => value === undefined)) return this.get(id);
    const event = await this.users.transactionOrAgain(async (users, tx) => {
      const present = await users.findForUpdate(id);
      if (!present) throw new UserNotFoundError();
      await this.events.record(tx, new CallerActsEvent(caller));
      const { email, isVerified } = present;
      const isNewAddress = changes.email !== undefined && changes.email.toLowerCase() !== email.toLowerCase();
      // Whoever has the mailbox can have the password: so this is for people, not for keys.
      if (isNewAddress && caller.apiKey) throw new InsufficientScopeError();
      const account = await users.update(present, isNewAddress ? { ...changes, isVerified: false } : changes);
      if (isNewAddress) {
        await this.events.record(tx, new EmailChangedEvent(account, { email, isVerified }, originFor(caller, id)));
        await this.events.record(tx, AuditEvent.by(caller, 'email.changed', 'user', id));
      }
      const updated = new UserUpdatedEvent(account);
      await this.events.record(tx, updated);
      return updated;
    });
    this.events.emit(event);
    return event.account;
  }

  /** For the owner and admins. Sessions go with the account. @throws LastAdminError */
  async delete(caller: Principal, id: string): Promise<void> {
    refuseUnlessOwnerOrAdmin(caller, id);
    if (caller.apiKey && caller.id === id) throw new InsufficientScopeError();
    await this.remove(caller, id);
  }

  /** @throws WrongPasswordError, LastAdminError */
  async deleteOwn(caller: Principal, password: string): Promise<void> {
    const { id } = caller;
    const hash = await this.users.findPasswordHash(id);
    if (!hash || !(await this.verifier.verify(id, password, hash))) throw new WrongPasswordError();
    await this.remove(caller, id);
  }

  private async remove(caller: Principal, id: string): Promise<void> {
    await this.users.transaction(async (users, tx) => {
      await users.lockAdmins();
      const user = await users.findById(id);
      if (!user) throw new UserNotFoundError();
      const isActiveAdmin = user.role === 'admin' && user.isActive;
      if (isActiveAdmin && (await users.countOtherActiveAdmins(id)) === 0) throw new LastAdminError();
      await this.events.record(tx, new CallerActsEvent(caller));
      await users.delete(id);
      await this.events.record(tx, AuditEvent.by(caller, 'user.deleted', 'user', id, { username: user.username }));
    });
  }

  /** A derived username that is taken gets a random end; one that was asked for is refused. */
  private async insert(user: User, isDerived: boolean, audit: AuditEvent): Promise<void> {
    const derived = user.username;
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.users.transaction(async (users, tx) => {
          await users.insert(user);
          await this.events.record(tx, new UserRegisteredEvent(user));
          await this.events.record(tx, audit);
        });
      } catch (error) {
        if (!isDerived || !(error instanceof UsernameTakenError) || attempt === USERNAME_ATTEMPTS) throw error;
        user.username = withRandomSuffix(derived);
      }
    }
  }
}

export function newUser(account: Omit<NewAccount, 'password'>, passwordHash: string): User {
  const now = new Date();
  return Object.assign(new User(), {
    id: uuidv7(),
    email: account.email,
    username: account.username ?? usernameFrom(account.email),
    fullName: account.fullName ?? null,
    firstName: account.firstName ?? null,
    lastName: account.lastName ?? null,
    bio: null,
    phoneNumber: null,
    role: account.role,
    isActive: true,
    isVerified: false,
    hasSecondFactor: false,
    passwordHash,
    totalUploads: 0,
    totalStorageUsed: 0,
    lastLogin: null,
    createdAt: now,
    updatedAt: now,
  });
}

function refuseUnlessOwnerOrAdmin(caller: Principal, id: string): void {
  if (caller.id !== id && caller.role !== 'admin') throw new ForbiddenError();
}

/** What an account's owner may be told of where a change came from: not where an admin was. */
const originFor = ({ id, client }: Principal, accountId: string): Origin =>
  id === accountId ? client : { ...client, ipAddress: null, userAgent: null };
