import { Module } from '@nestjs/common';
import { JwtModule } from '@nestjs/jwt';
import { PassportModule } from '@nestjs/passport';
import { TypeOrmModule } from '@nestjs/typeorm';
import { AppConfig } from '../config/app-config.js';
import { UsersModule } from '../users/users.module.js';
import { AccessEndings } from './access-endings.js';
import { AccessService } from './access.service.js';
import { AuthController } from './auth.controller.js';
import { AuthService } from './auth.service.js';
import { JwtStrategy } from './jwt.strategy.js';
import { CallerIdentityService } from './caller-identity.service.js';
import { ApiKey } from './keys/api-key.entity.js';
import { ApiKeysController } from './keys/api-keys.controller.js';
import { ApiKeysRepository } from './keys/api-keys.repository.js';
import { ApiKeysService } from './keys/api-keys.service.js';
import { Session } from './sessions/session.entity.js';
import { SessionSweeper } from './sessions/session-sweeper.js';
import { SessionsRepository } from './sessions/sessions.repository.js';
import { SessionsService } from './sessions/sessions.service.js';
import { ACCESS_TOKEN_RULES, AccessTokens } from './tokens/access-tokens.js';
import { RefreshTokens } from './tokens/refresh-tokens.js';

const { algorithm, issuer, audience } = ACCESS_TOKEN_RULES;

@Module({
  imports: [
    UsersModule,
    PassportModule,
    TypeOrmModule.forFeature([Session, ApiKey]),
    JwtModule.registerAsync({
      inject: [AppConfig],
      useFactory: ({ tokens }: AppConfig) => ({
        secret: tokens.accessKey,
        signOptions: { algorithm, issuer, audience, expiresIn: tokens.accessTtlSeconds },
        verifyOptions: { algorithms: [algorithm], issuer, audience },
      }),
    }),
  ],
  controllers: [AuthController, ApiKeysController],
  providers: [
    AuthService,
    AccessService,
    ApiKeysRepository,
    ApiKeysService,
    CallerIdentityService,
    AccessEndings,
    AccessTokens,
    RefreshTokens,
    SessionsService,
    SessionsRepository,
    SessionSweeper,
    JwtStrategy,
  ],
  exports: [AccessService, AccessTokens, ApiKeysService, CallerIdentityService, SessionsService],
})
export class AuthModule {}
