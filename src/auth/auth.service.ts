import { Injectable } from '@nestjs/common';
import type { Account, Principal } from '../common/auth/principal.js';
import { PasswordsDifferError } from '../common/errors/rule-error.js';
import type { ClientInfo } from '../common/http/client-info.js';
import { CredentialsService } from '../users/credentials.service.js';
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

@Injectable()
export class AuthService {
  constructor(
    private readonly credentials: CredentialsService,
    private readonly users: UsersService,
    private readonly sessions: SessionsService,
    private readonly accessTokens: AccessTokens,
    private readonly refreshTokens: RefreshTokens,
  ) {}

  /** @throws LoginFailedError, AccountDisabledError, AccountLockedError */
  async login(name: string, password: string, client: ClientInfo): Promise<TokenPair & { account: Account }> {
    const verified = await this.credentials.verify(name, password);
    if (!verified) throw new LoginFailedError();
    if (!verified.account.isActive) throw new AccountDisabledError();
    return this.sessions.transaction(async (tx) => {
      const account = await this.credentials.recordLogin(tx, verified);
      if (!account) throw new LoginFailedError();
      return { account, ...this.pair(account, await this.sessions.start(tx, account.id, client)) };
    });
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
    await this.sessions.endIfAlive(caller.id, caller.sessionId);
    const other = refreshToken === undefined ? null : this.refreshTokens.read(refreshToken);
    if (other && other.sessionId !== caller.sessionId) await this.sessions.endIfAlive(caller.id, other.sessionId);
  }

  /** The caller's session goes on; all others end with the change. @throws WrongPasswordError, WeakPasswordError */
  async changePassword(caller: Principal, change: PasswordChange): Promise<void> {
    if (change.confirmPassword !== undefined && change.confirmPassword !== change.newPassword)
      throw new PasswordsDifferError();
    const hashes = await this.credentials.prepareChange(caller.account, change.currentPassword, change.newPassword);
    await this.sessions.transaction(async (tx) => {
      await this.credentials.replacePassword(tx, caller.id, hashes);
      await this.sessions.endOthers(tx, caller.id, caller.sessionId);
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
