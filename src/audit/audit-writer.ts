import { Injectable } from '@nestjs/common';
import { AuditEvent } from '../common/events/audit-event.js';
import { DomainEvents } from '../common/events/domain-events.js';
import { AuditLogRepository } from './audit-log.repository.js';

/** Writes what features tell in the transaction of the change: both are there, or neither. */
@Injectable()
export class AuditWriter {
  constructor(events: DomainEvents, log: AuditLogRepository) {
    events.during(AuditEvent, (event, tx) => log.insert(tx, event));
  }
}
