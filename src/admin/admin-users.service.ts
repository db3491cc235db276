import { Injectable } from '@nestjs/common';
import { type Session, SessionsService } from '../auth/sessions/sessions.service.js';
import type { Principal } from '../common/auth/principal.js';
import { AuditEvent } from '../common/events/audit-event.js';
import { DomainEvents } from '../common/events/domain-events.js';
import type { PageWindow } from '../common/http/page.js';
import { UsersService } from '../users/users.service.js';

/** What administrators do with an account that is not the users' business alone. */
@Injectable()
export class AdminUsersService {
  constructor(
    private readonly users: UsersService,
    private readonly sessions: SessionsService,
    private readonly events: DomainEvents,
  ) {}

  /** Signs the user out everywhere. API keys stay. @throws UserNotFoundError */
  async revokeSessions(caller: Principal, id: string): Promise<void> {
    await this.users.get(id);
    await this.sessions.transaction(async (tx) => {
      await this.sessions.endAllOf(tx, id);
      await this.events.record(tx, AuditEvent.by(caller, 'session.all_revoked', 'user', id));
    });
  }

  /** @throws UserNotFoundError */
  async listSessions(id: string, window: PageWindow): Promise<{ sessions: Session[]; total: number }> {
    await this.users.get(id);
    return this.sessions.list(id, window);
  }

  /** @throws UserNotFoundError, SessionNotFoundError */
  async endSession(caller: Principal, id: string, sessionId: string): Promise<void> {
    await this.users.get(id);
    await this.sessions.endOf(id, caller, sessionId);
  }
}
