import { createHash, randomBytes } from 'node:crypto';

const TOKEN_BYTES = 32;

export interface NewToken {
  /** For the mail alone. */
  readonly text: string;
  /** For the database. */
  readonly hash: Buffer;
}

export function newToken(): NewToken {
  const text = randomBytes(TOKEN_BYTES).toString('base64url');
  return { text, hash: hashOf(text) };
}

/** Of 256 random bits there is nothing to guess, so that a fast hash will do. */
export const hashOf = (token: string): Buffer => createHash('sha256').update(token).digest();

/** @param page from the configuration, never from a request */
export function linkTo(page: string, { text }: NewToken): string {
  const url = new URL(page);
  url.searchParams.set('token', text);
  return url.href;
}
