import { Injectable } from '@nestjs/common';
import { OperatorError } from '../common/errors/operator-error.js';
import { DomainEvents } from '../common/events/domain-events.js';
import { AppConfig } from '../config/app-config.js';
import { operatorAudit } from './operator-audit.js';
import { generatePassword } from './passwords/generated-password.js';
import { PasswordHasher } from './passwords/password-hasher.js';
import { newUser } from './users.service.js';
import { UsersRepository } from './users.repository.js';
import { EmailTakenError, UsernameTakenError } from './users.errors.js';
import { usernameFrom, withRandomSuffix } from './username.js';

export interface FirstAdmin {
  readonly email: string;
  readonly username: string;
  /** `null` when the operator chose it. */
  readonly generatedPassword: string | null;
}

/** The address of the first admin belongs to somebody; the message says what to do. */
export class FirstAdminError extends OperatorError {}

const DEFAULT_EMAIL = 'admin@example.com';

/** A server without an admin gets one at its start. */
@Injectable()
export class FirstAdminService {
  constructor(
    private readonly users: UsersRepository,
    private readonly hasher: PasswordHasher,
    private readonly events: DomainEvents,
    private readonly config: AppConfig,
  ) {}

  /**
   * Makes the first admin if there is none. A generated password is shown before it takes effect: a kill in between leaves a
   * password that was shown for nothing, never an admin whose password nobody saw.
   */
  async ensure(show: (admin: FirstAdmin) => void): Promise<void> {
    if (await this.users.hasAdmin()) return;
    const chosen = this.config.accounts.firstAdmin;
    const email = chosen?.email ?? DEFAULT_EMAIL;
    const generatedPassword = chosen ? null : generatePassword();
    const hash = await this.hasher.hash(chosen?.password ?? generatedPassword ?? '');
    const user = newUser({ email, role: 'admin' }, hash);
    try {
      await this.insertOnce(user, () => show({ email, username: user.username, generatedPassword }));
    } catch (error) {
      if (!(error instanceof UsernameTakenError)) throw error;
      user.username = withRandomSuffix(usernameFrom(email));
      await this.insertOnce(user, () => show({ email, username: user.username, generatedPassword }));
    }
  }

  /** Of several nodes that start together one makes the admin. No mail goes out: nobody is known to read that mailbox. */
  private async insertOnce(user: ReturnType<typeof newUser>, beforeCommit: () => void): Promise<void> {
    try {
      await this.users.transaction(async (users, tx) => {
        await users.lockAdmins();
        if (await users.hasAdmin()) return;
        await users.insert(user);
        await this.events.record(tx, operatorAudit('user.created', user.id, { by: 'first start', role: user.role }));
        beforeCommit();
      });
    } catch (error) {
      if (!(error instanceof EmailTakenError)) throw error;
      throw new FirstAdminError(
        `There is no admin, and ${user.email} belongs to an account that is not one. Set ADMIN_EMAIL and ADMIN_PASSWORD to an address that is free, or make that account one: gatehouse admin:create --promote --email ${user.email}`,
      );
    }
  }
}
