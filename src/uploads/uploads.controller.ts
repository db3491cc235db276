import {
  Body,
  Controller,
  Delete,
  Get,
  HttpCode,
  HttpStatus,
  Param,
  Patch,
  Post,
  Put,
  Query,
  Req,
  Res,
} from '@nestjs/common';
import {
  ApiBody,
  type ApiBodyOptions,
  ApiConsumes,
  ApiCreatedResponse,
  ApiNoContentResponse,
  ApiOkResponse,
  ApiOperation,
  ApiTags,
} from '@nestjs/swagger';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Authenticated } from '../common/auth/access.decorator.js';
import { CurrentUser } from '../common/auth/current-user.decorator.js';
import type { Principal } from '../common/auth/principal.js';
import { ApiErrors } from '../common/http/api-errors.decorator.js';
import { invite } from '../common/http/body-stream.js';
import { PageOf, toPage, type Page } from '../common/http/page.js';
import { RateLimit, StreamedBody } from '../common/http/route-settings.decorator.js';
import { IdPipe } from '../common/validation/id.pipe.js';
import { BulkDeleteDto, BulkDeleteResponse } from './dto/bulk-delete.dto.js';
import { FileResponse } from './dto/file.response.js';
import { FilesQuery } from './dto/files.query.js';
import { UpdateFileDto } from './dto/update-file.dto.js';
import { UploadIntake } from './intake/upload-intake.service.js';
import { UploadsService } from './uploads.service.js';

const FilePage = PageOf(FileResponse);

const UPLOAD_FORM: ApiBodyOptions = {
  schema: {
    type: 'object',
    required: ['file'],
    additionalProperties: false,
    properties: {
      file: { type: 'string', format: 'binary' },
      description: { type: 'string', maxLength: 1000, example: 'Important document' },
    },
  },
};

@ApiTags('uploads')
@Authenticated('uploads:read')
@Controller(['uploads', 'files'])
export class UploadsController {
  constructor(
    private readonly uploads: UploadsService,
    private readonly intake: UploadIntake,
  ) {}

  @Post()
  @Authenticated('uploads:write')
  @RateLimit('uploads')
  @StreamedBody('multipart/form-data')
  @ApiConsumes('multipart/form-data')
  @ApiBody(UPLOAD_FORM)
  @ApiOperation({
    summary: 'Upload a file',
    description: 'One file a request. When the answer comes, the file is whole, on disk and inside its quota.',
  })
  @ApiCreatedResponse({ type: FileResponse, headers: { Location: { schema: { type: 'string' } } } })
  @ApiErrors(408, 507)
  async create(
    @CurrentUser() caller: Principal,
    @Req() { raw, url }: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<FileResponse> {
    const file = await this.intake.receive(caller.id, raw, () => invite(raw, reply.raw));
    reply.header('Location', `${url.replace(/\/?(\?.*)?$/, '')}/${file.id}`);
    return FileResponse.from(file);
  }

  @Get()
  @ApiOperation({ summary: 'List your files' })
  @ApiOkResponse({ type: FilePage })
  async list(@CurrentUser() caller: Principal, @Query() query: FilesQuery): Promise<Page<FileResponse>> {
    const window = query.window();
    const { files, total } = await this.uploads.listOwn(caller, query.filter(), window);
    return toPage(
      files.map((file) => FileResponse.from(file)),
      total,
      window,
    );
  }

  @Post('bulk-delete')
  @Authenticated('uploads:write')
  @HttpCode(HttpStatus.OK)
  @ApiOperation({ summary: 'Delete up to 100 files', description: 'Deletes what it can, and says what it could not.' })
  @ApiOkResponse({ type: BulkDeleteResponse })
  async deleteAll(@CurrentUser() caller: Principal, @Body() { ids }: BulkDeleteDto): Promise<BulkDeleteResponse> {
    const { deleted, failed } = await this.uploads.deleteAll(caller, ids);
    return { deleted, failed: failed.map(({ id, code }) => ({ id, error_code: code })) };
  }

  @Get(':id')
  @ApiOperation({ summary: 'A file', description: 'Its metadata; for its owner and admins.' })
  @ApiOkResponse({ type: FileResponse })
  async get(@CurrentUser() caller: Principal, @Param('id', IdPipe) id: string): Promise<FileResponse> {
    return FileResponse.from(await this.uploads.get(caller, id));
  }

  @Put(':id')
  @Authenticated('uploads:write')
  @ApiOperation({
    summary: 'Change description or display name',
    description: 'By the owner. Only what is given changes.',
  })
  @ApiOkResponse({ type: FileResponse })
  async replace(
    @CurrentUser() caller: Principal,
    @Param('id', IdPipe) id: string,
    @Body() body: UpdateFileDto,
  ): Promise<FileResponse> {
    return FileResponse.from(await this.uploads.update(caller, id, body));
  }

  @Patch(':id')
  @Authenticated('uploads:write')
  @ApiOperation({ summary: 'Change description or display name', description: 'The same as `PUT`.' })
  @ApiOkResponse({ type: FileResponse })
  update(
    @CurrentUser() caller: Principal,
    @Param('id', IdPipe) id: string,
    @Body() body: UpdateFileDto,
  ): Promise<FileResponse> {
    return this.replace(caller, id, body);
  }

  @Delete(':id')
  @Authenticated('uploads:write')
  @HttpCode(HttpStatus.NO_CONTENT)
  @ApiOperation({ summary: 'Delete a file', description: 'By its owner or an admin.' })
  @ApiNoContentResponse()
  delete(@CurrentUser() caller: Principal, @Param('id', IdPipe) id: string): Promise<void> {
    return this.uploads.delete(caller, id);
  }
}
