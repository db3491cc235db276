import type { Account } from '../common/auth/principal.js';
import type { Origin } from '../common/http/client-info.js';

/** Somebody signed up, or was entered by an admin. */
export class UserRegisteredEvent {
  static readonly event = 'user.registered';
  constructor(readonly account: Account) {}
}

/** An account's own data was changed by its owner or an admin. */
export class UserUpdatedEvent {
  static readonly event = 'user.updated';
  constructor(readonly account: Account) {}
}

/** An account has another address now, which nobody has verified. */
export class EmailChangedEvent {
  static readonly event = 'email.changed';
  constructor(
    readonly account: Account,
    /** What it was before. */
    readonly previous: Pick<Account, 'email' | 'isVerified'>,
    readonly origin: Origin,
  ) {}
}

/** The owner has a new password, by whatever way. */
export class PasswordChangedEvent {
  static readonly event = 'password.changed';
  constructor(
    readonly account: Pick<Account, 'id' | 'email'>,
    readonly origin: Origin,
  ) {}
}

/** An account was disabled: it may do nothing from now on. */
export class UserDisabledEvent {
  static readonly event = 'user.disabled';
  constructor(readonly userId: string) {}
}
