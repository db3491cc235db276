import { Controller, Delete, Head, HttpCode, HttpStatus, Options, Param, Patch, Post, Req, Res } from '@nestjs/common';
import {
  ApiBody,
  ApiConsumes,
  ApiCreatedResponse,
  ApiHeader,
  type ApiHeaderOptions,
  ApiNoContentResponse,
  ApiOkResponse,
  ApiOperation,
  ApiTags,
} from '@nestjs/swagger';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Authenticated, Public } from '../../common/auth/access.decorator.js';
import { CurrentUser } from '../../common/auth/current-user.decorator.js';
import type { Principal } from '../../common/auth/principal.js';
import { ApiErrors } from '../../common/http/api-errors.decorator.js';
import { RateLimit, StreamedBody } from '../../common/http/route-settings.decorator.js';
import { IdPipe } from '../../common/validation/id.pipe.js';
import { TusServer } from './tus-server.js';

const CHUNK = 'application/offset+octet-stream';
const VERSION: ApiHeaderOptions = {
  name: 'Tus-Resumable',
  required: true,
  schema: { type: 'string', enum: ['1.0.0'], default: '1.0.0' },
};
const OFFSET = { 'Upload-Offset': { description: 'Bytes that are durable', schema: { type: 'integer' as const } } };

/** Resumable uploads by the tus 1.0 protocol; any tus client speaks it. */
@ApiTags('resumable uploads')
@Controller(['uploads/resumable', 'files/resumable'])
export class ResumableController {
  constructor(private readonly tus: TusServer) {}

  @Options()
  @Public()
  @ApiOperation({
    summary: 'What the server can',
    description: 'Versions and extensions of tus, and the largest file.',
  })
  @ApiNoContentResponse()
  discover(@Req() request: FastifyRequest, @Res() reply: FastifyReply): Promise<void> {
    return this.tus.handle('', request, reply);
  }

  @Post()
  @Authenticated('uploads:write')
  @RateLimit('uploads')
  @StreamedBody(CHUNK)
  @ApiHeader(VERSION)
  @ApiHeader({
    name: 'Upload-Length',
    required: true,
    schema: { type: 'integer' },
    description: 'Bytes of the whole file',
  })
  @ApiHeader({
    name: 'Upload-Metadata',
    required: false,
    schema: { type: 'string', example: 'filename ZG9jdW1lbnQucGRm,filetype YXBwbGljYXRpb24vcGRm' },
    description: '`filename`, `filetype` and `description`, each in base64',
  })
  @ApiOperation({
    summary: 'Begin a resumable upload',
    description: 'Reserves the space. Send the bytes to `Location`.',
  })
  @ApiCreatedResponse({
    headers: { Location: { schema: { type: 'string' } }, 'Upload-Expires': { schema: { type: 'string' } } },
  })
  @ApiErrors(400, 412, 413, 415, 422, 501, 507)
  create(@CurrentUser() caller: Principal, @Req() request: FastifyRequest, @Res() reply: FastifyReply): Promise<void> {
    return this.tus.handle(caller.id, request, reply);
  }

  @Head(':id')
  @Authenticated('uploads:write')
  @ApiHeader(VERSION)
  @ApiOperation({ summary: 'How far a resumable upload is' })
  @ApiOkResponse({ headers: { ...OFFSET, 'Upload-Length': { schema: { type: 'integer' } } } })
  @ApiErrors(410, 412, 423)
  head(
    @CurrentUser() caller: Principal,
    @Param('id', IdPipe) _id: string,
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    return this.tus.handle(caller.id, request, reply);
  }

  @Patch(':id')
  @HttpCode(HttpStatus.NO_CONTENT)
  @Authenticated('uploads:write')
  @StreamedBody(CHUNK)
  @ApiConsumes(CHUNK)
  @ApiBody({ schema: { type: 'string', format: 'binary' } })
  @ApiHeader(VERSION)
  @ApiHeader({ name: 'Upload-Offset', required: true, schema: { type: 'integer' } })
  @ApiHeader({
    name: 'Upload-Checksum',
    required: false,
    schema: { type: 'string', example: 'sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0=' },
  })
  @ApiOperation({
    summary: 'Go on with a resumable upload',
    description: `A body of type \`${CHUNK}\` from \`Upload-Offset\` on. With the last byte it becomes a file, whose id is the upload's.`,
  })
  @ApiNoContentResponse({
    headers: {
      ...OFFSET,
      'Content-Location': { schema: { type: 'string' }, description: 'The file, when it is whole' },
    },
  })
  @ApiErrors(400, 408, 409, 410, 412, 413, 415, 423, 460, 507)
  append(
    @CurrentUser() caller: Principal,
    @Param('id', IdPipe) _id: string,
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    return this.tus.handle(caller.id, request, reply);
  }

  @Delete(':id')
  @HttpCode(HttpStatus.NO_CONTENT)
  @Authenticated('uploads:write')
  @ApiHeader(VERSION)
  @ApiOperation({
    summary: 'Give a resumable upload up',
    description: 'Frees what it has reserved. A finished one is a file: `DELETE /uploads/{id}`.',
  })
  @ApiNoContentResponse()
  @ApiErrors(412, 423)
  remove(
    @CurrentUser() caller: Principal,
    @Param('id', IdPipe) _id: string,
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    return this.tus.handle(caller.id, request, reply);
  }
}
