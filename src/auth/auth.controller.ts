import { Body, Controller, Delete, Get, HttpCode, HttpStatus, Param, Post, Query } from '@nestjs/common';
import {
  ApiBody,
  ApiConsumes,
  ApiExtraModels,
  ApiNoContentResponse,
  ApiOkResponse,
  ApiOperation,
  ApiTags,
  getSchemaPath,
} from '@nestjs/swagger';
import { Public, SessionOnly } from '../common/auth/access.decorator.js';
import { CurrentUser } from '../common/auth/current-user.decorator.js';
import { type Principal, sessionOf } from '../common/auth/principal.js';
import { ApiErrors } from '../common/http/api-errors.decorator.js';
import { Client, type ClientInfo } from '../common/http/client-info.js';
import { MessageResponse } from '../common/http/message.response.js';
import { NoBody } from '../common/http/no-body.decorator.js';
import { PageOf, PageQuery, toPage, type Page } from '../common/http/page.js';
import { CredentialsBody, RateLimit } from '../common/http/route-settings.decorator.js';
import { IdPipe } from '../common/validation/id.pipe.js';
import { AuthService } from './auth.service.js';
import { ChangePasswordDto } from './dto/change-password.dto.js';
import { LoginDto } from './dto/login.dto.js';
import { LogoutDto, RefreshDto } from './dto/refresh.dto.js';
import { SessionResponse } from './dto/session.response.js';
import { LoginResponse, MfaRequiredResponse, TokenPairResponse } from './dto/token.response.js';
import { loginName } from './login-name.js';
import { LoginService } from './login.service.js';
import { SessionsService } from './sessions/sessions.service.js';

const SessionPage = PageOf(SessionResponse);

@ApiTags('auth')
@ApiExtraModels(LoginResponse, MfaRequiredResponse)
@Controller()
export class AuthController {
  constructor(
    private readonly auth: AuthService,
    private readonly logins: LoginService,
    private readonly sessions: SessionsService,
  ) {}

  @Post('auth/login')
  @HttpCode(HttpStatus.OK)
  @Public()
  @RateLimit('credentials', 'Too many login attempts. Please try again later.')
  @CredentialsBody({ acceptsForm: true })
  @ApiOperation({
    summary: 'Sign in',
    description:
      'With email or username, as JSON or as an OAuth 2 password form. An account with a second factor gets no tokens but ' +
      '`mfa_required`, and goes on with `POST /auth/mfa/verify`.',
  })
  @ApiConsumes('application/json', 'application/x-www-form-urlencoded')
  @ApiBody({ type: LoginDto })
  @ApiOkResponse({
    schema: { oneOf: [LoginResponse, MfaRequiredResponse].map((model) => ({ $ref: getSchemaPath(model) })) },
  })
  @ApiErrors(401, 403)
  async login(@Client() client: ClientInfo, @Body() body: LoginDto): Promise<LoginResponse | MfaRequiredResponse> {
    const outcome = await this.logins.login(loginName(body), body.password, client);
    return 'loginToken' in outcome ? MfaRequiredResponse.from(outcome) : LoginResponse.from(outcome);
  }

  @Post('auth/refresh')
  @HttpCode(HttpStatus.OK)
  @Public()
  @RateLimit('anonymous')
  @CredentialsBody()
  @ApiOperation({
    summary: 'Trade the refresh token for a new pair',
    description: 'Each refresh token is good once; see “Signing in” in the README.',
  })
  @ApiOkResponse({ type: TokenPairResponse })
  @ApiErrors(401)
  async refresh(@Client() client: ClientInfo, @Body() body: RefreshDto): Promise<TokenPairResponse> {
    return TokenPairResponse.of(await this.auth.refresh(body.refresh_token, client));
  }

  @Post('auth/logout')
  @HttpCode(HttpStatus.NO_CONTENT)
  @SessionOnly()
  @CredentialsBody()
  @ApiOperation({
    summary: 'Sign out',
    description: 'Ends the session: its access and refresh tokens are dead at once. The body may be left out.',
  })
  @ApiBody({ type: LogoutDto, required: false })
  @ApiNoContentResponse()
  logout(@CurrentUser() caller: Principal, @Body() body: LogoutDto): Promise<void> {
    return this.auth.logout(caller, body.refresh_token);
  }

  @Post('auth/logout-all')
  @NoBody()
  @HttpCode(HttpStatus.NO_CONTENT)
  @SessionOnly()
  @ApiOperation({ summary: 'Sign out everywhere' })
  @ApiNoContentResponse()
  logoutAll(@CurrentUser() caller: Principal): Promise<void> {
    return this.sessions.endAll(caller);
  }

  @Post(['auth/change-password', 'users/change-password'])
  @HttpCode(HttpStatus.OK)
  @SessionOnly()
  @CredentialsBody()
  @ApiOperation({ summary: 'Change the password', description: 'Other sessions end; this one stays.' })
  @ApiOkResponse({ type: MessageResponse })
  @ApiErrors(400)
  async changePassword(@CurrentUser() caller: Principal, @Body() body: ChangePasswordDto): Promise<MessageResponse> {
    await this.auth.changePassword(caller, {
      currentPassword: body.current_password,
      newPassword: body.new_password,
      confirmPassword: body.confirm_password,
    });
    return MessageResponse.of('Password changed successfully');
  }

  @Get('auth/sessions')
  @SessionOnly()
  @ApiOperation({ summary: "The caller's sessions", description: 'One for each signed-in device, the newest first.' })
  @ApiOkResponse({ type: SessionPage })
  async listSessions(@CurrentUser() caller: Principal, @Query() query: PageQuery): Promise<Page<SessionResponse>> {
    const window = query.window();
    const { sessions, total } = await this.sessions.list(caller.id, window);
    return toPage(
      sessions.map((session) => SessionResponse.from(session, sessionOf(caller))),
      total,
      window,
    );
  }

  @Delete('auth/sessions/:id')
  @HttpCode(HttpStatus.NO_CONTENT)
  @SessionOnly()
  @ApiOperation({ summary: 'End a session', description: 'Signs that device out at once.' })
  @ApiNoContentResponse()
  endSession(@CurrentUser() caller: Principal, @Param('id', IdPipe) id: string): Promise<void> {
    return this.sessions.end(caller, id);
  }
}
