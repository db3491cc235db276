import { type AuditAction, AuditEvent } from '../common/events/audit-event.js';
import type { Origin } from '../common/http/client-info.js';

/** Of what was not asked for by a request. */
export const NO_ORIGIN: Origin = { ipAddress: null, userAgent: null, requestId: null };

/** What the operator of the server did to an account, as its first start or on the command line. */
export const operatorAudit = (
  action: AuditAction,
  userId: string,
  details: { readonly by: 'first start' | 'command line' } & Record<string, unknown>,
): AuditEvent =>
  new AuditEvent(action, { actorId: null, origin: NO_ORIGIN, targetType: 'user', targetId: userId, details });
