import { Injectable } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import type { Account } from '../common/auth/principal.js';
import { WeakPasswordError } from '../common/errors/rule-error.js';
import { brokenPasswordRules } from '../common/validation/password-policy.js';
import { PasswordHasher } from './passwords/password-hasher.js';
import { PasswordVerifier } from './passwords/password-verifier.js';
import { WrongPasswordError } from './users.errors.js';
import { UsersRepository } from './users.repository.js';

/** An account whose password was right, and the hash that was compared. */
export interface VerifiedCredentials {
  readonly account: Account;
  readonly passwordHash: string;
}

export interface LoginCandidate {
  readonly user: (Account & { readonly passwordHash: string }) | null;
  /** What failures are counted under. */
  readonly subject: string;
}

/** What signing in and changing a password need of an account; hashes stay on this side. */
@Injectable()
export class CredentialsService {
  constructor(
    private readonly users: UsersRepository,
    private readonly hasher: PasswordHasher,
    private readonly verifier: PasswordVerifier,
  ) {}

  /** Whom somebody says to be, by email or username; nothing is known of the password yet. */
  async find(name: string): Promise<LoginCandidate> {
    const user = name.includes('@')
      ? await this.users.findByEmailWithPassword(name)
      : await this.users.findByUsernameWithPassword(name);
    return { user, subject: user?.id ?? `unknown:${name.toLowerCase()}` };
  }

  /**
   * The account if the password is right, else `null`; a name that is nobody's takes the same time.
   * @throws AccountLockedError after too many failures
   */
  async verify({ user, subject }: LoginCandidate, password: string): Promise<VerifiedCredentials | null> {
    const isRight = await this.verifier.verify(subject, password, user?.passwordHash ?? null);
    if (!user || !isRight) return null;
    return { account: user, passwordHash: await this.upToDateHash(user.id, password, user.passwordHash) };
  }

  /** What `verify()` would answer for an account whose password was right a moment ago: for a login that goes on after it. */
  async findVerified(id: string): Promise<VerifiedCredentials | null> {
    const user = await this.users.findByIdWithPassword(id);
    return user && { account: user, passwordHash: user.passwordHash };
  }

  /**
   * Of an account that is signed in already, before something that a stolen session must not do.
   * @throws WrongPasswordError, AccountLockedError
   */
  async confirmPassword({ id }: Pick<Account, 'id'>, password: string): Promise<void> {
    await this.rightHash(id, password);
  }

  /** A check of something other than the password, whose failures count together with the password's. @throws AccountLockedError */
  guard(accountId: string, check: () => Promise<boolean>): Promise<boolean> {
    return this.verifier.guard(accountId, check);
  }

  /**
   * Within the transaction that makes the session: `null` when the account was disabled meanwhile, or its password or having a second
   * factor has changed.
   */
  async recordLogin(tx: EntityManager, { account, passwordHash }: VerifiedCredentials): Promise<Account | null> {
    const lastLogin = new Date();
    const isCurrent = await this.users.within(tx).recordLogin(account, passwordHash, lastLogin);
    return isCurrent ? { ...account, lastLogin } : null;
  }

  /**
   * Checks the present password and makes the hash of the new one. Writing it is `replacePassword()`, in the caller's transaction.
   * @throws WrongPasswordError, WeakPasswordError, AccountLockedError
   */
  async prepareChange(
    account: Account,
    currentPassword: string,
    newPassword: string,
  ): Promise<{ oldHash: string; newHash: string }> {
    const oldHash = await this.rightHash(account.id, currentPassword);
    const broken = brokenPasswordRules(newPassword, account);
    if (broken.length > 0) throw new WeakPasswordError('new_password', broken);
    return { oldHash, newHash: await this.hasher.hash(newPassword) };
  }

  /** @throws WrongPasswordError when another change came first */
  async replacePassword(tx: EntityManager, id: string, hashes: { oldHash: string; newHash: string }): Promise<void> {
    const isReplaced = await this.users.within(tx).replacePasswordHash(id, hashes.oldHash, hashes.newHash);
    if (!isReplaced) throw new WrongPasswordError();
  }

  private async rightHash(id: string, password: string): Promise<string> {
    const hash = await this.users.findPasswordHash(id);
    if (!hash || !(await this.verifier.verify(id, password, hash))) throw new WrongPasswordError();
    return hash;
  }

  /** A hash of another cost than the configured one is made anew, now that the password is at hand. */
  private async upToDateHash(id: string, password: string, hash: string): Promise<string> {
    if (!this.hasher.isOutdated(hash)) return hash;
    const renewed = await this.hasher.hash(password);
    if (await this.users.replacePasswordHash(id, hash, renewed)) return renewed;
    // Another login has renewed it first, or the password was changed: then `hash` is refused further on.
    const present = await this.users.findPasswordHash(id);
    return present && (await this.hasher.matches(password, present)) ? present : hash;
  }
}
