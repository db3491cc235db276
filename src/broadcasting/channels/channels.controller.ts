import { Body, Controller, Delete, Get, HttpCode, HttpStatus, Param, Put, Query } from '@nestjs/common';
import { ApiNoContentResponse, ApiOkResponse, ApiOperation, ApiParam, ApiTags } from '@nestjs/swagger';
import { Authenticated, Roles } from '../../common/auth/access.decorator.js';
import { CurrentUser } from '../../common/auth/current-user.decorator.js';
import type { Principal } from '../../common/auth/principal.js';
import { ApiErrors } from '../../common/http/api-errors.decorator.js';
import { type Page, PageOf, PageQuery, toPage } from '../../common/http/page.js';
import { RateLimit } from '../../common/http/route-settings.decorator.js';
import { IdPipe } from '../../common/validation/id.pipe.js';
import { ChannelResponse } from '../dto/channel.response.js';
import { MemberResponse } from '../dto/subscription.response.js';
import { UpdateChannelDto } from '../dto/update-channel.dto.js';
import { CHANNEL_NAME_PATTERN } from './channel-name.js';
import { ChannelsService } from './channels.service.js';
import { MembershipsService } from './memberships.service.js';

const ChannelPage = PageOf(ChannelResponse);
const MemberPage = PageOf(MemberResponse);

const NameParam = (example: string) =>
  ApiParam({ name: 'name', schema: { type: 'string', pattern: CHANNEL_NAME_PATTERN.source }, example });
const UserIdParam = () => ApiParam({ name: 'user_id', schema: { type: 'string', format: 'uuid' } });

@ApiTags('broadcasting')
@Authenticated('broadcast:read')
@Controller('broadcasting/channels')
export class ChannelsController {
  constructor(
    private readonly channels: ChannelsService,
    private readonly memberships: MembershipsService,
  ) {}

  @Get()
  @ApiOperation({
    summary: 'List channels',
    description: 'Those that you may read and that have been used, or that somebody is subscribed to; by name.',
  })
  @ApiOkResponse({ type: ChannelPage })
  async list(@CurrentUser() caller: Principal, @Query() query: PageQuery): Promise<Page<ChannelResponse>> {
    const window = query.window();
    const { channels, total } = await this.channels.list(caller, window);
    return toPage(channels, total, window);
  }

  @Get(':name')
  @NameParam('news')
  @ApiOperation({
    summary: 'A channel',
    description: 'For its readers. A name that nobody has used yet is an empty channel.',
  })
  @ApiOkResponse({ type: ChannelResponse })
  @ApiErrors(403, 422)
  get(@CurrentUser() caller: Principal, @Param('name') name: string): Promise<ChannelResponse> {
    return this.channels.get(caller, name);
  }

  @Put(':name')
  @NameParam('news')
  @Roles('admin')
  @RateLimit('admin')
  @ApiOperation({
    summary: 'Set who publishes and how long messages are kept',
    description: 'By admins. Only what is given changes.',
  })
  @ApiOkResponse({ type: ChannelResponse })
  @ApiErrors(403, 404)
  configure(@Param('name') name: string, @Body() body: UpdateChannelDto): Promise<ChannelResponse> {
    return this.channels.configure(name, {
      publishPolicy: body.publish_policy,
      retentionSeconds: body.retention_seconds,
      retentionCount: body.retention_count,
    });
  }

  @Get(':name/members')
  @NameParam('private-team')
  @Roles('admin')
  @RateLimit('admin')
  @ApiOperation({ summary: 'Who is in a private-<name> channel', description: 'By admins, in the order of ids.' })
  @ApiOkResponse({ type: MemberPage })
  @ApiErrors(403)
  async members(@Param('name') name: string, @Query() query: PageQuery): Promise<Page<MemberResponse>> {
    const window = query.window();
    const { members, total } = await this.channels.listMembers(name, window);
    return toPage(members, total, window);
  }

  @Put(':name/members/:user_id')
  @NameParam('private-team')
  @UserIdParam()
  @HttpCode(HttpStatus.NO_CONTENT)
  @Roles('admin')
  @RateLimit('admin')
  @ApiOperation({ summary: 'Add a user to a private-<name> channel', description: 'By admins.' })
  @ApiNoContentResponse()
  @ApiErrors(403, 404, 422)
  addMember(
    @CurrentUser() caller: Principal,
    @Param('name') name: string,
    @Param('user_id', IdPipe) userId: string,
  ): Promise<void> {
    return this.memberships.add(caller, name, userId);
  }

  @Delete(':name/members/:user_id')
  @NameParam('private-team')
  @UserIdParam()
  @HttpCode(HttpStatus.NO_CONTENT)
  @Roles('admin')
  @RateLimit('admin')
  @ApiOperation({
    summary: 'Remove a user from a private-<name> channel',
    description: 'By admins. Open subscriptions of the user end at once.',
  })
  @ApiNoContentResponse()
  @ApiErrors(403, 404, 422)
  removeMember(
    @CurrentUser() caller: Principal,
    @Param('name') name: string,
    @Param('user_id', IdPipe) userId: string,
  ): Promise<void> {
    return this.memberships.remove(caller, name, userId);
  }
}
