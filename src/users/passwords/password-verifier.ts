import { Injectable } from '@nestjs/common';
import { retryAfterSeconds, type WindowState } from '../../common/limits/fixed-window.js';
import { type HitCounter, HitCounters } from '../../common/limits/hit-counters.js';
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
  private readonly failures: HitCounter;
  private readonly failuresMax: number;

  constructor(
    private readonly hasher: PasswordHasher,
    config: AppConfig,
    listener: DatabaseListener,
    counters: HitCounters,
  ) {
    listener.on(FORGIVEN_TOPIC, (subject) => void this.forgive(subject));
    const { count, seconds } = config.accounts.loginLockout;
    this.failures = counters.counter('failures', seconds * 1000);
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
    this.refuseLocked(await this.failures.peek(subject), 0);
    const isRight = await check();
    // Guesses made at once all passed the check above; what comes out after the limit is reached tells nothing any more.
    if (isRight) this.refuseLocked(await this.failures.peek(subject), 0);
    else this.refuseLocked(await this.failures.hit(subject), 1);
    return isRight;
  }

  /** What has been counted is forgotten, at this node and wherever all count together. */
  async forgive(subject: string): Promise<void> {
    await this.failures.forget(subject);
  }

  /** @param own how many of the failures are those of this very attempt */
  private refuseLocked(window: WindowState | null, own: number): void {
    if (window && window.hits - own >= this.failuresMax) throw new AccountLockedError(retryAfterSeconds(window));
  }
}
