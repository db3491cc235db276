import type { AuditAction, AuditTarget } from '../common/events/audit-event.js';

/** What the log keeps of one thing that happened. */
export interface AuditEntry {
  readonly id: string;
  readonly createdAt: Date;
  readonly actorId: string | null;
  readonly action: AuditAction;
  readonly targetType: AuditTarget | null;
  readonly targetId: string | null;
  readonly ipAddress: string | null;
  readonly userAgent: string | null;
  readonly requestId: string | null;
  readonly details: Readonly<Record<string, unknown>>;
}

/** What is given must hold; of the time, from `from` on and before `to`. */
export interface AuditFilter {
  readonly actorId?: string;
  readonly action?: AuditAction;
  readonly targetId?: string;
  readonly from?: Date;
  readonly to?: Date;
}
