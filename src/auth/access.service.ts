import { Injectable } from '@nestjs/common';
import type { AccessClaims } from '../common/auth/access-claims.js';
import type { Account, Principal } from '../common/auth/principal.js';
import type { Role } from '../common/auth/role.js';
import type { Scope } from '../common/auth/scope.js';
import type { ClientInfo } from '../common/http/client-info.js';
import { AppConfig } from '../config/app-config.js';
import { type PreparedStatement, PreparedStatements } from '../database/prepared-statements.js';
import { ACCOUNT_COLUMNS, type AccountRow, toAccount } from './account-row.js';

/**
 * The one query of the access check, made by every request that needs a session. It brings the whole account, so that
 * `GET /users/me` asks nothing more.
 */
const LIVE_SESSION: PreparedStatement = {
  name: 'live-session',
  text: `
    SELECT ${ACCOUNT_COLUMNS} FROM sessions s JOIN users u ON u.id = s.user_id
    WHERE s.id = $1 AND s.user_id = $2 AND s.expires_at > now() AND u.is_active`,
};

const LIVE_KEY: PreparedStatement = {
  name: 'live-key',
  text: `
    SELECT ${ACCOUNT_COLUMNS}, k.scopes FROM api_keys k JOIN users u ON u.id = k.user_id
    WHERE k.id = $1 AND k.user_id = $2 AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > now()) AND u.is_active`,
};

/** What of an account decides what its holder acts as. */
type Standing = Pick<Account, 'role' | 'hasSecondFactor'>;

/** Asks the database, at every request, whether the session or key that a caller speaks of is alive and what its user may do now. */
@Injectable()
export class AccessService {
  constructor(
    private readonly statements: PreparedStatements,
    private readonly config: AppConfig,
  ) {}

  /** `null` when the session or key has ended or the account is disabled or gone. */
  async principalOf(claims: AccessClaims, client: ClientInfo): Promise<Principal | null> {
    const row = await this.statements.first<AccountRow & { scopes?: Scope[] }>(
      claims.isApiKey ? LIVE_KEY : LIVE_SESSION,
      [claims.sid, claims.sub],
    );
    return row && this.toPrincipal(toAccount(row), claims.sid, row.scopes ?? null, client);
  }

  /** @param scopes of an API key; `null` for a session */
  toPrincipal(account: Account, credentialId: string, scopes: readonly Scope[] | null, client: ClientInfo): Principal {
    return {
      id: account.id,
      role: this.roleOf(account, scopes),
      sessionId: scopes ? null : credentialId,
      apiKey: scopes && { id: credentialId, scopes: new Set(scopes) },
      account,
      client,
    };
  }

  /**
   * What an account's holder acts as. A key that is not for administration is a user's, and so is an admin without a second factor where
   * one is required.
   */
  roleOf({ role, hasSecondFactor }: Standing, scopes: readonly Scope[] | null): Role {
    if (scopes && !scopes.includes('admin')) return 'user';
    return this.config.secondFactor.isRequiredForAdmins && !hasSecondFactor ? 'user' : role;
  }
}
