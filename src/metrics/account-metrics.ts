import { Injectable } from '@nestjs/common';
import { Counter, Registry } from 'prom-client';
import { AuditEvent } from '../common/events/audit-event.js';
import { DomainEvents } from '../common/events/domain-events.js';
import { PasswordHasher } from '../users/passwords/password-hasher.js';
import { addGauge } from './gauge.js';

const SUCCEEDED = 'succeeded';
/** Reasons are the program's own words; anything else would be a label that somebody could choose. */
const REASON = /^[a-z][a-z_]{0,39}$/;
const NO_REASON = 'failed';

/** Signing in. */
@Injectable()
export class AccountMetrics {
  constructor(registry: Registry, events: DomainEvents, hasher: PasswordHasher) {
    const registers = [registry];
    const logins = new Counter({
      name: 'gatehouse_logins_total',
      help: 'Attempts to sign in on this node, by what came of them',
      labelNames: ['outcome'],
      registers,
    });
    logins.inc({ outcome: SUCCEEDED }, 0);
    const reuses = new Counter({
      name: 'gatehouse_refresh_token_reuses_total',
      help: 'Refresh tokens that were used again, which ended their session',
      registers,
    });
    events.on(AuditEvent, ({ action, facts: { details } }) => {
      if (action === 'login.succeeded') logins.inc({ outcome: SUCCEEDED });
      if (action === 'login.failed') logins.inc({ outcome: outcomeOf(details?.reason) });
    });
    // It is recorded, and not told afterwards.
    events.during(AuditEvent, ({ action }) => {
      if (action === 'session.refresh_reused') reuses.inc();
      return Promise.resolve();
    });
    const waiting = { name: 'gatehouse_password_queue_length', help: 'Passwords that wait to be hashed or compared' };
    addGauge(registry, waiting, () => hasher.waiting);
  }
}

const outcomeOf = (reason: unknown): string => (typeof reason === 'string' && REASON.test(reason) ? reason : NO_REASON);
