import { Module } from '@nestjs/common';
import { AuditModule } from '../audit/audit.module.js';
import { AuthModule } from '../auth/auth.module.js';
import { UploadsModule } from '../uploads/uploads.module.js';
import { ExportWriter } from './export-writer.js';
import { PersonalDataController } from './personal-data.controller.js';
import { PersonalDataService } from './personal-data.service.js';

@Module({
  imports: [AuditModule, AuthModule, UploadsModule],
  controllers: [PersonalDataController],
  providers: [PersonalDataService, ExportWriter],
})
export class PersonalDataModule {}
