import { type CanActivate, type ExecutionContext, Injectable } from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import { policyOf } from '../../common/auth/access.decorator.js';
import type { Principal } from '../../common/auth/principal.js';
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
    const request = context.switchToHttp().getRequest<GatehouseRequest>();
    const principal = await this.identify(request);
    if (principal) request.principal = principal;
    else if (policy.kind !== 'optional')
      throw hasCredentials(request) ? new InvalidCredentialsError() : new NotAuthenticatedError();
    return true;
  }

  private async identify(request: GatehouseRequest): Promise<Principal | null> {
    const claims = this.tokens.claimsOf(request);
    return claims && this.access.principalOf(claims);
  }
}
