import { type ExecutionContext, Inject, Injectable } from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import {
  getOptionsToken,
  getStorageToken,
  ThrottlerGuard,
  type ThrottlerModuleOptions,
  type ThrottlerOptions,
} from '@nestjs/throttler';
import type { FastifyReply } from 'fastify';
import { AccessTokens } from '../../auth/tokens/access-tokens.js';
import { TooManyRequestsError } from '../../common/errors/errors.js';
import type { GatehouseRequest } from '../../common/http/request.js';
import { AppConfig } from '../../config/app-config.js';
import { FixedWindowStorage } from './fixed-window.storage.js';

export type Throttler = 'credentials' | 'anonymous' | 'user' | 'userHourly' | 'uploads' | 'admin';

interface Count {
  readonly throttler: Throttler;
  readonly key: string;
}

interface Standing {
  readonly limit: number;
  readonly remaining: number;
  /** Seconds. */
  readonly timeLeft: number;
  readonly isExceeded: boolean;
}

const MESSAGE = 'Too many requests. Please try again later.';

/**
 * The limits of the contract's section 1. It runs before the access check, so that a caller over the limit costs no query: whose
 * bucket counts follows from the token's signature. The error filter counts what never reaches a guard (unknown routes, bodies
 * that cannot be read), so that every answer carries the headers.
 */
@Injectable()
export class RateLimitGuard extends ThrottlerGuard {
  private limits!: Record<Throttler, { limit: number; ttl: number }>;

  constructor(
    @Inject(getOptionsToken()) options: ThrottlerModuleOptions,
    @Inject(getStorageToken()) private readonly storage: FixedWindowStorage,
    reflector: Reflector,
    private readonly tokens: AccessTokens,
    private readonly config: AppConfig,
  ) {
    super(options, storage, reflector);
  }

  override async onModuleInit(): Promise<void> {
    await super.onModuleInit();
    const named = (this.throttlers as (ThrottlerOptions & { limit: number; ttl: number })[]).map(
      ({ name, limit, ttl }) => [name, { limit, ttl }],
    );
    this.limits = Object.fromEntries(named) as typeof this.limits;
  }

  override async canActivate(context: ExecutionContext): Promise<boolean> {
    if (context.getType() !== 'http') return true;
    const http = context.switchToHttp();
    await this.count(http.getRequest(), http.getResponse());
    return true;
  }

  /** Counts the request once and writes the headers. @throws TooManyRequestsError */
  async count(request: GatehouseRequest, reply: FastifyReply): Promise<void> {
    const group = request.routeOptions.config.rateLimit;
    if (request.isRateCounted || group === 'none' || !this.config.rateLimits.isEnabled) return;
    request.isRateCounted = true;
    await this.hit(await this.countsOf(request), request, reply);
  }

  /**
   * The signature was good but the session is over: such a token must not use up its user's limit, or whoever holds it could
   * lock the user out after the logout. The request counts for its address instead.
   */
  async chargeAddress(request: GatehouseRequest, reply: FastifyReply): Promise<void> {
    if (!request.isRateCounted || !request.accessClaims || request.routeOptions.config.rateLimit === 'credentials')
      return;
    for (const { throttler, key } of await this.countsOf(request)) await this.storage.refund(key, throttler);
    await this.hit([{ throttler: 'anonymous', key: await this.getTracker(request) }], request, reply);
  }

  private async countsOf(request: GatehouseRequest): Promise<Count[]> {
    const group = request.routeOptions.config.rateLimit;
    if (group === 'credentials') return [{ throttler: 'credentials', key: await this.getTracker(request) }];
    const user = this.tokens.claimsOf(request)?.sub;
    if (!user) return [{ throttler: 'anonymous', key: await this.getTracker(request) }];
    if (group === 'admin') return [{ throttler: 'admin', key: user }];
    const general: Count[] = [
      { throttler: 'user', key: user },
      { throttler: 'userHourly', key: user },
    ];
    return group === 'uploads' ? [{ throttler: 'uploads', key: user }, ...general] : general;
  }

  /** Stops at the first limit that is exceeded, so that refused requests do not use up the longer windows. */
  private async hit(counts: readonly Count[], request: GatehouseRequest, reply: FastifyReply): Promise<void> {
    let nearest: Standing | null = null;
    for (const count of counts) {
      const standing = await this.increment(count);
      if (standing.isExceeded) {
        this.writeHeaders(reply, standing);
        const retryAfter = Math.max(1, Math.ceil(standing.timeLeft));
        reply.header('X-RateLimit-Retry-After', retryAfter);
        throw new TooManyRequestsError(request.routeOptions.config.rateLimitMessage ?? MESSAGE, retryAfter);
      }
      if (!nearest || standing.remaining < nearest.remaining) nearest = standing;
    }
    if (nearest) this.writeHeaders(reply, nearest);
  }

  private async increment({ throttler, key }: Count): Promise<Standing> {
    const { limit, ttl } = this.limits[throttler];
    const record = await this.storage.increment(key, ttl, limit, ttl, throttler);
    return {
      limit,
      remaining: Math.max(0, limit - record.totalHits),
      timeLeft: record.timeToExpire,
      isExceeded: record.isBlocked,
    };
  }

  private writeHeaders(reply: FastifyReply, { limit, remaining, timeLeft }: Standing): void {
    reply.header('X-RateLimit-Limit', limit);
    reply.header('X-RateLimit-Remaining', remaining);
    reply.header('X-RateLimit-Reset', Math.ceil(Date.now() / 1000 + timeLeft));
  }
}
