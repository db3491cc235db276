import type { Account } from '../../common/auth/principal.js';
import type { Origin } from '../../common/http/client-info.js';

/** Signing in asks for a code from now on, or does so no more. */
export class SecondFactorChangedEvent {
  static readonly event = 'mfa.changed';
  constructor(
    readonly account: Pick<Account, 'id' | 'email'>,
    readonly isEnabled: boolean,
    /** What its owner may be told of it: not where an admin was. */
    readonly origin: Origin,
  ) {}
}
