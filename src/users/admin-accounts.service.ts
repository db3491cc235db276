import { Injectable } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import type { Account } from '../common/auth/principal.js';
import { OperatorError } from '../common/errors/operator-error.js';
import { WeakPasswordError } from '../common/errors/rule-error.js';
import { DomainEvents } from '../common/events/domain-events.js';
import { brokenPasswordRules } from '../common/validation/password-policy.js';
import { RequestValidationPipe } from '../common/validation/request-validation.pipe.js';
import { RegisterDto } from './dto/register.dto.js';
import { NO_ORIGIN, operatorAudit } from './operator-audit.js';
import { PasswordHasher } from './passwords/password-hasher.js';
import type { User } from './user.entity.js';
import { usernameFrom, withRandomSuffix } from './username.js';
import { EmailTakenError, UsernameTakenError } from './users.errors.js';
import { PasswordChangedEvent, UserRegisteredEvent, UserUpdatedEvent } from './users.events.js';
import { UsersRepository } from './users.repository.js';
import { newUser } from './users.service.js';

/** What the operator asked for cannot be done to the account; the message says what to do. */
export class AdminAccountError extends OperatorError {}

export interface NewAdmin {
  readonly email: string;
  /** Derived from the email when it is left out. */
  readonly username?: string;
  readonly password: string;
}

interface Promotion {
  /** Email or username. */
  readonly name: string;
  /** A disabled account is enabled as well. */
  readonly isEnabling: boolean;
}

export interface PasswordReset extends Promotion {
  readonly password: string;
  readonly takesAnyUser: boolean;
}

const BY = { by: 'command line' } as const;
const USERNAME_ATTEMPTS = 5;

/** Accounts as the operator of the server handles them, who needs no account to do so. Everything is written beside a running server. */
@Injectable()
export class AdminAccountsService {
  private readonly shape = new RequestValidationPipe();

  constructor(
    private readonly users: UsersRepository,
    private readonly hasher: PasswordHasher,
    private readonly events: DomainEvents,
  ) {}

  /** @throws ValidationFailedError, WeakPasswordError, AdminAccountError */
  async create({ email: givenEmail, username, password }: NewAdmin): Promise<Account> {
    const given = { email: givenEmail, password, ...(username !== undefined && { username }) };
    const { email } = (await this.shape.transform(given, { type: 'body', metatype: RegisterDto })) as RegisterDto;
    refuseWeak(password, { email, username: username ?? usernameFrom(email) });
    const user = newUser({ email, username, role: 'admin' }, await this.hasher.hash(password));
    try {
      await this.insert(user, username === undefined);
    } catch (error) {
      if (error instanceof EmailTakenError)
        throw new AdminAccountError(
          `${email} belongs to an account already; add --promote to make that one an administrator, or give it a new password: gatehouse admin:reset-password ${email}`,
        );
      if (error instanceof UsernameTakenError)
        throw new AdminAccountError(`the username ${user.username} is taken; choose another with --username`);
      throw error;
    }
    return user;
  }

  /** What is changed about the account holds on running servers from the next request on. @throws AdminAccountError */
  async promote({ name, isEnabling }: Promotion): Promise<{ account: Account; wasAdmin: boolean; isEnabled: boolean }> {
    const { id } = await this.find(name);
    return this.users.transaction(async (users, tx) => {
      await users.lockAdmins();
      const user = existing(await users.findForUpdate(id), name);
      const { role, isActive } = user;
      refuseDisabled(user, isEnabling);
      if (role === 'admin' && isActive) return { account: user, wasAdmin: true, isEnabled: false };
      await users.update(user, { role: 'admin', isActive: true });
      await this.events.record(tx, new UserUpdatedEvent(user));
      if (role !== 'admin')
        await this.events.record(tx, operatorAudit('user.role_changed', id, { ...BY, from: role, to: 'admin' }));
      if (!isActive) await this.events.record(tx, operatorAudit('user.enabled', id, BY));
      return { account: user, wasAdmin: role === 'admin', isEnabled: !isActive };
    });
  }

  /**
   * @param endAccess what else ends with the old password, in the same transaction
   * @throws WeakPasswordError, AdminAccountError
   */
  async resetPassword(
    { name, password, isEnabling, takesAnyUser }: PasswordReset,
    endAccess: (tx: EntityManager, userId: string) => Promise<void>,
  ): Promise<{ account: Account; isEnabled: boolean }> {
    const found = await this.find(name);
    refuseWeak(password, found);
    const passwordHash = await this.hasher.hash(password);
    return this.users.transaction(async (users, tx) => {
      const user = existing(await users.findForUpdate(found.id), name);
      if (user.role !== 'admin' && !takesAnyUser)
        throw new AdminAccountError(`${user.email} is not an administrator; add --any-user to reset it all the same`);
      refuseDisabled(user, isEnabling);
      const isEnabled = !user.isActive;
      await users.update(user, { passwordHash, isActive: true });
      await endAccess(tx, user.id);
      await this.events.record(tx, new PasswordChangedEvent(user, NO_ORIGIN));
      await this.events.record(tx, operatorAudit('password.reset', user.id, BY));
      if (isEnabled) await this.events.record(tx, operatorAudit('user.enabled', user.id, BY));
      return { account: user, isEnabled };
    });
  }

  private async find(name: string): Promise<User> {
    const user = name.includes('@')
      ? await this.users.findByEmailWithPassword(name.normalize('NFC'))
      : await this.users.findByUsernameWithPassword(name);
    return existing(user, name);
  }

  /** A derived username that is taken gets a random end; one that was asked for is refused. */
  private async insert(user: User, isDerived: boolean): Promise<void> {
    const derived = user.username;
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.users.transaction(async (users, tx) => {
          await users.lockAdmins();
          await users.insert(user);
          await this.events.record(tx, new UserRegisteredEvent(user));
          await this.events.record(tx, operatorAudit('user.created', user.id, { ...BY, role: user.role }));
        });
      } catch (error) {
        if (!isDerived || !(error instanceof UsernameTakenError) || attempt === USERNAME_ATTEMPTS) throw error;
        user.username = withRandomSuffix(derived);
      }
    }
  }
}

function existing(user: User | null, name: string): User {
  if (!user) throw new AdminAccountError(`no account has the email or username ${name}`);
  return user;
}

function refuseDisabled({ isActive, email }: User, isEnabling: boolean): void {
  if (!isActive && !isEnabling)
    throw new AdminAccountError(`${email} is disabled; add --enable to enable the account as well`);
}

function refuseWeak(password: string, identity: { email: string; username: string }): void {
  const broken = brokenPasswordRules(password, identity);
  if (broken.length > 0) throw new WeakPasswordError('password', broken);
}
