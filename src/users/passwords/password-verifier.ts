import { Injectable } from '@nestjs/common';
import { FixedWindowCounter, retryAfterSeconds } from '../../common/limits/fixed-window.js';
import { AppConfig } from '../../config/app-config.js';
import { AccountLockedError } from '../users.errors.js';
import { PasswordHasher } from './password-hasher.js';

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
  ) {
    const { count, seconds } = config.accounts.loginLockout;
    this.failures = new FixedWindowCounter(seconds * 1000);
    this.failuresMax = count;
  }

  /**
   * @param subject what failures are counted under: the account's id, or the name that belongs to nobody
   * @param hash `null` when there is no such account
   * @throws AccountLockedError after too many failures, whether or not the password is right
   */
  async verify(subject: string, password: string, hash: string | null): Promise<boolean> {
    this.refuseLocked(subject);
    const isRight =
      hash === null ? await this.hasher.matchesNothing(password) : await this.hasher.matches(password, hash);
    // Guesses made at once all passed the check above; what comes out after the limit is reached tells nothing any more.
    this.refuseLocked(subject);
    if (!isRight) this.failures.hit(subject);
    return isRight;
  }

  private refuseLocked(subject: string): void {
    const window = this.failures.peek(subject);
    if (window && window.hits >= this.failuresMax) {
      throw new AccountLockedError(retryAfterSeconds(window));
    }
  }
}
