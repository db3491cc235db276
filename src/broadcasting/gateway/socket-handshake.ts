import proxyAddr from '@fastify/proxy-addr';
import { Injectable } from '@nestjs/common';
import { normalizeIp } from '@nestjs/throttler';
import type { Socket } from 'socket.io';
import { CallerIdentityService } from '../../auth/caller-identity.service.js';
import type { AccessClaims } from '../../common/auth/access-claims.js';
import type { Principal } from '../../common/auth/principal.js';
import {
  InsufficientScopeError,
  InvalidCredentialsError,
  NotAuthenticatedError,
  TooManyRequestsError,
} from '../../common/errors/errors.js';
import { type ClientInfo, userAgentOf } from '../../common/http/client-info.js';
import { retryAfterSeconds } from '../../common/limits/fixed-window.js';
import { type HitCounter, HitCounters } from '../../common/limits/hit-counters.js';
import { AppConfig } from '../../config/app-config.js';
import { type TrustRule, trustRule } from '../../config/trusted-proxies.js';
import { AccessChanges } from '../connections/access-changes.js';
import { LiveConnections } from '../connections/live-connections.js';
import type { SocketData } from './socket-connection.js';

/** Who may connect: whoever shows a token or an API key, in `auth.token` or a header, never in the URL. */
@Injectable()
export class SocketHandshake {
  private readonly refusals: HitCounter;
  private readonly trust: TrustRule;

  constructor(
    private readonly callers: CallerIdentityService,
    private readonly connections: LiveConnections,
    private readonly accessChanges: AccessChanges,
    private readonly config: AppConfig,
    counters: HitCounters,
  ) {
    this.refusals = counters.counter('refusals', config.rateLimits.anonymous.seconds * 1000);
    this.trust = trustRule(config.http.trustedProxies);
  }

  /** @throws NotAuthenticatedError, InvalidCredentialsError, TooManyConnectionsError, TooManyRequestsError */
  async admit(socket: Socket): Promise<void> {
    const address = proxyAddr(socket.request, this.trust);
    Object.assign(socket.data as object, { address });
    const token = tokenOf(socket);
    const accessMark = this.accessChanges.mark();
    const identity = await this.identify(token, clientOf(socket, address));
    if (!identity) {
      await this.countRefusal(address);
      throw token === null ? new NotAuthenticatedError() : new InvalidCredentialsError();
    }
    const givePlaceBack = this.connections.reserve(identity.principal.id);
    const data: Omit<SocketData, 'connection' | 'address'> = { ...identity, accessMark, givePlaceBack };
    Object.assign(socket.data as object, data);
  }

  /** What an open socket's user shows next, of whatever session. @throws InvalidCredentialsError, InsufficientScopeError */
  async renew(
    present: Principal,
    token: string,
  ): Promise<{ accessClaims: AccessClaims; principal: Principal; mark: number }> {
    const mark = this.accessChanges.mark();
    const identity = await this.identify(token, present.client);
    if (identity?.principal.id !== present.id) throw new InvalidCredentialsError();
    // What is subscribed to would go on.
    if (mayRead(present) && !mayRead(identity.principal)) throw new InsufficientScopeError();
    return { ...identity, mark };
  }

  private async identify(
    token: string | null,
    client: ClientInfo,
  ): Promise<{ accessClaims: AccessClaims; principal: Principal } | null> {
    const identity = token === null ? null : await this.callers.of(token, client);
    return identity && { accessClaims: identity.claims, principal: identity.principal };
  }

  /** As for requests without a valid token: so many an address. Nobody with a good one is kept out by others at the same address. */
  private async countRefusal(address: string): Promise<void> {
    const { isEnabled, anonymous } = this.config.rateLimits;
    const standing = await this.refusals.hit(normalizeIp(address));
    if (isEnabled && standing.hits > anonymous.count)
      throw new TooManyRequestsError('Too many requests. Please try again later.', retryAfterSeconds(standing));
  }
}

const mayRead = ({ apiKey }: Principal): boolean => !apiKey || apiKey.scopes.has('broadcast:read');

function clientOf({ handshake }: Socket, ipAddress: string): ClientInfo {
  return { ipAddress, userAgent: userAgentOf(handshake.headers), requestId: null };
}

function tokenOf({ handshake }: Socket): string | null {
  const { token } = handshake.auth as { token?: unknown };
  if (typeof token === 'string' && token !== '') return token.replace(/^bearer /i, '');
  const { authorization = '', 'x-api-key': key } = handshake.headers;
  if (/^bearer ./i.test(authorization)) return authorization.slice(7).trim();
  return typeof key === 'string' && key !== '' ? key : null;
}
