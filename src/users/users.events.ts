import type { Account } from '../common/auth/principal.js';

/** An account's own data was changed by its owner or an admin. */
export class UserUpdatedEvent {
  static readonly event = 'user.updated';
  constructor(readonly account: Account) {}
}

/** An account was disabled: it may do nothing from now on. */
export class UserDisabledEvent {
  static readonly event = 'user.disabled';
  constructor(readonly userId: string) {}
}
