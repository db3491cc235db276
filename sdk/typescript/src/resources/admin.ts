import { path } from '../http/path.js';
import type { CallOptions, Transport } from '../http/transport.js';
import { iterate } from '../pagination.js';
import type {
  AdminUser,
  AuditEntry,
  Filters,
  Page,
  Query,
  Session,
  Statistics,
  StoredFile,
  UpdateStandingInput,
} from '../types.js';

/** What admins may do. A key needs the scope `admin`. */
export class Admin {
  readonly users: AdminUsers;
  readonly uploads: AdminUploads;
  readonly auditLog: AuditLog;

  /** @internal */
  constructor(private readonly transport: Transport) {
    this.users = new AdminUsers(transport);
    this.uploads = new AdminUploads(transport);
    this.auditLog = new AuditLog(transport);
  }

  /** How many users and files there are, and how much they take. */
  stats(options?: CallOptions): Promise<Statistics> {
    return this.transport.json({ method: 'GET', path: '/api/v1/admin/stats', ...options });
  }
}

/** All accounts. */
export class AdminUsers {
  readonly sessions: AdminUserSessions;

  /** @internal */
  constructor(private readonly transport: Transport) {
    this.sessions = new AdminUserSessions(transport);
  }

  /** One page of accounts, also of disabled ones. */
  list(query?: Query<'get_admin_users'>, options?: CallOptions): Promise<Page<AdminUser>> {
    return this.transport.json({ method: 'GET', path: '/api/v1/admin/users', query, ...options });
  }

  /** All accounts, also disabled ones. What is deleted meanwhile shifts items between pages: collect the ids first. */
  iterate(filters?: Filters<'get_admin_users'>, options?: CallOptions): AsyncGenerator<AdminUser> {
    return iterate((page) => this.list({ ...filters, ...page }, options));
  }

  /** One account, with what it takes and may take. */
  get(id: string, options?: CallOptions): Promise<AdminUser> {
    return this.transport.json({ method: 'GET', path: path`/api/v1/admin/users/${id}`, ...options });
  }

  /**
   * Changes role, standing or quota (bytes; `null`: the server's own). Disabling ends sessions and revokes keys.
   *
   * @throws ConflictError when this would leave no active admin
   */
  update(id: string, input: UpdateStandingInput, options?: CallOptions): Promise<AdminUser> {
    return this.transport.json({ method: 'PATCH', path: path`/api/v1/admin/users/${id}`, json: input, ...options });
  }

  /** Removes the account and everything that belongs to it. */
  async delete(id: string, options?: CallOptions): Promise<void> {
    await this.transport.json({ method: 'DELETE', path: path`/api/v1/admin/users/${id}`, ...options });
  }

  /** Signs the user out everywhere. */
  async revokeSessions(id: string, options?: CallOptions): Promise<void> {
    await this.transport.json({
      method: 'POST',
      path: path`/api/v1/admin/users/${id}/revoke-sessions`,
      isRepeatable: true,
      ...options,
    });
  }

  /** Takes the second factor off an account whose owner has lost it. */
  async resetMfa(id: string, options?: CallOptions): Promise<void> {
    await this.transport.json({ method: 'DELETE', path: path`/api/v1/admin/users/${id}/mfa`, ...options });
  }
}

/** The devices on which a user is signed in. */
export class AdminUserSessions {
  /** @internal */
  constructor(private readonly transport: Transport) {}

  /** One page of sessions, newest first. */
  list(userId: string, query?: Query<'get_admin_users_id_sessions'>, options?: CallOptions): Promise<Page<Session>> {
    return this.transport.json({
      method: 'GET',
      path: path`/api/v1/admin/users/${userId}/sessions`,
      query,
      ...options,
    });
  }

  /** All sessions of the user. What is deleted meanwhile shifts items between pages: collect the ids first. */
  iterate(userId: string, options?: CallOptions): AsyncGenerator<Session> {
    return iterate((page) => this.list(userId, page, options));
  }

  /** Signs the user out on one device. */
  async end(userId: string, sessionId: string, options?: CallOptions): Promise<void> {
    const route = path`/api/v1/admin/users/${userId}/sessions/${sessionId}`;
    await this.transport.json({ method: 'DELETE', path: route, ...options });
  }
}

/** Everybody's files. */
export class AdminUploads {
  /** @internal */
  constructor(private readonly transport: Transport) {}

  /** One page of everybody's files; `user_id` narrows it to one owner. */
  list(query?: Query<'get_admin_uploads'>, options?: CallOptions): Promise<Page<StoredFile>> {
    return this.transport.json({ method: 'GET', path: '/api/v1/admin/uploads', query, ...options });
  }

  /** All of everybody's files. What is deleted meanwhile shifts items between pages: collect the ids first. */
  iterate(filters?: Filters<'get_admin_uploads'>, options?: CallOptions): AsyncGenerator<StoredFile> {
    return iterate((page) => this.list({ ...filters, ...page }, options));
  }

  /** Deletes anybody's file for good. */
  async delete(id: string, options?: CallOptions): Promise<void> {
    await this.transport.json({ method: 'DELETE', path: path`/api/v1/admin/uploads/${id}`, ...options });
  }
}

/** Who did what, newest first. */
export class AuditLog {
  /** @internal */
  constructor(private readonly transport: Transport) {}

  /** One page of entries; `from` and `to` are ISO times. */
  list(query?: Query<'get_admin_audit_log'>, options?: CallOptions): Promise<Page<AuditEntry>> {
    return this.transport.json({ method: 'GET', path: '/api/v1/admin/audit-log', query, ...options });
  }

  /** All entries. What is added meanwhile shifts items between pages. */
  iterate(filters?: Filters<'get_admin_audit_log'>, options?: CallOptions): AsyncGenerator<AuditEntry> {
    return iterate((page) => this.list({ ...filters, ...page }, options));
  }
}
