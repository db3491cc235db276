import { Module } from '@nestjs/common';
import { AuditHistoryService } from './audit-history.service.js';
import { AuditLogRepository } from './audit-log.repository.js';
import { AuditLogService } from './audit-log.service.js';
import { AuditSweeper } from './audit-sweeper.js';
import { AuditWriter } from './audit-writer.js';

@Module({
  providers: [AuditLogRepository, AuditLogService, AuditWriter, AuditSweeper, AuditHistoryService],
  exports: [AuditLogService, AuditHistoryService],
})
export class AuditModule {}
