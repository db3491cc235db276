import type { Principal } from '../auth/principal.js';
import type { Origin } from '../http/client-info.js';

/** What the audit log speaks of: `<what>.<what happened to it>`. `docs/audit.md` explains each. */
export const AUDIT_ACTIONS = [
  'login.succeeded',
  'login.failed',
  'session.refresh_reused',
  'session.ended',
  'session.all_ended',
  'session.all_revoked',
  'user.registered',
  'user.created',
  'user.deleted',
  'user.role_changed',
  'user.disabled',
  'user.enabled',
  'user.quota_changed',
  'user.exported',
  'password.changed',
  'password.reset_requested',
  'password.reset',
  'email.changed',
  'email.change_undone',
  'email.verified',
  'api_key.created',
  'api_key.revoked',
  'api_key.refused',
  'mfa.enabled',
  'mfa.disabled',
  'mfa.recovery_codes_renewed',
  'mfa.recovery_code_used',
  'file.deleted',
  'channel.member_added',
  'channel.member_removed',
] as const;
export type AuditAction = (typeof AUDIT_ACTIONS)[number];

export type AuditTarget = 'user' | 'session' | 'api_key' | 'file' | 'channel';

export interface AuditFacts {
  /** Who did it; `null` when nobody was signed in, or it was done on the command line. */
  readonly actorId: string | null;
  readonly origin: Origin;
  readonly targetType: AuditTarget | null;
  readonly targetId: string | null;
  /** Anything else worth knowing; never a password, token, key or code. */
  readonly details?: Readonly<Record<string, unknown>>;
}

/**
 * Something that is written into the audit log, in the transaction of the change: `await events.record(tx, AuditEvent.of(…))`, as its
 * last step. The log listens; features do not know it.
 */
export class AuditEvent {
  constructor(
    readonly action: AuditAction,
    readonly facts: AuditFacts,
  ) {}

  /** Done by whoever makes the request. */
  static by(
    caller: Principal,
    action: AuditAction,
    targetType: AuditTarget,
    targetId: string,
    details: AuditFacts['details'] = {},
  ): AuditEvent {
    const byKey = caller.apiKey ? { api_key_id: caller.apiKey.id } : {};
    return new AuditEvent(action, {
      actorId: caller.id,
      origin: caller.client,
      targetType,
      targetId,
      details: { ...details, ...byKey },
    });
  }
}
