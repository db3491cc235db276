import { applyDecorators, type ExecutionContext, SetMetadata } from '@nestjs/common';
import type { Reflector } from '@nestjs/core';
import { ApiBearerAuth, ApiExtension, ApiOAuth2, ApiSecurity } from '@nestjs/swagger';
import type { Role } from './role.js';

/**
 * Who may call a route. A route without a policy is refused (default deny), and a test lists it.
 * - `public`: everybody; credentials are not looked at.
 * - `optional`: everybody; a valid token makes the caller known, a bad one is as good as none.
 * - `authenticated`: a live session.
 * - `roles`: a live session of a holder of one of the roles.
 */
export type AccessPolicy =
  | { readonly kind: 'public' }
  | { readonly kind: 'optional' }
  | { readonly kind: 'authenticated' }
  | { readonly kind: 'roles'; readonly roles: readonly Role[] };

export const ACCESS_POLICY = 'gatehouse:access-policy';
export const ACCESS_EXTENSION = 'x-access';

/** The names under which Swagger UI's "Authorize" offers the three ways to sign in. */
export const SECURITY_SCHEMES = { password: 'password', bearer: 'bearer', apiKey: 'apiKey' } as const;

/** The policy of the route in question: its own, or its controller's. */
export const policyOf = (reflector: Reflector, context: ExecutionContext): AccessPolicy | undefined =>
  reflector.getAllAndOverride<AccessPolicy | undefined>(ACCESS_POLICY, [context.getHandler(), context.getClass()]);

const policy = (access: AccessPolicy) => SetMetadata(ACCESS_POLICY, access);

const needsCredentials = () =>
  applyDecorators(
    ApiOAuth2([], SECURITY_SCHEMES.password),
    ApiBearerAuth(SECURITY_SCHEMES.bearer),
    ApiSecurity(SECURITY_SCHEMES.apiKey),
  );

export const Public = () => applyDecorators(policy({ kind: 'public' }), ApiExtension(ACCESS_EXTENSION, 'public'));

export const OptionallyAuthenticated = () =>
  applyDecorators(policy({ kind: 'optional' }), ApiExtension(ACCESS_EXTENSION, 'optional'));

export const Authenticated = () =>
  applyDecorators(
    policy({ kind: 'authenticated' }),
    ApiExtension(ACCESS_EXTENSION, 'authenticated'),
    needsCredentials(),
  );

export const Roles = (...roles: Role[]) =>
  applyDecorators(
    policy({ kind: 'roles', roles }),
    ApiExtension(ACCESS_EXTENSION, roles.join(',')),
    needsCredentials(),
  );
