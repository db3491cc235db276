/** What the database knows of a session's refresh tokens. */
export interface RotationState {
  /** The number of the current token. */
  readonly counter: number;
  readonly rotatedAt: Date;
  readonly expiresAt: Date;
}

/**
 * - `rotate`: the current token. The counter rises and the next token is answered.
 * - `repeat`: the token before, within the grace window. The current token is answered once more: two tabs that refreshed at
 *   once, or a client that never saw the answer, go on with one and the same token.
 * - `reuse`: a token that has had its successor. Somebody has a copy; the session ends for both.
 * - `refuse`: the session is over, or the token is of a future that this database does not know (it was restored from a
 *   backup). Nobody is suspected.
 */
export type RotationDecision = 'rotate' | 'repeat' | 'reuse' | 'refuse';

/**
 * The whole rule of refresh tokens. It depends on nothing but its arguments, so that a test can drive it through any schedule;
 * the caller holds the session's row lock, so that decisions on one session come one after the other.
 */
export function decideRotation(
  state: RotationState,
  presented: number,
  now: Date,
  graceSeconds: number,
): RotationDecision {
  if (state.expiresAt <= now || presented > state.counter) return 'refuse';
  if (presented === state.counter) return 'rotate';
  const isInGrace = now.getTime() - state.rotatedAt.getTime() <= graceSeconds * 1000;
  return presented === state.counter - 1 && isInGrace ? 'repeat' : 'reuse';
}
