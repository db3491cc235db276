import { Injectable, Logger } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import { v7 as uuidv7 } from 'uuid';
import type { Principal } from '../../common/auth/principal.js';
import type { Role } from '../../common/auth/role.js';
import { AuditEvent } from '../../common/events/audit-event.js';
import { DomainEvents } from '../../common/events/domain-events.js';
import type { ClientInfo } from '../../common/http/client-info.js';
import type { PageWindow } from '../../common/http/page.js';
import { AppConfig } from '../../config/app-config.js';
import { AccessService } from '../access.service.js';
import { InvalidRefreshTokenError, SessionNotFoundError } from '../auth.errors.js';
import type { RefreshTicket } from '../tokens/refresh-tokens.js';
import { decideRotation } from './rotation.js';
import { Session } from './session.entity.js';
import { type LockedSession, SessionsRepository } from './sessions.repository.js';

export type { Session } from './session.entity.js';

const FIRST_COUNTER = 0;
const PAGE = 200;

@Injectable()
export class SessionsService {
  private readonly logger = new Logger(SessionsService.name);

  constructor(
    private readonly sessions: SessionsRepository,
    private readonly access: AccessService,
    private readonly events: DomainEvents,
    private readonly config: AppConfig,
  ) {}

  /** Starts a session within the transaction that found the login good. */
  async start(tx: EntityManager, userId: string, client: ClientInfo): Promise<RefreshTicket> {
    const sessions = this.sessions.within(tx);
    const now = await sessions.now();
    const endsAt = later(now, this.config.tokens.sessionMaxSeconds);
    const session: Session = {
      id: uuidv7(),
      userId,
      refreshCounter: FIRST_COUNTER,
      rotatedAt: now,
      createdAt: now,
      lastUsedAt: now,
      expiresAt: this.idleEnd(now, endsAt),
      endsAt,
      ipAddress: client.ipAddress,
      userAgent: client.userAgent,
    };
    await sessions.insert(session);
    return { sessionId: session.id, counter: FIRST_COUNTER };
  }

  /**
   * Trades a refresh token for the current one; see `decideRotation()`.
   * @throws InvalidRefreshTokenError
   */
  async refresh(presented: RefreshTicket, client: ClientInfo): Promise<{ userId: string; ticket: RefreshTicket }> {
    // A reuse is answered by an error, but its ending of the session must be committed: so it is thrown outside.
    const outcome = await this.sessions.transaction(async (tx) => {
      const sessions = this.sessions.within(tx);
      const locked = await sessions.findLocked(presented.sessionId);
      return locked && this.advance(tx, locked, presented.counter, client);
    });
    if (!outcome) throw new InvalidRefreshTokenError();
    return outcome;
  }

  private async advance(tx: EntityManager, { session, now }: LockedSession, presented: number, client: ClientInfo) {
    const sessions = this.sessions.within(tx);
    const { id, userId, refreshCounter: counter, endsAt } = session;
    switch (decideRotation({ counter, ...session }, presented, now, this.config.tokens.refreshGraceSeconds)) {
      case 'rotate': {
        const expiresAt = this.idleEnd(now, endsAt);
        await sessions.update(id, {
          refreshCounter: counter + 1,
          rotatedAt: now,
          lastUsedAt: now,
          expiresAt,
          ipAddress: client.ipAddress,
          userAgent: client.userAgent,
        });
        return { userId, ticket: { sessionId: id, counter: counter + 1 } };
      }
      case 'repeat':
        return { userId, ticket: { sessionId: id, counter } };
      case 'reuse':
        await this.endReused(tx, session, client);
        return null;
      case 'refuse':
        return null;
    }
  }

  private async endReused(tx: EntityManager, { id, userId }: Session, client: ClientInfo): Promise<void> {
    await this.sessions.within(tx).delete(id);
    this.logger.warn({
      message: 'A refresh token was used again; its session has ended',
      session_id: id,
      user_id: userId,
      ip: client.ipAddress,
    });
    const target = { targetType: 'session', targetId: id, details: { user_id: userId } } as const;
    await this.events.record(
      tx,
      new AuditEvent('session.refresh_reused', { actorId: null, origin: client, ...target }),
    );
  }

  list(userId: string, window: PageWindow): Promise<{ sessions: Session[]; total: number }> {
    return this.sessions.listOwn(userId, window);
  }

  /** All of them from the newest on, in pages that no login or logout shifts. */
  async *eachOwn(userId: string): AsyncGenerator<Session> {
    for (let last: string | null = null; ;) {
      const page: Session[] = await this.sessions.listOwnBefore(userId, last, PAGE);
      yield* page;
      if (page.length < PAGE) return;
      last = page[PAGE - 1].id;
    }
  }

  /** What the holders of these sessions and API keys act as, for those that are alive. */
  async rolesOf(ids: readonly string[], tx?: EntityManager): Promise<Map<string, Role>> {
    const live = await (tx ? this.sessions.within(tx) : this.sessions).findLive(ids);
    return new Map(live.map((credential) => [credential.id, this.access.roleOf(credential, credential.scopes)]));
  }

  /** @throws SessionNotFoundError for another user's session too */
  async end(caller: Principal, sessionId: string): Promise<void> {
    if (!(await this.endIfAlive(caller, sessionId))) throw new SessionNotFoundError();
  }

  /** One of another user's. @throws SessionNotFoundError for a session that is not of this user too */
  async endOf(userId: string, caller: Principal, sessionId: string): Promise<void> {
    if (!(await this.endOwned(userId, caller, sessionId))) throw new SessionNotFoundError();
  }

  /** Ends a session that may be over already. */
  endIfAlive(caller: Principal, sessionId: string): Promise<boolean> {
    return this.endOwned(caller.id, caller, sessionId);
  }

  private endOwned(userId: string, caller: Principal, sessionId: string): Promise<boolean> {
    const details = userId === caller.id ? {} : { user_id: userId };
    return this.sessions.transaction(async (tx) => {
      const isEnded = await this.sessions.within(tx).deleteOwn(sessionId, userId);
      if (isEnded) await this.events.record(tx, AuditEvent.by(caller, 'session.ended', 'session', sessionId, details));
      return isEnded;
    });
  }

  async endAll(caller: Principal): Promise<void> {
    await this.sessions.transaction(async (tx) => {
      await this.endAllOf(tx, caller.id);
      await this.events.record(tx, AuditEvent.by(caller, 'session.all_ended', 'user', caller.id));
    });
  }

  async endAllOf(tx: EntityManager, userId: string): Promise<void> {
    await this.sessions.within(tx).deleteAllOf(userId);
  }

  endOthers(tx: EntityManager, userId: string, keptSessionId: string): Promise<void> {
    return this.sessions.within(tx).deleteAllBut(keptSessionId, userId);
  }

  transaction<T>(work: (tx: EntityManager) => Promise<T>): Promise<T> {
    return this.sessions.transaction(work);
  }

  private idleEnd(now: Date, endsAt: Date): Date {
    const idleEnd = later(now, this.config.tokens.sessionIdleSeconds);
    return idleEnd < endsAt ? idleEnd : endsAt;
  }
}

const later = (date: Date, seconds: number) => new Date(date.getTime() + seconds * 1000);
