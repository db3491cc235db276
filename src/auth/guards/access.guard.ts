import { type CanActivate, type ExecutionContext, Injectable } from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import { type AccessPolicy, policyOf } from '../../common/auth/access.decorator.js';
import { carrierOf, isSocketEvent } from '../../common/auth/caller.js';
import type { Principal } from '../../common/auth/principal.js';
import {
  ForbiddenError,
  InsufficientScopeError,
  InvalidCredentialsError,
  NotAuthenticatedError,
} from '../../common/errors/errors.js';
import type { GatehouseRequest } from '../../common/http/request.js';
import { CallerIdentityService } from '../caller-identity.service.js';
import { hasCredentials } from '../tokens/access-tokens.js';

/** Lets in who the route's policy names and makes the caller known. Default deny: a route without a policy lets nobody in. */
@Injectable()
export class AccessGuard implements CanActivate {
  constructor(
    private readonly reflector: Reflector,
    private readonly callers: CallerIdentityService,
  ) {}

  async canActivate(context: ExecutionContext): Promise<boolean> {
    const policy = policyOf(this.reflector, context);
    if (!policy) throw new ForbiddenError();
    if (policy.kind === 'public') return true;
    const principal = await this.identify(context);
    if (principal) carrierOf(context).principal = principal;
    else if (policy.kind !== 'optional')
      throw hasTried(context) ? new InvalidCredentialsError() : new NotAuthenticatedError();
    if (principal?.apiKey && !isInScope(policy, principal.apiKey)) throw new InsufficientScopeError();
    return true;
  }

  /** A socket has shown its credentials when it connected; a request shows them each time. */
  private identify(context: ExecutionContext): Promise<Principal | null> {
    if (!isSocketEvent(context)) return this.callers.ofRequest(context.switchToHttp().getRequest<GatehouseRequest>());
    const { accessClaims, principal } = carrierOf(context);
    return principal ? this.callers.ofClaims(accessClaims ?? null, principal.client) : Promise.resolve(null);
  }
}

const hasTried = (context: ExecutionContext): boolean =>
  isSocketEvent(context) || hasCredentials(context.switchToHttp().getRequest<GatehouseRequest>());

function isInScope(policy: AccessPolicy, { scopes }: NonNullable<Principal['apiKey']>): boolean {
  if (policy.kind === 'roles') return policy.takesKeys && scopes.has('admin');
  if (policy.kind !== 'authenticated' || policy.scope === 'any') return true;
  return policy.scope !== null && scopes.has(policy.scope);
}
