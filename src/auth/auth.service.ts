import { Injectable } from '@nestjs/common';
import { type Account, type Principal, sessionOf } from '../common/auth/principal.js';
import { PasswordsDifferError } from '../common/errors/rule-error.js';
import { AuditEvent } from '../common/events/audit-event.js';
import { DomainEvents } from '../common/events/domain-events.js';
import type { ClientInfo } from '../common/http/client-info.js';
import { CredentialsService, type VerifiedCredentials } from '../users/credentials.service.js';
import { AccountLockedError } from '../users/users.errors.js';
import { PasswordChangedEvent } from '../users/users.events.js';
import { UsersService } from '../users/users.service.js';
import { AccountDisabledError, InvalidRefreshTokenError, LoginFailedError } from './auth.errors.js';
import { SessionsService } from './sessions/sessions.service.js';
import { AccessTokens } from './tokens/access-tokens.js';
import { type RefreshTicket, RefreshTokens } from './tokens/refresh-tokens.js';

export interface TokenPair {
  readonly accessToken: string;
  readonly refreshToken: string;
  readonly expiresInSeconds: number;
}

export interface PasswordChange {
  currentPassword: string;
  newPassword: string;
  /** Must equal the new password when it is given. */
  confirmPassword?: string;
}

type LoginFailure = 'unknown_user' | 'wrong_password' | 'locked' | 'disabled' | 'wrong_code';

@Injectable()
export class AuthService {
  constructor(
    private readonly credentials: CredentialsService,
    private readonly users: UsersService,
    private readonly sessions: SessionsService,
    private readonly accessTokens: AccessTokens,
    private readonly refreshTokens: RefreshTokens,
    private readonly events: DomainEvents,
  ) {}

  /** @throws LoginFailedError, AccountDisabledError, AccountLockedError */
  async login(name: string, password: string, client: ClientInfo): Promise<TokenPair & { account: Account }> {
    const candidate = await this.credentials.find(name);
    const userId = candidate.user?.id ?? null;
    const verified = await this.credentials.verify(candidate, password).catch(async (error: unknown) => {
      if (error instanceof AccountLockedError) await this.recordFailure(userId, 'locked', client);
      throw error;
    });
    if (!verified) {
      await this.recordFailure(userId, userId ? 'wrong_password' : 'unknown_user', client);
      throw new LoginFailedError();
    }
    if (!verified.account.isActive) {
      await this.recordFailure(userId, 'disabled', client);
      throw new AccountDisabledError();
    }
    return this.signIn(verified, client);
  }

  private async signIn(verified: VerifiedCredentials, client: ClientInfo): Promise<TokenPair & { account: Account }> {
    const { id } = verified.account;
    const signedIn = await this.sessions.transaction(async (tx) => {
      const account = await this.credentials.recordLogin(tx, verified);
      if (!account) throw new LoginFailedError();
      const ticket = await this.sessions.start(tx, id, client);
      const target = { targetType: 'session', targetId: ticket.sessionId } as const;
      const event = new AuditEvent('login.succeeded', { actorId: id, origin: client, ...target });
      await this.events.record(tx, event);
      return { account, ticket, event };
    });
    this.events.emit(signedIn.event);
    return { account: signedIn.account, ...this.pair(signedIn.account, signedIn.ticket) };
  }

  /** The name is not kept: people type their password there. */
  private async recordFailure(userId: string | null, reason: LoginFailure, client: ClientInfo): Promise<void> {
    const event = new AuditEvent('login.failed', {
      actorId: null,
      origin: client,
      targetType: userId === null ? null : 'user',
      targetId: userId,
      details: { reason },
    });
    await this.sessions.transaction((tx) => this.events.record(tx, event));
    this.events.emit(event);
  }

  /** @throws InvalidRefreshTokenError */
  async refresh(refreshToken: string, client: ClientInfo): Promise<TokenPair> {
    const presented = this.refreshTokens.read(refreshToken);
    if (!presented) throw new InvalidRefreshTokenError();
    const { userId, ticket } = await this.sessions.refresh(presented, client);
    const account = await this.users.findActive(userId);
    if (!account) throw new InvalidRefreshTokenError();
    return this.pair(account, ticket);
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
      await this.sessions.endOthers(tx, caller.id, sessionOf(caller));
      await this.events.record(tx, new PasswordChangedEvent(caller.account, caller.client));
      await this.events.record(tx, AuditEvent.by(caller, 'password.changed', 'user', caller.id));
    });
  }

  private pair(account: Account, ticket: RefreshTicket): TokenPair {
    return {
      accessToken: this.accessTokens.issue(account, ticket.sessionId),
      refreshToken: this.refreshTokens.issue(ticket),
      expiresInSeconds: this.accessTokens.ttlSeconds,
    };
  }
}
