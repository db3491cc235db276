import type { Account } from '../common/auth/principal.js';
import type { Role } from '../common/auth/role.js';

/** A row of `users u` as the prepared statements of the access check read it. */
export interface AccountRow extends Record<string, unknown> {
  id: string;
  email: string;
  username: string;
  full_name: string | null;
  first_name: string | null;
  last_name: string | null;
  bio: string | null;
  phone_number: string | null;
  role: Role;
  is_active: boolean;
  is_verified: boolean;
  has_second_factor: boolean;
  total_uploads: number;
  total_storage_used: string;
  last_login: Date | null;
  created_at: Date;
  updated_at: Date;
}

export const ACCOUNT_COLUMNS = [
  ...['id', 'email', 'username', 'full_name', 'first_name', 'last_name', 'bio', 'phone_number', 'role', 'is_active'],
  ...[
    'is_verified',
    'has_second_factor',
    'total_uploads',
    'total_storage_used',
    'last_login',
    'created_at',
    'updated_at',
  ],
]
  .map((column) => `u.${column}`)
  .join(', ');

export const toAccount = (row: AccountRow): Account => ({
  id: row.id,
  email: row.email,
  username: row.username,
  fullName: row.full_name,
  firstName: row.first_name,
  lastName: row.last_name,
  bio: row.bio,
  phoneNumber: row.phone_number,
  role: row.role,
  isActive: row.is_active,
  isVerified: row.is_verified,
  hasSecondFactor: row.has_second_factor,
  totalUploads: row.total_uploads,
  totalStorageUsed: Number(row.total_storage_used),
  lastLogin: row.last_login,
  createdAt: row.created_at,
  updatedAt: row.updated_at,
});
