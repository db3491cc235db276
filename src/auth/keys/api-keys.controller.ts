import { Body, Controller, Delete, Get, HttpCode, HttpStatus, Param, Post, Query } from '@nestjs/common';
import { ApiCreatedResponse, ApiNoContentResponse, ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { SessionOnly } from '../../common/auth/access.decorator.js';
import { CurrentUser } from '../../common/auth/current-user.decorator.js';
import type { Principal } from '../../common/auth/principal.js';
import { ApiErrors } from '../../common/http/api-errors.decorator.js';
import { PageOf, PageQuery, toPage, type Page } from '../../common/http/page.js';
import { IdPipe } from '../../common/validation/id.pipe.js';
import { ApiKeysService } from './api-keys.service.js';
import { ApiKeyResponse, CreateApiKeyDto, NewApiKeyResponse } from './api-key.dto.js';

const ApiKeyPage = PageOf(ApiKeyResponse);

/** Keys for programs. They are made and revoked by people who are signed in, never by a key. */
@ApiTags('users')
@Controller('users/me/api-keys')
@SessionOnly()
export class ApiKeysController {
  constructor(private readonly keys: ApiKeysService) {}

  @Post()
  @ApiOperation({
    summary: 'Make an API key',
    description: 'The answer shows the key; nothing does again. Without `scopes` it gets all but `admin`.',
  })
  @ApiCreatedResponse({ type: NewApiKeyResponse })
  @ApiErrors(403, 409)
  async create(@CurrentUser() caller: Principal, @Body() body: CreateApiKeyDto): Promise<NewApiKeyResponse> {
    const expiresAt = body.expires_at ? new Date(body.expires_at) : null;
    const { key, text } = await this.keys.create(caller, { name: body.name, scopes: body.scopes, expiresAt });
    return { ...ApiKeyResponse.from(key), key: text };
  }

  @Get()
  @ApiOperation({
    summary: "The caller's API keys",
    description: 'The newest first; those that were revoked are gone.',
  })
  @ApiOkResponse({ type: ApiKeyPage })
  async list(@CurrentUser() caller: Principal, @Query() query: PageQuery): Promise<Page<ApiKeyResponse>> {
    const window = query.window();
    const { keys, total } = await this.keys.list(caller.id, window);
    return toPage(
      keys.map((key) => ApiKeyResponse.from(key)),
      total,
      window,
    );
  }

  @Delete(':id')
  @HttpCode(HttpStatus.NO_CONTENT)
  @ApiOperation({ summary: 'Revoke an API key', description: 'It is dead at once, and so is what it has opened.' })
  @ApiNoContentResponse()
  revoke(@CurrentUser() caller: Principal, @Param('id', IdPipe) id: string): Promise<void> {
    return this.keys.revoke(caller, id);
  }
}
