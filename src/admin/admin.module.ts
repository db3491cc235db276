import { Module } from '@nestjs/common';
import { AuditModule } from '../audit/audit.module.js';
import { AuthModule } from '../auth/auth.module.js';
import { UploadsModule } from '../uploads/uploads.module.js';
import { UsersModule } from '../users/users.module.js';
import { AdminSessionsController } from './admin-sessions.controller.js';
import { AdminUploadsController } from './admin-uploads.controller.js';
import { AdminUsersController } from './admin-users.controller.js';
import { AdminUsersService } from './admin-users.service.js';
import { AuditLogController } from './audit-log.controller.js';
import { StatisticsController } from './statistics.controller.js';
import { StatisticsService } from './statistics.service.js';

@Module({
  imports: [UsersModule, AuthModule, UploadsModule, AuditModule],
  controllers: [
    AdminUsersController,
    AdminSessionsController,
    AdminUploadsController,
    AuditLogController,
    StatisticsController,
  ],
  providers: [AdminUsersService, StatisticsService],
})
export class AdminModule {}
