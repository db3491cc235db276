import { type CanActivate, type ExecutionContext, Injectable } from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import { policyOf } from '../../common/auth/access.decorator.js';
import { carrierOf } from '../../common/auth/caller.js';
import { awaitsSecondFactor } from '../../common/auth/principal.js';
import { ForbiddenError, SecondFactorRequiredError } from '../../common/errors/errors.js';

/** After the access guard: of those whom it knows, lets in the holders of the roles that the route asks for. */
@Injectable()
export class RolesGuard implements CanActivate {
  constructor(private readonly reflector: Reflector) {}

  canActivate(context: ExecutionContext): boolean {
    const policy = policyOf(this.reflector, context);
    if (policy?.kind !== 'roles') return true;
    const { principal } = carrierOf(context);
    if (principal && policy.roles.includes(principal.role)) return true;
    throw principal && awaitsSecondFactor(principal) ? new SecondFactorRequiredError() : new ForbiddenError();
  }
}
