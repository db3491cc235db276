import { createHmac, type KeyObject, timingSafeEqual } from 'node:crypto';

/** Keeps these signatures apart from whatever else the key may sign. */
const DOMAIN = 'gatehouse:signed-link:v1';

/** A number in the one form that it is signed in: no sign, no leading zero. Twelve digits last until the year 33658. */
const UNIX_SECONDS = /^[1-9]\d{0,11}$/;

/** Links that carry their own permission: who has one may download that one file until it expires. */
export class SignedLinks {
  constructor(private readonly key: KeyObject) {}

  /** The query of a link. Fractions of a second are cut off. */
  sign(fileId: string, expiresAt: Date): URLSearchParams {
    const expires = String(Math.floor(expiresAt.getTime() / 1000));
    return new URLSearchParams({ expires, signature: this.signatureOf(fileId, expires) });
  }

  /** Takes the query as it came, whatever it is. */
  verify(fileId: string, query: { expires?: unknown; signature?: unknown }, now: Date): boolean {
    const { expires, signature } = query;
    if (typeof expires !== 'string' || typeof signature !== 'string' || !UNIX_SECONDS.test(expires)) return false;
    // Compared as text: two base64url texts may stand for the same bytes, and only one of them is the signature.
    const expected = Buffer.from(this.signatureOf(fileId, expires));
    const given = Buffer.from(signature);
    const isGenuine = given.length === expected.length && timingSafeEqual(given, expected);
    return isGenuine && now.getTime() < Number(expires) * 1000;
  }

  private signatureOf(fileId: string, expires: string): string {
    return createHmac('sha256', this.key).update(`${DOMAIN}\n${fileId}\n${expires}`).digest('base64url');
  }
}
