import type { Role } from '../../common/auth/role.js';

/** What of an account its mails go by. */
export interface AccountState {
  readonly id: string;
  readonly email: string;
  readonly username: string;
  readonly role: Role;
  readonly isActive: boolean;
  readonly isVerified: boolean;
  /** Whether this or an earlier address was ever proved to be its owner's. */
  readonly wasEverVerified: boolean;
  readonly hasSecondFactor: boolean;
  /** Tells whether the password is another one; the hash itself does not leave the database. */
  readonly passwordDigest: Buffer;
}

export const PASSWORD_DIGEST = `sha256(convert_to(u.password_hash, 'UTF8'))`;

/** Of a row of `users u`. */
export const ACCOUNT_STATE = `u.id, u.email, u.username, u.role, u.is_active AS "isActive", u.is_verified AS "isVerified", u.ever_verified AS "wasEverVerified",
  u.has_second_factor AS "hasSecondFactor", ${PASSWORD_DIGEST} AS "passwordDigest"`;
