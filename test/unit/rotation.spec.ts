import fc from 'fast-check';
import { decideRotation, type RotationState } from '../../src/auth/sessions/rotation.js';

const GRACE = 10;
const LIFETIME = 604_800;
const at = (seconds: number) => new Date(seconds * 1000);

const state = (counter: number, rotatedAt = 0, expiresAt = LIFETIME): RotationState => ({
  counter,
  rotatedAt: at(rotatedAt),
  expiresAt: at(expiresAt),
});

describe('decideRotation', () => {
  it.each([
    ['the current token rotates', state(3), 3, 1, 'rotate'],
    ['the current token rotates however old it is', state(3), 3, LIFETIME - 1, 'rotate'],
    ['the token before repeats at the last moment of the grace window', state(3), 2, GRACE, 'repeat'],
    ['the token before is reuse after the grace window', state(3), 2, GRACE + 0.001, 'reuse'],
    ['an older token is reuse within the grace window too', state(3), 1, 1, 'reuse'],
    ['an expired session refuses its current token', state(3), 3, LIFETIME, 'refuse'],
    ['an expired session suspects nobody', state(3), 0, LIFETIME, 'refuse'],
    ['a token of an unknown future is refused, not suspected', state(3), 4, 1, 'refuse'],
  ])('%s', (_title, session, presented, now, decision) => {
    expect(decideRotation(session, presented, at(now), GRACE)).toBe(decision);
  });

  it('a clock that the lock outran (now before the rotation) is within the grace window', () => {
    expect(decideRotation(state(3, 100), 2, at(99.9), GRACE)).toBe('repeat');
  });

  /**
   * A model of one session and of clients that behave: each holds one token, and takes over whatever an answer brings. An answer may be
   * lost (which is what a crash after the commit is to a client), or the server may die before its commit; a client then tries again with
   * the token it has.
   */
  it('logs out no client that asks again in time, and catches every stale token', () => {
    const step = fc.record({
      client: fc.nat(3),
      fate: fc.constantFrom('answered', 'answered', 'answer lost', 'crash before commit'),
      /** Seconds until the step. */
      wait: fc.oneof(fc.constant(0), fc.double({ min: 0, max: 2, noNaN: true }), fc.constant(900)),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        let session = state(0);
        let now = 0;
        const held = [0, 0, 0, 0];
        const decisions = new Set<string>();
        for (const { client, fate, wait } of steps) {
          now += wait;
          const presented = held[client];
          const decision = decideRotation(session, presented, at(now), GRACE);
          decisions.add(decision);
          const elapsed = now - session.rotatedAt.getTime() / 1000;
          // The rule, said the other way round: what may go on and what may not.
          const mayGoOn =
            presented === session.counter || (presented === session.counter - 1 && elapsed <= GRACE + 0.001);
          if (mayGoOn !== (decision === 'rotate' || decision === 'repeat')) return false;
          if (decision === 'reuse') return presented < session.counter;
          if (fate === 'crash before commit') continue;
          if (decision === 'rotate')
            session = { ...session, counter: session.counter + 1, rotatedAt: at(now), expiresAt: at(now + LIFETIME) };
          if (fate === 'answered') held[client] = session.counter;
          // Nobody ever holds a token that the session has not issued: one lineage.
          if (Math.max(...held) > session.counter) return false;
        }
        return true;
      }),
      { numRuns: 2_000 },
    );
  });
});
