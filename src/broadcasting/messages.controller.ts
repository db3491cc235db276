import { Body, Controller, Get, HttpCode, HttpStatus, Post, Query, Res } from '@nestjs/common';
import { ApiCreatedResponse, ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import type { FastifyReply } from 'fastify';
import { Authenticated } from '../common/auth/access.decorator.js';
import { CurrentUser } from '../common/auth/current-user.decorator.js';
import type { Principal } from '../common/auth/principal.js';
import { ApiErrors } from '../common/http/api-errors.decorator.js';
import { HistoryQuery, HistoryResponse } from './dto/history.query.js';
import { ChannelMessageResponse } from './dto/channel-message.response.js';
import { PublishDto } from './dto/publish.dto.js';
import { MessagesService } from './messages.service.js';

@ApiTags('broadcasting')
@Authenticated('broadcast:read')
@Controller('broadcasting/messages')
export class MessagesController {
  constructor(private readonly messages: MessagesService) {}

  @Post()
  @Authenticated('broadcast:write')
  @HttpCode(HttpStatus.CREATED)
  @ApiOperation({
    summary: 'Publish a message',
    description:
      'By admins anywhere; by others where the policy of the channel is `members` and they may read it. When the answer comes, the message is on disk and has its place in the channel.',
  })
  @ApiCreatedResponse({ type: ChannelMessageResponse })
  @ApiOkResponse({ type: ChannelMessageResponse, description: 'The idempotency key was used before: the first result' })
  @ApiErrors(403, 404, 409)
  async publish(
    @CurrentUser() caller: Principal,
    @Body() { channel, event, data, idempotency_key, durable }: PublishDto,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<ChannelMessageResponse> {
    const { message, isNew } = await this.messages.publish(caller, {
      channel,
      event,
      data,
      idempotencyKey: idempotency_key,
      isDurable: durable,
    });
    if (!isNew) reply.status(HttpStatus.OK);
    return message;
  }

  @Get()
  @ApiOperation({
    summary: "A channel's messages",
    description:
      'What follows the sequence `after`, oldest first; go on from the last `sequence`. Large messages make shorter pages (2 MiB). For readers of the channel.',
  })
  @ApiOkResponse({ type: HistoryResponse })
  @ApiErrors(403)
  async list(
    @CurrentUser() caller: Principal,
    @Query() { channel, after, limit }: HistoryQuery,
  ): Promise<HistoryResponse> {
    const page = await this.messages.history(caller, channel, after, limit);
    return {
      items: page.messages,
      channel,
      epoch: page.epoch,
      first_sequence: page.firstSequence,
      last_sequence: page.lastSequence,
    };
  }
}
