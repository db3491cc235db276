import type { Role } from './role.js';

/** What an access token says. It is proof of the session's id, not of its being alive: the database has that. */
export interface AccessClaims {
  readonly sub: string;
  readonly sid: string;
  readonly role: Role;
  readonly exp: number;
}
