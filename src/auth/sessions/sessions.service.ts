import { Injectable, Logger } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import { v7 as uuidv7 } from 'uuid';
import type { Role } from '../../common/auth/role.js';
import type { ClientInfo } from '../../common/http/client-info.js';
import type { PageWindow } from '../../common/http/page.js';
import { AppConfig } from '../../config/app-config.js';
import { InvalidRefreshTokenError, SessionNotFoundError } from '../auth.errors.js';
import type { RefreshTicket } from '../tokens/refresh-tokens.js';
import { decideRotation } from './rotation.js';
import { Session } from './session.entity.js';
import { type LockedSession, SessionsRepository } from './sessions.repository.js';

const FIRST_COUNTER = 0;

@Injectable()
export class SessionsService {
  private readonly logger = new Logger(SessionsService.name);

  constructor(
    private readonly sessions: SessionsRepository,
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
      ...client,
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
      return locked && this.advance(sessions, locked, presented.counter, client);
    });
    if (!outcome) throw new InvalidRefreshTokenError();
    return outcome;
  }

  private async advance(
    sessions: SessionsRepository,
    { session, now }: LockedSession,
    presented: number,
    client: ClientInfo,
  ) {
    const { id, userId, refreshCounter: counter, endsAt } = session;
    switch (decideRotation({ counter, ...session }, presented, now, this.config.tokens.refreshGraceSeconds)) {
      case 'rotate': {
        const expiresAt = this.idleEnd(now, endsAt);
        await sessions.update(id, {
          refreshCounter: counter + 1,
          rotatedAt: now,
          lastUsedAt: now,
          expiresAt,
          ...client,
        });
        return { userId, ticket: { sessionId: id, counter: counter + 1 } };
      }
      case 'repeat':
        return { userId, ticket: { sessionId: id, counter } };
      case 'reuse':
        await sessions.delete(id);
        this.logger.warn({
          message: 'A refresh token was used again; its session has ended',
          session_id: id,
          user_id: userId,
          ip: client.ipAddress,
        });
        return null;
      case 'refuse':
        return null;
    }
  }

  list(userId: string, window: PageWindow): Promise<{ sessions: Session[]; total: number }> {
    return this.sessions.listOwn(userId, window);
  }

  /** By session, for those that are alive. */
  rolesOf(sessionIds: readonly string[]): Promise<Map<string, Role>> {
    return this.sessions.findLiveRoles(sessionIds);
  }

  /** @throws SessionNotFoundError for another user's session too */
  async end(userId: string, sessionId: string): Promise<void> {
    if (!(await this.sessions.deleteOwn(sessionId, userId))) throw new SessionNotFoundError();
  }

  /** Ends a session that may be over already. */
  async endIfAlive(userId: string, sessionId: string): Promise<void> {
    await this.sessions.deleteOwn(sessionId, userId);
  }

  endAll(userId: string): Promise<void> {
    return this.sessions.deleteAllOf(userId);
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
