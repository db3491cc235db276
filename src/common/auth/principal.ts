import type { Role } from './role.js';

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
  readonly totalUploads: number;
  readonly totalStorageUsed: number;
  readonly lastLogin: Date | null;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

/** Who makes a request: the account as the database had it when this request was let in. */
export interface Principal {
  readonly id: string;
  readonly role: Role;
  readonly sessionId: string;
  readonly account: Account;
}
