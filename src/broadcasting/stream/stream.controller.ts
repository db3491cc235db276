import { Controller, Get, HttpCode, HttpStatus, Post, Query, Req, Res } from '@nestjs/common';
import { ApiCreatedResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import type { FastifyReply } from 'fastify';
import { AccessTokens } from '../../auth/tokens/access-tokens.js';
import { Authenticated, SessionOnly } from '../../common/auth/access.decorator.js';
import { CurrentUser } from '../../common/auth/current-user.decorator.js';
import { type Principal, sessionOf } from '../../common/auth/principal.js';
import { NotAuthenticatedError } from '../../common/errors/errors.js';
import { NoBody } from '../../common/http/no-body.decorator.js';
import type { GatehouseRequest } from '../../common/http/request.js';
import { AcceptsTicket } from '../../common/http/route-settings.decorator.js';
import { ChannelsService } from '../channels/channels.service.js';
import { ApiStream } from './api-stream.decorator.js';
import { parseLastEventId } from './last-event-id.js';
import { StreamTicketResponse } from './stream-ticket.response.js';
import { StreamQuery } from './stream.query.js';
import { StreamService } from './stream.service.js';

@ApiTags('broadcasting')
@Controller('broadcasting/stream')
export class StreamController {
  constructor(
    private readonly streams: StreamService,
    private readonly channels: ChannelsService,
    private readonly tokens: AccessTokens,
  ) {}

  @Get()
  @Authenticated('broadcast:read')
  @AcceptsTicket()
  @ApiStream()
  async open(
    @CurrentUser() caller: Principal,
    @Query() { channel, after, epoch }: StreamQuery,
    @Req() request: GatehouseRequest,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const claims = this.tokens.claimsOf(request);
    if (!claims) throw new NotAuthenticatedError();
    // A browser that comes back sends the header along with the URL that it had at first.
    const position = parseLastEventId(request.headers['last-event-id'] as string | undefined) ?? after;
    // Fastify takes HEAD where it takes GET.
    if (request.method === 'HEAD') {
      await this.channels.authorise(caller, channel);
      return this.streams.describe(reply);
    }
    await this.streams.open({ claims, client: caller.client, channel, after: position, epoch }, reply);
  }

  @Post('ticket')
  @NoBody()
  @SessionOnly()
  @HttpCode(HttpStatus.CREATED)
  @ApiOperation({
    summary: 'A ticket for a stream',
    description:
      "For browsers' EventSource, which cannot send a token. It opens streams (`?ticket=`) and nothing else.",
  })
  @ApiCreatedResponse({ type: StreamTicketResponse })
  issueTicket(@CurrentUser() caller: Principal): StreamTicketResponse {
    return {
      ticket: this.tokens.issueTicket(caller, sessionOf(caller)),
      expires_in: this.tokens.ticketTtlSeconds,
    };
  }
}
