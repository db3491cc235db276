import type { Principal } from '../auth/principal.js';

/**
 * Asks, in the transaction of a change and under its locks, whether whoever makes the change may still. Between the access check and here
 * the request may have waited for the very change that took its session, key or role away. Whoever keeps those listens `during` it.
 */
export class CallerActsEvent {
  constructor(readonly caller: Principal) {}
}
