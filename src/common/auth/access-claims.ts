import type { Role } from './role.js';

/** What an access token says. It is proof of the session's id, not of its being alive: the database has that. */
export interface AccessClaims {
  readonly sub: string;
  /** The session's id, or the API key's. */
  readonly sid: string;
  readonly role: Role;
  /** Unix seconds; `Infinity` for a key without an end. */
  readonly exp: number;
  /** Not a token's: of an API key, which was checked when it was shown. */
  readonly isApiKey?: true;
}
