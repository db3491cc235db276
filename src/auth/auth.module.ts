import { Module } from '@nestjs/common';
import { JwtModule } from '@nestjs/jwt';
import { PassportModule } from '@nestjs/passport';
import { TypeOrmModule } from '@nestjs/typeorm';
import { AppConfig } from '../config/app-config.js';
import { MailModule } from '../mail/mail.module.js';
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
import { LoginService } from './login.service.js';
import { AccessReclaimService } from './mail-flows/access-reclaim.service.js';
import { AccountNoticesService } from './mail-flows/account-notices.service.js';
import { EmailChangeUndoService } from './mail-flows/email-change-undo.service.js';
import { EmailChangesRepository } from './mail-flows/email-changes.repository.js';
import { EmailChangesService } from './mail-flows/email-changes.service.js';
import { EmailVerificationService } from './mail-flows/email-verification.service.js';
import { MailFlowsController } from './mail-flows/mail-flows.controller.js';
import { MailFlowsSweeper } from './mail-flows/mail-flows-sweeper.js';
import { OneTimeTokensRepository } from './mail-flows/one-time-tokens.repository.js';
import { OneTimeTokensService } from './mail-flows/one-time-tokens.service.js';
import { PasswordResetMailsService } from './mail-flows/password-reset-mails.service.js';
import { PasswordResetService } from './mail-flows/password-reset.service.js';
import { LoginTokens } from './mfa/login-tokens.js';
import { MfaAdminController } from './mfa/mfa-admin.controller.js';
import { MfaController } from './mfa/mfa.controller.js';
import { MfaService } from './mfa/mfa.service.js';
import { RecoveryCodes } from './mfa/recovery-codes.js';
import { SecondFactorsRepository } from './mfa/second-factors.repository.js';
import { SecondFactorsService } from './mfa/second-factors.service.js';
import { SecondStepService } from './mfa/second-step.service.js';
import { Totp } from './mfa/totp.js';
import { Session } from './sessions/session.entity.js';
import { SessionSweeper } from './sessions/session-sweeper.js';
import { SessionsRepository } from './sessions/sessions.repository.js';
import { SessionsService } from './sessions/sessions.service.js';
import { StandingCheck } from './standing-check.js';
import { ACCESS_TOKEN_RULES, AccessTokens } from './tokens/access-tokens.js';
import { RefreshTokens } from './tokens/refresh-tokens.js';
import { TokenPairs } from './tokens/token-pairs.js';

const { algorithm, issuer, audience } = ACCESS_TOKEN_RULES;

@Module({
  imports: [
    UsersModule,
    MailModule,
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
  controllers: [AuthController, ApiKeysController, MfaController, MfaAdminController, MailFlowsController],
  providers: [
    AuthService,
    AccessService,
    ApiKeysRepository,
    ApiKeysService,
    CallerIdentityService,
    AccessEndings,
    StandingCheck,
    LoginService,
    LoginTokens,
    MfaService,
    RecoveryCodes,
    SecondFactorsRepository,
    SecondFactorsService,
    SecondStepService,
    Totp,
    AccessReclaimService,
    AccountNoticesService,
    EmailChangeUndoService,
    EmailChangesRepository,
    EmailChangesService,
    EmailVerificationService,
    MailFlowsSweeper,
    OneTimeTokensRepository,
    OneTimeTokensService,
    PasswordResetMailsService,
    PasswordResetService,
    AccessTokens,
    RefreshTokens,
    TokenPairs,
    SessionsService,
    SessionsRepository,
    SessionSweeper,
    JwtStrategy,
  ],
  exports: [AccessService, AccessTokens, ApiKeysService, CallerIdentityService, SecondFactorsService, SessionsService],
})
export class AuthModule {}
