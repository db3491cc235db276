import { Injectable } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import type { Account } from '../common/auth/principal.js';
import { AuditEvent } from '../common/events/audit-event.js';
import { DomainEvents } from '../common/events/domain-events.js';
import type { ClientInfo } from '../common/http/client-info.js';
import { CredentialsService, type VerifiedCredentials } from '../users/credentials.service.js';
import { AccountLockedError } from '../users/users.errors.js';
import { AccountDisabledError, LoginFailedError } from './auth.errors.js';
import { LoginTokens } from './mfa/login-tokens.js';
import type { Proof } from './mfa/proof.js';
import { SessionsService } from './sessions/sessions.service.js';
import { type TokenPair, TokenPairs } from './tokens/token-pairs.js';

export interface SignedIn {
  readonly account: Account;
  readonly tokens: TokenPair;
}

/** The password was right, and a code is asked for. There is no session yet. */
export interface PendingLogin {
  readonly loginToken: string;
  readonly expiresInSeconds: number;
}

/** What a login shows after the password. */
export interface SecondStep {
  readonly kind: Proof['kind'];
  /** In the transaction that makes the session; throws when it is not good. */
  take(tx: EntityManager): Promise<void>;
}

export type LoginFailure = 'unknown_user' | 'wrong_password' | 'locked' | 'disabled' | 'wrong_code';

@Injectable()
export class LoginService {
  constructor(
    private readonly credentials: CredentialsService,
    private readonly sessions: SessionsService,
    private readonly pairs: TokenPairs,
    private readonly loginTokens: LoginTokens,
    private readonly events: DomainEvents,
  ) {}

  /** @throws LoginFailedError, AccountDisabledError, AccountLockedError */
  async login(name: string, password: string, client: ClientInfo): Promise<SignedIn | PendingLogin> {
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
    await this.refuseDisabled(verified.account, client);
    if (verified.account.hasSecondFactor)
      return { loginToken: this.loginTokens.issue(verified), expiresInSeconds: this.loginTokens.ttlSeconds };
    return this.signIn(verified, client);
  }

  /** @throws LoginFailedError when the account is no longer what was verified, and what the second step throws */
  async signIn(
    verified: VerifiedCredentials,
    client: ClientInfo,
    secondStep: SecondStep | null = null,
  ): Promise<SignedIn> {
    const { id } = verified.account;
    const { account, ticket, event } = await this.sessions.transaction(async (tx) => {
      const account = await this.credentials.recordLogin(tx, verified);
      if (!account) throw new LoginFailedError();
      await secondStep?.take(tx);
      const ticket = await this.sessions.start(tx, id, client);
      const facts = { actorId: id, origin: client, targetType: 'user', targetId: id } as const;
      if (secondStep?.kind === 'recovery_code')
        await this.events.record(tx, new AuditEvent('mfa.recovery_code_used', facts));
      const event = new AuditEvent('login.succeeded', {
        ...facts,
        details: { session_id: ticket.sessionId, ...(secondStep && { second_factor: secondStep.kind }) },
      });
      await this.events.record(tx, event);
      return { account, ticket, event };
    });
    this.events.emit(event);
    return { account, tokens: this.pairs.issue(account, ticket) };
  }

  /** To be called when the password was right, and not before. @throws AccountDisabledError */
  async refuseDisabled({ id, isActive }: Account, client: ClientInfo): Promise<void> {
    if (isActive) return;
    await this.recordFailure(id, 'disabled', client);
    throw new AccountDisabledError();
  }

  /** The name is not kept: people type their password there. */
  async recordFailure(userId: string | null, reason: LoginFailure, client: ClientInfo): Promise<void> {
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
}
