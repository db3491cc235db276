import { Injectable } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import { AuditEvent } from '../../common/events/audit-event.js';
import { DomainEvents } from '../../common/events/domain-events.js';
import type { Origin } from '../../common/http/client-info.js';
import { ApiKeysService } from '../keys/api-keys.service.js';
import { SecondFactorsService } from '../mfa/second-factors.service.js';
import { SessionsService } from '../sessions/sessions.service.js';

/** Takes away what opens an account, from whoever has it. */
@Injectable()
export class AccessReclaimService {
  constructor(
    private readonly sessions: SessionsService,
    private readonly keys: ApiKeysService,
    private readonly secondFactors: SecondFactorsService,
    private readonly events: DomainEvents,
  ) {}

  endSessions(tx: EntityManager, userId: string): Promise<void> {
    return this.sessions.endAllOf(tx, userId);
  }

  async endSessionsAndKeys(tx: EntityManager, userId: string): Promise<void> {
    await this.sessions.endAllOf(tx, userId);
    await this.keys.revokeAllOf(tx, userId);
  }

  /** A second factor that is not the owner's would keep the owner out. */
  async removeSecondFactor(tx: EntityManager, userId: string, origin: Origin): Promise<void> {
    if (!(await this.secondFactors.removeFor(tx, userId, origin))) return;
    const target = { targetType: 'user', targetId: userId } as const;
    await this.events.record(tx, new AuditEvent('mfa.disabled', { actorId: null, origin, ...target }));
  }
}
