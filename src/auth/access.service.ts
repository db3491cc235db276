import { Injectable } from '@nestjs/common';
import type { AccessClaims } from '../common/auth/access-claims.js';
import type { Principal } from '../common/auth/principal.js';
import type { Role } from '../common/auth/role.js';
import { type PreparedStatement, PreparedStatements } from '../database/prepared-statements.js';

interface AccessRow {
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
  total_uploads: number;
  total_storage_used: string;
  last_login: Date | null;
  created_at: Date;
  updated_at: Date;
}

/**
 * The one query of the access check, made by every request that needs a session. It brings the whole account, so that
 * `GET /users/me` asks nothing more.
 */
const LIVE_SESSION: PreparedStatement = {
  name: 'live-session',
  text: `
    SELECT u.id, u.email, u.username, u.full_name, u.first_name, u.last_name, u.bio, u.phone_number, u.role, u.is_active,
           u.is_verified, u.total_uploads, u.total_storage_used, u.last_login, u.created_at, u.updated_at
    FROM sessions s JOIN users u ON u.id = s.user_id
    WHERE s.id = $1 AND s.user_id = $2 AND s.expires_at > now() AND u.is_active`,
};

/** Asks the database, at every request, whether the session that a token speaks of is alive and what its user may do now. */
@Injectable()
export class AccessService {
  constructor(private readonly statements: PreparedStatements) {}

  /** `null` when the session has ended or the account is disabled or gone. */
  async principalOf(claims: AccessClaims): Promise<Principal | null> {
    const row = await this.statements.first<AccessRow & Record<string, unknown>>(LIVE_SESSION, [
      claims.sid,
      claims.sub,
    ]);
    return row && { id: row.id, role: row.role, sessionId: claims.sid, account: toAccount(row) };
  }
}

const toAccount = (row: AccessRow) => ({
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
  totalUploads: row.total_uploads,
  totalStorageUsed: Number(row.total_storage_used),
  lastLogin: row.last_login,
  createdAt: row.created_at,
  updatedAt: row.updated_at,
});
