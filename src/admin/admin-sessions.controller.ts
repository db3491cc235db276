import { Controller, Delete, Get, HttpCode, HttpStatus, Param, Query } from '@nestjs/common';
import { ApiNoContentResponse, ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { SessionResponse } from '../auth/dto/session.response.js';
import { Roles } from '../common/auth/access.decorator.js';
import { CurrentUser } from '../common/auth/current-user.decorator.js';
import type { Principal } from '../common/auth/principal.js';
import { PageOf, PageQuery, toPage, type Page } from '../common/http/page.js';
import { RateLimit } from '../common/http/route-settings.decorator.js';
import { IdPipe } from '../common/validation/id.pipe.js';
import { AdminUsersService } from './admin-users.service.js';

const SessionPage = PageOf(SessionResponse);

@ApiTags('admin')
@Roles('admin')
@RateLimit('admin')
@Controller('admin/users/:id/sessions')
export class AdminSessionsController {
  constructor(private readonly admin: AdminUsersService) {}

  @Get()
  @ApiOperation({ summary: "A user's sessions", description: 'One for each signed-in device, the newest first.' })
  @ApiOkResponse({ type: SessionPage })
  async list(
    @CurrentUser() caller: Principal,
    @Param('id', IdPipe) id: string,
    @Query() query: PageQuery,
  ): Promise<Page<SessionResponse>> {
    const window = query.window();
    const { sessions, total } = await this.admin.listSessions(id, window);
    return toPage(
      sessions.map((session) => SessionResponse.from(session, caller.sessionId)),
      total,
      window,
    );
  }

  @Delete(':session_id')
  @HttpCode(HttpStatus.NO_CONTENT)
  @ApiOperation({ summary: 'Sign one of a user’s devices out' })
  @ApiNoContentResponse()
  end(
    @CurrentUser() caller: Principal,
    @Param('id', IdPipe) id: string,
    @Param('session_id', IdPipe) sessionId: string,
  ): Promise<void> {
    return this.admin.endSession(caller, id, sessionId);
  }
}
