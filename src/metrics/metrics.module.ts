import { Module } from '@nestjs/common';
import { Registry } from 'prom-client';
import { BroadcastingModule } from '../broadcasting/broadcasting.module.js';
import { MailModule } from '../mail/mail.module.js';
import { UploadsModule } from '../uploads/uploads.module.js';
import { UsersModule } from '../users/users.module.js';
import { AccountMetrics } from './account-metrics.js';
import { BroadcastingMetrics } from './broadcasting-metrics.js';
import { DatabaseMetrics } from './database-metrics.js';
import { MailMetrics } from './mail-metrics.js';
import { MetricsController } from './metrics.controller.js';
import { MetricsService } from './metrics.service.js';
import { RequestMetrics } from './request-metrics.js';
import { RuntimeMetrics } from './runtime-metrics.js';
import { UploadMetrics } from './upload-metrics.js';

/** Each application has a registry of its own: the package's global one would mix those of one process. */
@Module({
  imports: [UsersModule, UploadsModule, BroadcastingModule, MailModule],
  controllers: [MetricsController],
  providers: [
    { provide: Registry, useFactory: () => new Registry() },
    RequestMetrics,
    RuntimeMetrics,
    DatabaseMetrics,
    AccountMetrics,
    UploadMetrics,
    BroadcastingMetrics,
    MailMetrics,
    MetricsService,
  ],
})
export class MetricsModule {}
