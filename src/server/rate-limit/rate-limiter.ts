import { Inject, Injectable } from '@nestjs/common';
import { getOptionsToken, getStorageToken, normalizeIp, type ThrottlerOptions } from '@nestjs/throttler';
import type { FastifyReply } from 'fastify';
import { CallerIdentityService } from '../../auth/caller-identity.service.js';
import { TooManyRequestsError } from '../../common/errors/errors.js';
import { clientAddress } from '../../common/http/client-address.js';
import type { GatehouseRequest } from '../../common/http/request.js';
import { AppConfig } from '../../config/app-config.js';
import { HitCounterStorage } from './hit-counter.storage.js';

export type Throttler = 'credentials' | 'anonymous' | 'user' | 'userHourly' | 'uploads' | 'admin';

/** IPv6 counts by /64, which is what one customer gets. */
const addressKey = (request: GatehouseRequest) => normalizeIp(clientAddress(request));

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
 * The limits of the contract's section 1, on the throttler's definitions and storage. It runs before the body is read and before the
 * access check, for unknown routes too, which is why it is a hook of the server and not the throttler's guard (`docs/adr/0007`): a
 * caller over the limit costs neither bytes nor a query. Whose bucket counts follows from the token's signature; an API key has one of its
 * own, once it has been seen to be good.
 */
@Injectable()
export class RateLimiter {
  private readonly limits: Record<Throttler, { limit: number; ttl: number }>;

  constructor(
    @Inject(getOptionsToken()) options: { throttlers: ThrottlerOptions[] },
    @Inject(getStorageToken()) private readonly storage: HitCounterStorage,
    private readonly callers: CallerIdentityService,
    private readonly config: AppConfig,
  ) {
    this.limits = Object.fromEntries(
      options.throttlers.map(({ name, limit, ttl }) => [name, { limit, ttl }]),
    ) as typeof this.limits;
  }

  /** Counts the request and writes the headers. @throws TooManyRequestsError */
  async count(request: GatehouseRequest, reply: FastifyReply): Promise<void> {
    if (!this.isLimited(request)) return;
    await this.hit(this.countsOf(request), request, reply);
  }

  /**
   * The signature was good but the session is over: such a token must not use up its user's limit, or whoever holds it could
   * lock the user out after the logout. The request counts for its address instead.
   */
  async chargeAddress(request: GatehouseRequest, reply: FastifyReply): Promise<void> {
    const counts = this.countsOf(request);
    const isCountedByAddress = counts.some(({ throttler }) => throttler === 'credentials' || throttler === 'anonymous');
    if (isCountedByAddress || !this.isLimited(request)) return;
    await Promise.all(counts.map(({ throttler, key }) => this.storage.refund(key, throttler)));
    await this.hit([{ throttler: 'anonymous', key: addressKey(request) }], request, reply);
  }

  private isLimited(request: GatehouseRequest): boolean {
    return this.config.rateLimits.isEnabled && request.routeOptions.config.rateLimit !== 'none';
  }

  private countsOf(request: GatehouseRequest): Count[] {
    const group = request.routeOptions.config.rateLimit;
    if (group === 'credentials' || group === 'anonymous') return [{ throttler: group, key: addressKey(request) }];
    const payer = this.callers.countedFor(request);
    if (!payer) return [{ throttler: 'anonymous', key: addressKey(request) }];
    const { bucket, userId } = payer;
    if (group === 'admin') return [{ throttler: 'admin', key: bucket }];
    const general: Count[] = [
      { throttler: 'user', key: bucket },
      { throttler: 'userHourly', key: bucket },
    ];
    // Files are the user's, by whatever key they come.
    return group === 'uploads' ? [{ throttler: 'uploads', key: userId }, ...general] : general;
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
