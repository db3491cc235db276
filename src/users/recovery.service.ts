import { Injectable } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import type { Account } from '../common/auth/principal.js';
import { WeakPasswordError } from '../common/errors/rule-error.js';
import { brokenPasswordRules } from '../common/validation/password-policy.js';
import { PasswordHasher } from './passwords/password-hasher.js';
import { FORGIVEN_TOPIC, PasswordVerifier } from './passwords/password-verifier.js';
import { UserNotFoundError } from './users.errors.js';
import { UsersRepository } from './users.repository.js';

export interface RestoredAddress {
  readonly email: string;
  readonly isVerified: boolean;
  /** Somebody else may know the password: from now on none is right, until it is reset. */
  readonly voidsPassword: boolean;
}

/** What whoever has proved to have an account's mailbox may do with the account. All of it in the transaction that found the proof good. */
@Injectable()
export class RecoveryService {
  constructor(
    private readonly users: UsersRepository,
    private readonly hasher: PasswordHasher,
    private readonly verifier: PasswordVerifier,
  ) {}

  /** Before that transaction: hashing takes its time. @throws WeakPasswordError */
  async prepareReset(identity: Pick<Account, 'email' | 'username'>, newPassword: string): Promise<string> {
    const broken = brokenPasswordRules(newPassword, identity);
    if (broken.length > 0) throw new WeakPasswordError('new_password', broken);
    return this.hasher.hash(newPassword);
  }

  async resetPassword(tx: EntityManager, id: string, hash: string): Promise<Account> {
    await this.users.within(tx).setPasswordHash(id, hash);
    return this.update(tx, id, { isVerified: true });
  }

  confirmEmail(tx: EntityManager, id: string): Promise<Account> {
    return this.update(tx, id, { isVerified: true });
  }

  /** @throws EmailTakenError */
  async restoreEmail(
    tx: EntityManager,
    id: string,
    { email, isVerified, voidsPassword }: RestoredAddress,
  ): Promise<Account> {
    if (voidsPassword) await this.users.within(tx).setPasswordHash(id, this.hasher.unusable());
    return this.update(tx, id, { email, isVerified });
  }

  /** Whom others have locked out may sign in again: at every node, once the transaction is committed. */
  async liftLockout(tx: EntityManager, id: string): Promise<void> {
    await tx.query('SELECT pg_notify($1, $2)', [FORGIVEN_TOPIC, id]);
  }

  /** The same at this node, which then need not wait to be told. */
  async liftLockoutHere(id: string): Promise<void> {
    await this.verifier.forgive(id);
  }

  private async update(tx: EntityManager, id: string, changes: { email?: string; isVerified: boolean }) {
    const users = this.users.within(tx);
    const present = await users.findForUpdate(id);
    if (!present) throw new UserNotFoundError();
    return users.update(present, changes);
  }
}
