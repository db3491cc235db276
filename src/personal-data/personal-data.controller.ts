import type { OutgoingHttpHeaders } from 'node:http';
import { Controller, Get, Req, Res } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiProduces, ApiTags } from '@nestjs/swagger';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { SessionOnly } from '../common/auth/access.decorator.js';
import { CurrentUser } from '../common/auth/current-user.decorator.js';
import type { Principal } from '../common/auth/principal.js';
import { ApiErrors } from '../common/http/api-errors.decorator.js';
import { AppConfig } from '../config/app-config.js';
import { PersonalDataService } from './personal-data.service.js';

const ZIP = 'application/zip';

@ApiTags('users')
@Controller('users/me/export')
export class PersonalDataController {
  constructor(
    private readonly data: PersonalDataService,
    private readonly config: AppConfig,
  ) {}

  @Get()
  @SessionOnly()
  @ApiOperation({
    summary: 'Download all your data',
    description:
      'A ZIP with profile, sessions, API keys, audit entries and all files; its `README.txt` says what is in it and what is not. It is ' +
      'made while it is sent, so its length is not known in advance; an answer that breaks off is not whole. One at a time.',
  })
  @ApiProduces(ZIP)
  @ApiOkResponse({
    description: 'The archive',
    headers: { 'Content-Disposition': { schema: { type: 'string' }, example: 'attachment; filename="john_doe.zip"' } },
    content: { [ZIP]: { schema: { type: 'string', format: 'binary' } } },
  })
  @ApiErrors(409)
  async export(
    @CurrentUser() caller: Principal,
    @Req() { method }: FastifyRequest,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    reply.headers({
      'Content-Type': ZIP,
      // A username is letters, digits and underscores.
      'Content-Disposition': `attachment; filename="${caller.account.username}.zip"`,
    });
    if (method === 'HEAD') return void reply.send();
    await this.data.export(caller, () => this.take(reply));
  }

  /** Past Fastify. The connection ends when nothing moves on it any more. */
  private take(reply: FastifyReply): FastifyReply['raw'] {
    reply.hijack();
    const { raw } = reply;
    raw.setTimeout(this.config.http.requestTimeoutSeconds * 1000, () => raw.destroy());
    raw.writeHead(200, reply.getHeaders() as OutgoingHttpHeaders);
    return raw;
  }
}
