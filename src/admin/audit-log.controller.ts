import { Controller, Get, Query } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { AuditLogService } from '../audit/audit-log.service.js';
import { Roles } from '../common/auth/access.decorator.js';
import { PageOf, toPage, type Page } from '../common/http/page.js';
import { RateLimit } from '../common/http/route-settings.decorator.js';
import { AuditEntryResponse } from './dto/audit-entry.response.js';
import { AuditLogQuery } from './dto/audit-log.query.js';

const AuditEntryPage = PageOf(AuditEntryResponse);

@ApiTags('admin')
@Roles('admin')
@RateLimit('admin')
@Controller('admin/audit-log')
export class AuditLogController {
  constructor(private readonly log: AuditLogService) {}

  @Get()
  @ApiOperation({
    summary: 'What happened, the newest first',
    description:
      'For as long as `AUDIT_RETENTION_DAYS`. Entries are never changed, and outlive the accounts that they are about.',
  })
  @ApiOkResponse({ type: AuditEntryPage })
  async list(@Query() query: AuditLogQuery): Promise<Page<AuditEntryResponse>> {
    const window = query.window();
    const { entries, total } = await this.log.list(query.filter(), window);
    return toPage(
      entries.map((entry) => AuditEntryResponse.from(entry)),
      total,
      window,
    );
  }
}
