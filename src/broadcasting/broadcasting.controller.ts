import { Body, Controller, Get, HttpCode, HttpStatus, Post } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { Authenticated, Roles } from '../common/auth/access.decorator.js';
import { CurrentUser } from '../common/auth/current-user.decorator.js';
import type { Principal } from '../common/auth/principal.js';
import { ApiErrors } from '../common/http/api-errors.decorator.js';
import { RateLimit } from '../common/http/route-settings.decorator.js';
import { ChannelsService } from './channels/channels.service.js';
import { AuthoriseDto, AuthorisedResponse } from './dto/authorise.dto.js';
import { StatsResponse } from './dto/stats.response.js';
import { AudienceService } from './presence/audience.service.js';

const TOP_CHANNELS = 100;

@ApiTags('broadcasting')
@Authenticated('broadcast:read')
@Controller('broadcasting')
export class BroadcastingController {
  constructor(
    private readonly channels: ChannelsService,
    private readonly audiences: AudienceService,
  ) {}

  @Post('auth')
  @HttpCode(HttpStatus.OK)
  @ApiOperation({ summary: 'May you join a channel?' })
  @ApiOkResponse({ type: AuthorisedResponse })
  @ApiErrors(403)
  async authorise(
    @CurrentUser() caller: Principal,
    @Body() { channel_name }: AuthoriseDto,
  ): Promise<AuthorisedResponse> {
    await this.channels.authorise(caller, channel_name, 'channel_name');
    return { channel: channel_name, allowed: true };
  }

  @Get('stats')
  @Roles('admin')
  @RateLimit('admin')
  @ApiOperation({ summary: 'Live connections', description: 'By node and channel; for admins.' })
  @ApiOkResponse({ type: StatsResponse })
  @ApiErrors(403)
  async stats(): Promise<StatsResponse> {
    await this.audiences.flush();
    return this.audiences.stats(TOP_CHANNELS);
  }
}
