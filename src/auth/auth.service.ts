import { Injectable } from '@nestjs/common';
import { type Principal, sessionOf } from '../common/auth/principal.js';
import { PasswordsDifferError } from '../common/errors/rule-error.js';
import { AuditEvent } from '../common/events/audit-event.js';
import { CallerActsEvent } from '../common/events/caller-acts.js';
import { DomainEvents } from '../common/events/domain-events.js';
import type { ClientInfo } from '../common/http/client-info.js';
import { CredentialsService } from '../users/credentials.service.js';
import { PasswordChangedEvent } from '../users/users.events.js';
import { UsersService } from '../users/users.service.js';
import { InvalidRefreshTokenError } from './auth.errors.js';
import { SessionsService } from './sessions/sessions.service.js';
import { RefreshTokens } from './tokens/refresh-tokens.js';
import { type TokenPair, TokenPairs } from './tokens/token-pairs.js';

export interface PasswordChange {
  currentPassword: string;
  newPassword: string;
  /** Must equal the new password when it is given. */
  confirmPassword?: string;
}

@Injectable()
export class AuthService {
  constructor(
    private readonly credentials: CredentialsService,
    private readonly users: UsersService,
    private readonly sessions: SessionsService,
    private readonly pairs: TokenPairs,
    private readonly refreshTokens: RefreshTokens,
    private readonly events: DomainEvents,
  ) {}

  /** @throws InvalidRefreshTokenError */
  async refresh(refreshToken: string, client: ClientInfo): Promise<TokenPair> {
    const presented = this.refreshTokens.read(refreshToken);
    if (!presented) throw new InvalidRefreshTokenError();
    const { userId, ticket } = await this.sessions.refresh(presented, client);
    const account = await this.users.findActive(userId);
    if (!account) throw new InvalidRefreshTokenError();
    return this.pairs.issue(account, ticket);
  }

  /** Ends the caller's session, and the one of the refresh token too if it is the caller's. */
  async logout(caller: Principal, refreshToken: string | undefined): Promise<void> {
    const sessionId = sessionOf(caller);
    await this.sessions.endIfAlive(caller, sessionId);
    const other = refreshToken === undefined ? null : this.refreshTokens.read(refreshToken);
    if (other && other.sessionId !== sessionId) await this.sessions.endIfAlive(caller, other.sessionId);
  }

  /** The caller's session goes on; all others end with the change. @throws WrongPasswordError, WeakPasswordError */
  async changePassword(caller: Principal, change: PasswordChange): Promise<void> {
    if (change.confirmPassword !== undefined && change.confirmPassword !== change.newPassword)
      throw new PasswordsDifferError();
    const hashes = await this.credentials.prepareChange(caller.account, change.currentPassword, change.newPassword);
    await this.sessions.transaction(async (tx) => {
      await this.credentials.replacePassword(tx, caller.id, hashes);
      await this.events.record(tx, new CallerActsEvent(caller));
      await this.sessions.endOthers(tx, caller.id, sessionOf(caller));
      await this.events.record(tx, new PasswordChangedEvent(caller.account, caller.client));
      await this.events.record(tx, AuditEvent.by(caller, 'password.changed', 'user', caller.id));
    });
  }
}
