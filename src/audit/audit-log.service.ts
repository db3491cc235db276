import { Injectable } from '@nestjs/common';
import type { PageWindow } from '../common/http/page.js';
import type { AuditEntry, AuditFilter } from './audit-entry.js';
import { AuditLogRepository } from './audit-log.repository.js';

export type { AuditEntry, AuditFilter } from './audit-entry.js';

/** Reading the audit log. It is written by recording an `AuditEvent`. */
@Injectable()
export class AuditLogService {
  constructor(private readonly log: AuditLogRepository) {}

  list(filter: AuditFilter, window: PageWindow): Promise<{ entries: AuditEntry[]; total: number }> {
    return this.log.list(filter, window);
  }
}
