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

/** Of an application that keeps its own path in the fragment, as in `#/reset?lang=en`: it reads no other query. */
const ROUTE_IN_FRAGMENT = /^(#!?\/[^?]*)(?:\?(.*))?$/;

/** @param page from the configuration, never from a request */
export function linkTo(page: string, { text }: Pick<NewToken, 'text'>): string {
  const url = new URL(page);
  const route = ROUTE_IN_FRAGMENT.exec(url.hash);
  if (route) {
    const query = new URLSearchParams(route[2]);
    query.set('token', text);
    url.hash = `${route[1]}?${query}`;
  } else {
    url.searchParams.set('token', text);
  }
  return url.href;
}
