import { type DynamicModule, Module } from '@nestjs/common';
import { APP_FILTER, APP_GUARD, APP_PIPE, RouterModule } from '@nestjs/core';
import { AdminModule } from './admin/admin.module.js';
import { AuditModule } from './audit/audit.module.js';
import { AuthModule } from './auth/auth.module.js';
import { AccessGuard } from './auth/guards/access.guard.js';
import { RolesGuard } from './auth/guards/roles.guard.js';
import { BroadcastingModule } from './broadcasting/broadcasting.module.js';
import { RequestValidationPipe } from './common/validation/request-validation.pipe.js';
import { EventsModule } from './common/events/domain-events.js';
import type { AppConfig } from './config/app-config.js';
import { ConfigModule } from './config/config.module.js';
import type { Connection } from './database/connection.js';
import { CoordinationModule } from './coordination/coordination.module.js';
import { DatabaseModule } from './database/database.module.js';
import { HealthModule } from './health/health.module.js';
import { MailModule } from './mail/mail.module.js';
import { MetricsModule } from './metrics/metrics.module.js';
import { PagesModule } from './pages/pages.module.js';
import { PersonalDataModule } from './personal-data/personal-data.module.js';
import { AllowedMethods } from './server/errors/allowed-methods.js';
import { ErrorFilter } from './server/errors/error.filter.js';
import { RateLimitModule } from './server/rate-limit/rate-limit.module.js';
import { API_PREFIX } from './server/rewrite-url.js';
import { UploadsModule } from './uploads/uploads.module.js';
import { UsersModule } from './users/users.module.js';

/** Features under `/api/v1`. */
const FEATURES = [UsersModule, AuthModule, UploadsModule, BroadcastingModule, PersonalDataModule, AdminModule];

@Module({})
export class AppModule {
  /** @param connection a database that is up and has the current schema */
  static with(config: AppConfig, connection: Connection): DynamicModule {
    return {
      module: AppModule,
      imports: [
        ConfigModule.with(config),
        DatabaseModule.with(connection),
        CoordinationModule,
        EventsModule,
        ...FEATURES,
        AuditModule,
        MailModule,
        HealthModule,
        PagesModule,
        MetricsModule,
        RateLimitModule,
        RouterModule.register(FEATURES.map((module) => ({ path: API_PREFIX, module }))),
      ],
      providers: [
        AllowedMethods,
        // A request's way: these run in this order.
        { provide: APP_GUARD, useClass: AccessGuard },
        { provide: APP_GUARD, useClass: RolesGuard },
        { provide: APP_PIPE, useClass: RequestValidationPipe },
        { provide: APP_FILTER, useClass: ErrorFilter },
      ],
    };
  }
}
