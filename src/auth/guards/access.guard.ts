import { type CanActivate, type ExecutionContext, Injectable } from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import { policyOf } from '../../common/auth/access.decorator.js';
import type { AccessClaims } from '../../common/auth/access-claims.js';
import { carrierOf, isSocketEvent } from '../../common/auth/caller.js';
import { ForbiddenError, InvalidCredentialsError, NotAuthenticatedError } from '../../common/errors/errors.js';
import type { GatehouseRequest } from '../../common/http/request.js';
import { AccessService } from '../access.service.js';
import { AccessTokens, hasCredentials } from '../tokens/access-tokens.js';

/** Lets in who the route's policy names and makes the caller known. Default deny: a route without a policy lets nobody in. */
@Injectable()
export class AccessGuard implements CanActivate {
  constructor(
    private readonly reflector: Reflector,
    private readonly tokens: AccessTokens,
    private readonly access: AccessService,
  ) {}

  async canActivate(context: ExecutionContext): Promise<boolean> {
    const policy = policyOf(this.reflector, context);
    if (!policy) throw new ForbiddenError();
    if (policy.kind === 'public') return true;
    const carrier = carrierOf(context);
    const claims = this.claimsOf(context);
    const principal = claims && (await this.access.principalOf(claims));
    if (principal) carrier.principal = principal;
    else if (policy.kind !== 'optional')
      throw hasTried(context) ? new InvalidCredentialsError() : new NotAuthenticatedError();
    return true;
  }

  /** A socket has shown its token when it connected; a request shows it each time. */
  private claimsOf(context: ExecutionContext): AccessClaims | null {
    return isSocketEvent(context)
      ? (carrierOf(context).accessClaims ?? null)
      : this.tokens.claimsOf(context.switchToHttp().getRequest<GatehouseRequest>());
  }
}

const hasTried = (context: ExecutionContext): boolean =>
  isSocketEvent(context) || hasCredentials(context.switchToHttp().getRequest<GatehouseRequest>());
