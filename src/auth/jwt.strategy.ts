import { Injectable } from '@nestjs/common';
import { PassportStrategy } from '@nestjs/passport';
import { ExtractJwt, Strategy } from 'passport-jwt';
import type { AccessClaims } from '../common/auth/access-claims.js';
import type { Principal } from '../common/auth/principal.js';
import { InvalidCredentialsError } from '../common/errors/errors.js';
import { clientOf } from '../common/http/client-info.js';
import type { GatehouseRequest } from '../common/http/request.js';
import { AppConfig } from '../config/app-config.js';
import { AccessService } from './access.service.js';
import { ACCESS_TOKEN_RULES } from './tokens/access-tokens.js';

/**
 * The Passport strategy `jwt`, for modules that use `AuthGuard('jwt')`. Our own routes go through `AccessGuard`, which keeps the
 * same rules (key, algorithm, issuer, audience, live session) without Passport's cost for each request (`docs/adr/0005`).
 */
@Injectable()
export class JwtStrategy extends PassportStrategy(Strategy, 'jwt') {
  constructor(
    config: AppConfig,
    private readonly access: AccessService,
  ) {
    super({
      jwtFromRequest: ExtractJwt.fromAuthHeaderAsBearerToken(),
      // jsonwebtoken takes a KeyObject; the typings of passport-jwt are older than that.
      secretOrKey: config.tokens.accessKey as unknown as Buffer,
      algorithms: [ACCESS_TOKEN_RULES.algorithm],
      issuer: ACCESS_TOKEN_RULES.issuer,
      audience: ACCESS_TOKEN_RULES.audience,
      passReqToCallback: true,
    });
  }

  async validate(request: GatehouseRequest, claims: AccessClaims): Promise<Principal> {
    const principal = await this.access.principalOf(claims, clientOf(request));
    if (!principal) throw new InvalidCredentialsError();
    return principal;
  }
}
