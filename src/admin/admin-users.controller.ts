import { Body, Controller, Delete, Get, HttpCode, HttpStatus, Param, Patch, Post, Put, Query } from '@nestjs/common';
import { ApiBody, ApiNoContentResponse, ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { Roles } from '../common/auth/access.decorator.js';
import { CurrentUser } from '../common/auth/current-user.decorator.js';
import type { Principal } from '../common/auth/principal.js';
import { ApiErrors } from '../common/http/api-errors.decorator.js';
import { NoBody } from '../common/http/no-body.decorator.js';
import { PageOf, toPage, type Page } from '../common/http/page.js';
import { RateLimit } from '../common/http/route-settings.decorator.js';
import { IdPipe } from '../common/validation/id.pipe.js';
import { UsersAdminService } from '../users/users-admin.service.js';
import { UsersService } from '../users/users.service.js';
import { AdminUsersService } from './admin-users.service.js';
import { AdminUserResponse } from './dto/admin-user.response.js';
import { AdminUsersQuery } from './dto/admin-users.query.js';
import { UpdateStandingDto } from './dto/update-standing.dto.js';

const AdminUserPage = PageOf(AdminUserResponse);

/** Pressed as it stands in Swagger UI, it must not demote or disable whoever is signed in. */
const QUOTA_EXAMPLE = { type: UpdateStandingDto, examples: { quota: { value: { quota: 2_147_483_648 } } } };

@ApiTags('admin')
@Roles('admin')
@RateLimit('admin')
@Controller('admin/users')
export class AdminUsersController {
  constructor(
    private readonly managed: UsersAdminService,
    private readonly users: UsersService,
    private readonly admin: AdminUsersService,
  ) {}

  @Get()
  @ApiOperation({ summary: 'All users', description: 'Those who came last first, unless asked otherwise.' })
  @ApiOkResponse({ type: AdminUserPage })
  async list(@Query() query: AdminUsersQuery): Promise<Page<AdminUserResponse>> {
    const window = query.window();
    const { users, total } = await this.managed.list(query.filter(), window);
    return toPage(
      users.map((account) => AdminUserResponse.ofManaged(account)),
      total,
      window,
    );
  }

  @Get(':id')
  @ApiOperation({ summary: 'A user, with the quota' })
  @ApiOkResponse({ type: AdminUserResponse })
  async get(@Param('id', IdPipe) id: string): Promise<AdminUserResponse> {
    return AdminUserResponse.ofManaged(await this.managed.get(id));
  }

  @Put(':id')
  @ApiBody(QUOTA_EXAMPLE)
  @ApiOperation({
    summary: 'Change role, activity or quota',
    description:
      'Only what is given changes. Disabling ends all sessions and revokes all API keys, for good. The last active admin stays one.',
  })
  @ApiOkResponse({ type: AdminUserResponse })
  @ApiErrors(409)
  async replace(
    @CurrentUser() caller: Principal,
    @Param('id', IdPipe) id: string,
    @Body() { role, is_active, quota }: UpdateStandingDto,
  ): Promise<AdminUserResponse> {
    return AdminUserResponse.ofManaged(await this.managed.update(caller, id, { role, isActive: is_active, quota }));
  }

  @Patch(':id')
  @ApiBody(QUOTA_EXAMPLE)
  @ApiOperation({ summary: 'Change role, activity or quota', description: 'The same as `PUT`.' })
  @ApiOkResponse({ type: AdminUserResponse })
  @ApiErrors(409)
  update(
    @CurrentUser() caller: Principal,
    @Param('id', IdPipe) id: string,
    @Body() body: UpdateStandingDto,
  ): Promise<AdminUserResponse> {
    return this.replace(caller, id, body);
  }

  @Delete(':id')
  @HttpCode(HttpStatus.NO_CONTENT)
  @ApiOperation({ summary: 'Delete a user', description: 'Files, sessions and keys go with the account.' })
  @ApiNoContentResponse()
  @ApiErrors(409)
  delete(@CurrentUser() caller: Principal, @Param('id', IdPipe) id: string): Promise<void> {
    return this.users.delete(caller, id);
  }

  @Post(':id/revoke-sessions')
  @NoBody()
  @HttpCode(HttpStatus.NO_CONTENT)
  @ApiOperation({ summary: 'Sign a user out everywhere', description: 'API keys stay.' })
  @ApiNoContentResponse()
  revokeSessions(@CurrentUser() caller: Principal, @Param('id', IdPipe) id: string): Promise<void> {
    return this.admin.revokeSessions(caller, id);
  }
}
