import { Injectable } from '@nestjs/common';
import { FixedWindowCounter, retryAfterSeconds } from '../../common/limits/fixed-window.js';
import { AppConfig } from '../../config/app-config.js';
import { DatabaseListener } from '../../database/database-listener.js';
import { AccountLockedError } from '../users.errors.js';
import { PasswordHasher } from './password-hasher.js';

/** Tells every node, with the subject as the payload. */
export const FORGIVEN_TOPIC = 'gatehouse_forgiven';

/**
 * Compares a password with an account's and counts the failures of each account across all addresses (`LOGIN_LOCKOUT`).
 * Names that belong to nobody are counted and take as long as any other, so that the answer does not tell who exists.
 */
@Injectable()
export class PasswordVerifier {
  private readonly failures: FixedWindowCounter;
  private readonly failuresMax: number;

  constructor(
    private readonly hasher: PasswordHasher,
    config: AppConfig,
    listener: DatabaseListener,
  ) {
    listener.on(FORGIVEN_TOPIC, (subject) => this.forgive(subject));
    const { count, seconds } = config.accounts.loginLockout;
    this.failures = new FixedWindowCounter(seconds * 1000);
    this.failuresMax = count;
  }

  /**
   * @param subject what failures are counted under: the account's id, or the name that belongs to nobody
   * @param hash `null` when there is no such account
   * @throws AccountLockedError after too many failures, whether or not the password is right
   */
  verify(subject: string, password: string, hash: string | null): Promise<boolean> {
    return this.guard(subject, () =>
      hash === null ? this.hasher.matchesNothing(password) : this.hasher.matches(password, hash),
    );
  }

  /**
   * The same for whatever else somebody has to know: its failures count together with those of the password, and no success resets them.
   * @throws AccountLockedError
   */
  async guard(subject: string, check: () => Promise<boolean>): Promise<boolean> {
    this.refuseLocked(subject);
    const isRight = await check();
    // Guesses made at once all passed the check above; what comes out after the limit is reached tells nothing any more.
    this.refuseLocked(subject);
    if (!isRight) this.failures.hit(subject);
    return isRight;
  }

  /** What has been counted is forgotten, at this node. */
  forgive(subject: string): void {
    this.failures.forget(subject);
  }

  private refuseLocked(subject: string): void {
    const window = this.failures.peek(subject);
    if (window && window.hits >= this.failuresMax) {
      throw new AccountLockedError(retryAfterSeconds(window));
    }
  }
}
