import { Body, Controller, Delete, Get, HttpCode, HttpStatus, Param, Patch, Put, Query } from '@nestjs/common';
import {
  ApiBody,
  ApiExtraModels,
  ApiNoContentResponse,
  ApiOkResponse,
  ApiOperation,
  ApiTags,
  getSchemaPath,
} from '@nestjs/swagger';
import { Authenticated, SessionOnly } from '../common/auth/access.decorator.js';
import { CurrentUser } from '../common/auth/current-user.decorator.js';
import type { Account, Principal } from '../common/auth/principal.js';
import { ApiErrors } from '../common/http/api-errors.decorator.js';
import { MessageResponse } from '../common/http/message.response.js';
import { PageOf, toPage, type Page } from '../common/http/page.js';
import { CredentialsBody } from '../common/http/route-settings.decorator.js';
import { IdPipe } from '../common/validation/id.pipe.js';
import { AppConfig } from '../config/app-config.js';
import { DeleteAccountDto } from './dto/delete-account.dto.js';
import { UpdateUserDto } from './dto/update-user.dto.js';
import { PublicUserResponse, UserResponse } from './dto/user.response.js';
import { UsersQuery } from './dto/users.query.js';
import { toAccountChanges } from './users.mapper.js';
import { UsersService } from './users.service.js';

const UserPage = PageOf(UserResponse);
const PublicUserPage = PageOf(PublicUserResponse);
const eitherOf = (...models: (new () => object)[]) => ({
  schema: { anyOf: models.map((model) => ({ $ref: getSchemaPath(model) })) },
});

/** Pressed as it stands in Swagger UI, it must not rename whoever is signed in. */
const PROFILE_EXAMPLE = {
  type: UpdateUserDto,
  examples: { profile: { value: { first_name: 'John', last_name: 'Doe', bio: 'Software developer' } } },
};

@ApiTags('users')
@ApiExtraModels(UserResponse, PublicUserResponse, UserPage, PublicUserPage)
@Controller('users')
export class UsersController {
  constructor(
    private readonly users: UsersService,
    private readonly config: AppConfig,
  ) {}

  @Get()
  @Authenticated('users:read')
  @ApiOperation({
    summary: 'List users',
    description: 'Admins see everybody in full; others see the public view of the active users.',
  })
  @ApiOkResponse(eitherOf(PublicUserPage, UserPage))
  async list(
    @CurrentUser() caller: Principal,
    @Query() query: UsersQuery,
  ): Promise<Page<UserResponse | PublicUserResponse>> {
    const window = query.window();
    const { users, total } = await this.users.list(caller, query.search, window);
    return toPage(
      users.map((user) => this.present(caller.role === 'admin', user)),
      total,
      window,
    );
  }

  @Get('me')
  @Authenticated('users:read')
  @ApiOperation({ summary: 'The signed-in user' })
  @ApiOkResponse({ type: UserResponse })
  me(@CurrentUser() caller: Principal): UserResponse {
    return UserResponse.from(caller.account);
  }

  @Put('me')
  @Authenticated('users:write')
  @ApiBody(PROFILE_EXAMPLE)
  @ApiOperation({
    summary: 'Change the signed-in user',
    description: 'Only what is given changes; a new email is not verified.',
  })
  @ApiOkResponse({ type: UserResponse })
  @ApiErrors(409)
  async replaceMe(@CurrentUser() caller: Principal, @Body() body: UpdateUserDto): Promise<UserResponse> {
    return UserResponse.from(await this.users.update(caller, caller.id, toAccountChanges(body)));
  }

  @Patch('me')
  @Authenticated('users:write')
  @ApiBody(PROFILE_EXAMPLE)
  @ApiOperation({ summary: 'Change the signed-in user', description: 'The same as `PUT`.' })
  @ApiOkResponse({ type: UserResponse })
  @ApiErrors(409)
  updateMe(@CurrentUser() caller: Principal, @Body() body: UpdateUserDto): Promise<UserResponse> {
    return this.replaceMe(caller, body);
  }

  @Delete('me')
  @HttpCode(HttpStatus.NO_CONTENT)
  @SessionOnly()
  @CredentialsBody()
  @ApiOperation({
    summary: 'Delete the signed-in user',
    description: 'Asks for the password. Files, sessions and keys go with the account.',
  })
  @ApiNoContentResponse()
  @ApiErrors(400, 409)
  deleteMe(@CurrentUser() caller: Principal, @Body() body: DeleteAccountDto): Promise<void> {
    return this.users.deleteOwn(caller, body.password);
  }

  @Get(':id')
  @Authenticated('users:read')
  @ApiOperation({ summary: 'A user', description: 'In full for the user and admins, else the public view.' })
  @ApiOkResponse(eitherOf(PublicUserResponse, UserResponse))
  async get(
    @CurrentUser() caller: Principal,
    @Param('id', IdPipe) id: string,
  ): Promise<UserResponse | PublicUserResponse> {
    return this.present(caller.role === 'admin' || caller.id === id, await this.users.get(id));
  }

  @Put(':id')
  @Authenticated('users:write')
  @ApiBody(PROFILE_EXAMPLE)
  @ApiOperation({ summary: 'Change a user', description: 'By the user or an admin. Only what is given changes.' })
  @ApiOkResponse({ type: UserResponse })
  @ApiErrors(403, 409)
  async replace(
    @CurrentUser() caller: Principal,
    @Param('id', IdPipe) id: string,
    @Body() body: UpdateUserDto,
  ): Promise<UserResponse> {
    return UserResponse.from(await this.users.update(caller, id, toAccountChanges(body)));
  }

  @Patch(':id')
  @Authenticated('users:write')
  @ApiBody(PROFILE_EXAMPLE)
  @ApiOperation({ summary: 'Change a user', description: 'The same as `PUT`.' })
  @ApiOkResponse({ type: UserResponse })
  @ApiErrors(403, 409)
  update(
    @CurrentUser() caller: Principal,
    @Param('id', IdPipe) id: string,
    @Body() body: UpdateUserDto,
  ): Promise<UserResponse> {
    return this.replace(caller, id, body);
  }

  @Delete(':id')
  @Authenticated('users:write')
  @ApiOperation({
    summary: 'Delete a user',
    description:
      'By the user or an admin; by an API key only other accounts, with the scope `admin` as well. The last active admin stays.',
  })
  @ApiOkResponse({ type: MessageResponse, example: { message: 'User deleted successfully' } })
  @ApiErrors(403, 409)
  async delete(@CurrentUser() caller: Principal, @Param('id', IdPipe) id: string): Promise<MessageResponse> {
    await this.users.delete(caller, id);
    return MessageResponse.of('User deleted successfully');
  }

  private present(seesAll: boolean, account: Account): UserResponse | PublicUserResponse {
    return seesAll
      ? UserResponse.from(account)
      : PublicUserResponse.from(account, this.config.accounts.directoryShowsEmail);
  }
}
