import { setTimeout as delay } from 'node:timers/promises';
import { Secret, TOTP } from 'otpauth';
import type { SignedIn } from './builders.js';
import type { TestApp } from './test-app.js';

const STEP_MS = 30_000;
const MFA = '/api/v1/auth/mfa';

export interface SecondFactor {
  /** Base 32, as the setup answered it. */
  secret: string;
  recoveryCodes: string[];
}

/** What an authenticator app shows, or showed or will show so many steps away. */
export const codeOf = (secret: string, stepsAway = 0): string =>
  new TOTP({ secret: Secret.fromBase32(secret) }).generate({ timestamp: Date.now() + stepsAway * STEP_MS });

/** A code that no app with the secret shows about now. */
export function wrongCodeFor(secret: string): string {
  const near = [-2, -1, 0, 1, 2].map((step) => codeOf(secret, step));
  return ['000000', '111111', '222222', '333333', '444444', '555555'].find((code) => !near.includes(code)) ?? '';
}

/** As if the codes of now had not been used: half a minute passes without its being waited for. */
export async function forgetSteps(app: TestApp, userId: string): Promise<void> {
  await app.pool.query('UPDATE second_factors SET last_step = 0 WHERE user_id = $1', [userId]);
}

/** A code that is good and was not used. */
export async function freshCode(app: TestApp, userId: string, secret: string): Promise<string> {
  await forgetSteps(app, userId);
  return codeOf(secret);
}

/** Comes back when the present step goes on long enough for what depends on where it begins and ends. */
export async function earlyInStep(): Promise<void> {
  const left = STEP_MS - (Date.now() % STEP_MS);
  if (left < 8_000) await delay(left + 50);
}

/** Sets a second factor up over HTTP. */
export async function enableSecondFactor(app: TestApp, user: SignedIn): Promise<SecondFactor> {
  const { body: setup } = await app.http
    .post(`${MFA}/setup`)
    .set(user.auth)
    .send({ password: user.password })
    .expect(200);
  const { body } = await app.http
    .post(`${MFA}/confirm`)
    .set(user.auth)
    .send({ code: codeOf(setup.secret) })
    .expect(200);
  return { secret: setup.secret, recoveryCodes: body.recovery_codes };
}
