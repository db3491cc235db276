import { Body, Controller, Post } from '@nestjs/common';
import { ApiCreatedResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { OptionallyAuthenticated } from '../common/auth/access.decorator.js';
import { CurrentUser } from '../common/auth/current-user.decorator.js';
import type { Principal } from '../common/auth/principal.js';
import { ApiErrors } from '../common/http/api-errors.decorator.js';
import { Client, type ClientInfo } from '../common/http/client-info.js';
import { CredentialsBody, RateLimit } from '../common/http/route-settings.decorator.js';
import { RegisterDto } from './dto/register.dto.js';
import { UserResponse } from './dto/user.response.js';
import { toNewAccount } from './users.mapper.js';
import { UsersService } from './users.service.js';

/** Signing up, under both of its names. */
@ApiTags('auth')
@Controller()
export class RegistrationController {
  constructor(private readonly users: UsersService) {}

  @Post(['auth/register', 'users'])
  @OptionallyAuthenticated()
  @RateLimit('credentials')
  @CredentialsBody()
  @ApiOperation({
    summary: 'Sign up',
    description:
      'Creates the account; signing in is `POST /auth/login`. While registration is closed only admins create users.',
  })
  @ApiCreatedResponse({ type: UserResponse })
  @ApiErrors(403, 409)
  async register(
    @CurrentUser() caller: Principal | undefined,
    @Client() client: ClientInfo,
    @Body() body: RegisterDto,
  ): Promise<UserResponse> {
    return UserResponse.from(await this.users.register(toNewAccount(body), caller, client));
  }
}
