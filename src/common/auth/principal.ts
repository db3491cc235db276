import { InsufficientScopeError } from '../errors/errors.js';
import type { ClientInfo } from '../http/client-info.js';
import type { Role } from './role.js';
import type { Scope } from './scope.js';

/** Everything about an account that its owner and admins may see. */
export interface Account {
  readonly id: string;
  readonly email: string;
  readonly username: string;
  readonly fullName: string | null;
  readonly firstName: string | null;
  readonly lastName: string | null;
  readonly bio: string | null;
  readonly phoneNumber: string | null;
  readonly role: Role;
  readonly isActive: boolean;
  readonly isVerified: boolean;
  /** Whether signing in asks for a code of an authenticator app. */
  readonly hasSecondFactor: boolean;
  readonly totalUploads: number;
  readonly totalStorageUsed: number;
  readonly lastLogin: Date | null;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

/** Who makes a request: the account as the database had it when this request was let in. */
export interface Principal {
  readonly id: string;
  /** What the caller acts as. It may be less than the account's role: a key without the scope `admin` is nobody's but a user's. */
  readonly role: Role;
  /** `null` for an API key. */
  readonly sessionId: string | null;
  /** The API key by which the call came; `null` for a session, which may do all that its user may. */
  readonly apiKey: { readonly id: string; readonly scopes: ReadonlySet<Scope> } | null;
  readonly account: Account;
  readonly client: ClientInfo;
}

/** Whether nothing but the second factor, which is required of admins, is missing for the account's role. */
export const awaitsSecondFactor = ({ account, role, apiKey }: Principal): boolean =>
  account.role === 'admin' && role === 'user' && (!apiKey || apiKey.scopes.has('admin'));

/** The session of a caller whom a route for sessions alone has let in. */
export function sessionOf({ sessionId }: Principal): string {
  if (sessionId === null) throw new InsufficientScopeError();
  return sessionId;
}
