import { applyDecorators, type ExecutionContext, SetMetadata } from '@nestjs/common';
import type { Reflector } from '@nestjs/core';
import { ApiExtension } from '@nestjs/swagger';
import type { Role } from './role.js';
import type { Scope } from './scope.js';

/**
 * Who may call a route. A route without a policy is refused (default deny), and a test lists it.
 * - `public`: everybody; credentials are not looked at.
 * - `optional`: everybody; valid credentials make the caller known, bad ones are as good as none.
 * - `authenticated`: a live session, or an API key with the scope; with the scope `null`, no key; with `any`, any key.
 * - `roles`: the same of a holder of one of the roles; a key needs the scope `admin`, where keys are taken at all.
 */
export type AccessPolicy =
  | { readonly kind: 'public' }
  | { readonly kind: 'optional' }
  | { readonly kind: 'authenticated'; readonly scope: Scope | 'any' | null }
  | { readonly kind: 'roles'; readonly roles: readonly Role[]; readonly takesKeys: boolean };

export const ACCESS_POLICY = 'gatehouse:access-policy';
export const ACCESS_EXTENSION = 'x-access';
/** The scope that an API key needs. */
export const SCOPE_EXTENSION = 'x-scope';

/** The names under which Swagger UI's "Authorize" offers the three ways to sign in. */
export const SECURITY_SCHEMES = { password: 'password', bearer: 'bearer', apiKey: 'apiKey' } as const;

/** The policy of the route in question: its own, or its controller's. */
export const policyOf = (reflector: Reflector, context: ExecutionContext): AccessPolicy | undefined =>
  reflector.getAllAndOverride<AccessPolicy | undefined>(ACCESS_POLICY, [context.getHandler(), context.getClass()]);

const policy = (access: AccessPolicy) => SetMetadata(ACCESS_POLICY, access);

export const Public = () => applyDecorators(policy({ kind: 'public' }), ApiExtension(ACCESS_EXTENSION, 'public'));

export const OptionallyAuthenticated = () =>
  applyDecorators(policy({ kind: 'optional' }), ApiExtension(ACCESS_EXTENSION, 'optional'));

/** For signed-in users, and for API keys with the scope. */
export const Authenticated = (scope: Scope | 'any') =>
  applyDecorators(
    policy({ kind: 'authenticated', scope }),
    ApiExtension(ACCESS_EXTENSION, 'authenticated'),
    ApiExtension(SCOPE_EXTENSION, scope),
  );

/**
 * For signed-in users, of the roles if any are named; no API key, whatever its scopes: passwords, sessions, keys and second factors are
 * changed by people.
 */
export const SessionOnly = (...roles: Role[]) =>
  applyDecorators(
    policy(roles.length ? { kind: 'roles', roles, takesKeys: false } : { kind: 'authenticated', scope: null }),
    ApiExtension(ACCESS_EXTENSION, roles.join(',') || 'authenticated'),
  );

export const Roles = (...roles: Role[]) =>
  applyDecorators(
    policy({ kind: 'roles', roles, takesKeys: true }),
    ApiExtension(ACCESS_EXTENSION, roles.join(',')),
    ApiExtension(SCOPE_EXTENSION, 'admin'),
  );
