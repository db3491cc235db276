import { Body, Controller, Get, HttpCode, HttpStatus, Param, Post, Query, Req, Res } from '@nestjs/common';
import { ApiBody, ApiOkResponse, ApiOperation, ApiQuery, ApiTags } from '@nestjs/swagger';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Authenticated, Public } from '../../common/auth/access.decorator.js';
import { CurrentUser } from '../../common/auth/current-user.decorator.js';
import type { Principal } from '../../common/auth/principal.js';
import { IdPipe } from '../../common/validation/id.pipe.js';
import { AppConfig } from '../../config/app-config.js';
import { SignedUrlDto, SignedUrlResponse } from '../dto/signed-url.dto.js';
import { LinkInvalidError } from '../uploads.errors.js';
import { UploadsService } from '../uploads.service.js';
import { ApiDownload } from './api-download.decorator.js';
import { DownloadsService } from './downloads.service.js';
import { SignedLinks } from './signed-links.js';

@ApiTags('uploads')
@Controller(['uploads', 'files'])
export class DownloadsController {
  private readonly links: SignedLinks;

  constructor(
    private readonly uploads: UploadsService,
    private readonly downloads: DownloadsService,
    private readonly config: AppConfig,
  ) {
    this.links = new SignedLinks(config.uploads.linkKey);
  }

  @Get(':id/download')
  @Authenticated('uploads:read')
  @ApiDownload()
  @ApiOperation({ summary: 'Download a file', description: 'For its owner and admins. Resumes with `Range`.' })
  async download(
    @CurrentUser() caller: Principal,
    @Param('id', IdPipe) id: string,
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    await this.downloads.send(await this.uploads.get(caller, id), request, reply);
  }

  @Post(':id/signed-url')
  @HttpCode(HttpStatus.OK)
  @Authenticated('uploads:read')
  @ApiOperation({
    summary: 'Make a link that downloads without a header',
    description:
      'Whoever has the link has the file, until the link expires, the file is deleted, or its owner is disabled.',
  })
  @ApiBody({ type: SignedUrlDto, required: false })
  @ApiOkResponse({ type: SignedUrlResponse })
  async sign(
    @CurrentUser() caller: Principal,
    @Param('id', IdPipe) id: string,
    @Body() { expires_in }: SignedUrlDto,
    @Req() request: FastifyRequest,
  ): Promise<SignedUrlResponse> {
    await this.uploads.get(caller, id);
    // The link tells whole seconds.
    const expiresAt = new Date(Math.floor(Date.now() / 1000 + expires_in) * 1000);
    const base = this.config.http.publicUrl ?? `${request.protocol}://${request.host}`;
    const path = request.url.replace(/\/[^/]*\/signed-url\/?(\?.*)?$/, `/${id}/signed`);
    return { url: `${base}${path}?${this.links.sign(id, expiresAt)}`, expires_at: expiresAt.toISOString() };
  }

  @Get(':id/signed')
  @Public()
  @ApiDownload(403)
  @ApiQuery({ name: 'expires', required: false, schema: { type: 'integer' }, description: 'Unix seconds' })
  @ApiQuery({ name: 'signature', required: false, schema: { type: 'string' } })
  @ApiOperation({
    summary: 'Download by a signed link',
    description: 'The address comes from `POST /uploads/{id}/signed-url`.',
  })
  async downloadSigned(
    @Param('id', IdPipe) id: string,
    @Query() query: Record<string, unknown>,
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    if (!this.links.verify(id, query, new Date())) throw new LinkInvalidError();
    await this.downloads.send(await this.uploads.getLinked(id), request, reply);
  }
}
