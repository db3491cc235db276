import { Controller, Delete, Get, HttpCode, HttpStatus, Param, Query } from '@nestjs/common';
import { ApiNoContentResponse, ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { Roles } from '../common/auth/access.decorator.js';
import { CurrentUser } from '../common/auth/current-user.decorator.js';
import type { Principal } from '../common/auth/principal.js';
import { PageOf, toPage, type Page } from '../common/http/page.js';
import { RateLimit } from '../common/http/route-settings.decorator.js';
import { IdPipe } from '../common/validation/id.pipe.js';
import { FileResponse } from '../uploads/dto/file.response.js';
import { UploadsAdminService } from '../uploads/uploads-admin.service.js';
import { UploadsService } from '../uploads/uploads.service.js';
import { AdminFilesQuery } from './dto/admin-files.query.js';

const FilePage = PageOf(FileResponse);

@ApiTags('admin')
@Roles('admin')
@RateLimit('admin')
@Controller('admin/uploads')
export class AdminUploadsController {
  constructor(
    private readonly lists: UploadsAdminService,
    private readonly uploads: UploadsService,
  ) {}

  @Get()
  @ApiOperation({ summary: "Everybody's files", description: 'The newest first, unless asked otherwise.' })
  @ApiOkResponse({ type: FilePage })
  async list(@Query() query: AdminFilesQuery): Promise<Page<FileResponse>> {
    const window = query.window();
    const { files, total } = await this.lists.list(query.user_id?.toLowerCase() ?? null, query.filter(), window);
    return toPage(
      files.map((file) => FileResponse.from(file)),
      total,
      window,
    );
  }

  @Delete(':id')
  @HttpCode(HttpStatus.NO_CONTENT)
  @ApiOperation({ summary: "Delete anybody's file" })
  @ApiNoContentResponse()
  delete(@CurrentUser() caller: Principal, @Param('id', IdPipe) id: string): Promise<void> {
    return this.uploads.delete(caller, id);
  }
}
