import { SecondFactorsService } from '../auth/mfa/second-factors.service.js';
import { SessionsService } from '../auth/sessions/sessions.service.js';
import type { Account } from '../common/auth/principal.js';
import { AppError } from '../common/errors/app-error.js';
import { DomainEvents } from '../common/events/domain-events.js';
import { joinDatabase } from '../database/open-database.js';
import { AdminAccountError, AdminAccountsService } from '../users/admin-accounts.service.js';
import { RecoveryService } from '../users/recovery.service.js';
import { NO_ORIGIN, operatorAudit } from '../users/operator-audit.js';
import { generatePassword } from '../users/passwords/generated-password.js';
import { chosenPassword, type PasswordOptions } from './password-input.js';
import { UsageError } from './usage-error.js';
import { withApp } from './with-app.js';

export interface CreateAdminOptions extends PasswordOptions {
  email?: string;
  username?: string;
  promote?: boolean;
  enable?: boolean;
}

export interface ResetPasswordOptions extends PasswordOptions {
  anyUser?: boolean;
  enable?: boolean;
  removeMfa?: boolean;
}

/** `gatehouse admin:create` */
export async function createAdmin(options: CreateAdminOptions): Promise<void> {
  if (options.promote) return promote(options);
  const { email, username } = options;
  if (email === undefined) throw new UsageError('admin:create takes --email <address>');
  if (options.enable) throw new UsageError('--enable goes with --promote; a new account is enabled');
  const chosen = await chosenPassword(options);
  const password = chosen ?? generatePassword();
  const account = await withAccounts((accounts) => accounts.create({ email, username, password }));
  print('An administrator was made:', account, chosen === null ? password : null);
}

async function promote({ email, username, enable = false, ...options }: CreateAdminOptions): Promise<void> {
  const name = email ?? username;
  if (name === undefined || (email !== undefined && username !== undefined))
    throw new UsageError('--promote takes either --email <address> or --username <name> of the account');
  if (options.passwordStdin || options.passwordPrompt)
    throw new UsageError('--promote leaves the password as it is; admin:reset-password changes it');
  const { account, wasAdmin, isEnabled } = await withAccounts((accounts) =>
    accounts.promote({ name, isEnabling: enable }),
  );
  const change = wasAdmin ? 'is an administrator already' : 'is an administrator now';
  write([
    `${account.email} (${account.username}) ${change}${isEnabled ? '; the account was disabled and is enabled again' : ''}.`,
  ]);
}

/** `gatehouse admin:reset-password` */
export async function resetPassword(name: string, options: ResetPasswordOptions): Promise<void> {
  const { anyUser = false, enable = false, removeMfa = false } = options;
  const chosen = await chosenPassword(options);
  const password = chosen ?? generatePassword();
  const { account, isEnabled, hadSecondFactor } = await withApp(joinDatabase, async (app) => {
    const [sessions, factors] = [app.get(SessionsService), app.get(SecondFactorsService)];
    const [recovery, events] = [app.get(RecoveryService), app.get(DomainEvents)];
    const request = { name, password, isEnabling: enable, takesAnyUser: anyUser };
    let hadSecondFactor = false;
    const done = await readable(
      app.get(AdminAccountsService).resetPassword(request, async (tx, userId) => {
        await sessions.endAllOf(tx, userId);
        await recovery.liftLockout(tx, userId);
        if (!removeMfa) return;
        hadSecondFactor = await factors.removeFor(tx, userId, NO_ORIGIN);
        if (hadSecondFactor) await events.record(tx, operatorAudit('mfa.disabled', userId, { by: 'command line' }));
      }),
    );
    return { ...done, hadSecondFactor };
  });
  print(
    'The password was reset, and all sessions of the account have ended:',
    account,
    chosen === null ? password : null,
  );
  write([
    ...(isEnabled ? ['The account was disabled and is enabled again.'] : []),
    ...(hadSecondFactor ? ['Its second factor was removed.'] : []),
    ...(account.hasSecondFactor && !removeMfa
      ? ['Signing in asks for a code of its authenticator app; --remove-mfa takes that away.']
      : []),
  ]);
}

const withAccounts = <T>(work: (accounts: AdminAccountsService) => Promise<T>): Promise<T> =>
  withApp(joinDatabase, (app) => readable(work(app.get(AdminAccountsService))));

/** What is wrong with the values, in the operator's terms. */
async function readable<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    const faults = Object.values(error.details.fieldErrors ?? {}).flat();
    throw new AdminAccountError(faults.length > 0 ? faults.join('\n') : error.message, { cause: error });
  }
}

function print(title: string, { email, username }: Account, generated: string | null): void {
  const password = generated
    ? [`  password  ${generated}`, '', '  The password is shown this once. Change it after signing in.']
    : ['  password  as you gave it'];
  write([title, '', `  email     ${email}`, `  username  ${username}`, ...password]);
}

const write = (lines: string[]) => void process.stdout.write(lines.map((line) => `${line}\n`).join(''));
