import { Body, Controller, HttpCode, HttpStatus, Post, Req } from '@nestjs/common';
import { ApiAcceptedResponse, ApiBody, ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { OptionallyAuthenticated, Public } from '../../common/auth/access.decorator.js';
import { CurrentUser } from '../../common/auth/current-user.decorator.js';
import type { Principal } from '../../common/auth/principal.js';
import { InsufficientScopeError, InvalidCredentialsError, ValidationFailedError } from '../../common/errors/errors.js';
import { ApiErrors } from '../../common/http/api-errors.decorator.js';
import { Client, type ClientInfo } from '../../common/http/client-info.js';
import { MessageResponse } from '../../common/http/message.response.js';
import type { GatehouseRequest } from '../../common/http/request.js';
import { CredentialsBody, RateLimit } from '../../common/http/route-settings.decorator.js';
import { hasCredentials } from '../tokens/access-tokens.js';
import { ForgotPasswordDto, ResendVerificationDto, ResetPasswordDto, TokenDto } from './dto/mail-flows.dto.js';
import { EmailChangeUndoService } from './email-change-undo.service.js';
import { EmailVerificationService } from './email-verification.service.js';
import { PasswordResetMailsService } from './password-reset-mails.service.js';
import { PasswordResetService } from './password-reset.service.js';

/** What is asked for by mail, and what the links of mails do. Nothing here tells whether an address has an account. */
@ApiTags('auth')
@Controller('auth')
@RateLimit('credentials')
@CredentialsBody()
export class MailFlowsController {
  constructor(
    private readonly resetMails: PasswordResetMailsService,
    private readonly resets: PasswordResetService,
    private readonly verifications: EmailVerificationService,
    private readonly undoing: EmailChangeUndoService,
  ) {}

  @Post('forgot-password')
  @HttpCode(HttpStatus.ACCEPTED)
  @Public()
  @ApiOperation({
    summary: 'Ask for a mail to set a new password',
    description:
      'The answer is the same whether or not there is such an account. At most one mail a minute, and five an hour.',
  })
  @ApiAcceptedResponse({ type: MessageResponse })
  async forgotPassword(@Client() client: ClientInfo, @Body() body: ForgotPasswordDto): Promise<MessageResponse> {
    await this.resetMails.request(body.email, client);
    return MessageResponse.of('If the address has an account, a mail with a link to set a new password is on its way');
  }

  @Post('reset-password')
  @HttpCode(HttpStatus.OK)
  @Public()
  @ApiOperation({
    summary: 'Set a new password by the link of a mail',
    description: 'All sessions end. The link works once, within an hour; a password that is refused leaves it good.',
  })
  @ApiOkResponse({ type: MessageResponse })
  @ApiErrors(400)
  async resetPassword(@Client() client: ClientInfo, @Body() body: ResetPasswordDto): Promise<MessageResponse> {
    await this.resets.reset(
      { token: body.token, newPassword: body.new_password, confirmPassword: body.confirm_password },
      client,
    );
    return MessageResponse.of('Password reset successfully');
  }

  @Post('verify-email')
  @HttpCode(HttpStatus.OK)
  @Public()
  @ApiOperation({ summary: 'Verify an address by the link of a mail' })
  @ApiOkResponse({ type: MessageResponse })
  @ApiErrors(400)
  async verifyEmail(@Client() client: ClientInfo, @Body() body: TokenDto): Promise<MessageResponse> {
    await this.verifications.verify(body.token, client);
    return MessageResponse.of('Email address verified successfully');
  }

  @Post('resend-verification')
  @HttpCode(HttpStatus.ACCEPTED)
  @OptionallyAuthenticated()
  @ApiOperation({
    summary: 'Ask for the verification mail again',
    description:
      'Signed in the body may be left out. The answer is the same whether or not there is anything to verify.',
  })
  @ApiBody({ type: ResendVerificationDto, required: false })
  @ApiAcceptedResponse({ type: MessageResponse })
  @ApiErrors(401, 403)
  async resendVerification(
    @CurrentUser() caller: Principal | undefined,
    @Req() request: GatehouseRequest,
    @Body() body: ResendVerificationDto,
  ): Promise<MessageResponse> {
    await this.verifications.resend(body.email ?? ownAddress(caller, hasCredentials(request)));
    return MessageResponse.of('If the address is to be verified, a mail with a link is on its way');
  }

  @Post('undo-email-change')
  @HttpCode(HttpStatus.OK)
  @Public()
  @ApiOperation({
    summary: 'Undo a change of address by the link of a mail',
    description:
      'The account gets its previous address back, sessions end and API keys are revoked. If the password was changed since, none is right until it is reset.',
  })
  @ApiOkResponse({ type: MessageResponse })
  @ApiErrors(400, 409)
  async undoEmailChange(@Client() client: ClientInfo, @Body() body: TokenDto): Promise<MessageResponse> {
    const { needsPassword } = await this.undoing.undo(body.token, client);
    const done = 'The account has its previous address again, and all devices are signed out';
    return MessageResponse.of(needsPassword ? `${done}. A mail to set a new password is on its way` : done);
  }
}

/** Of somebody who is signed in. Keys do not ask for mails, and a guest has no address of their own. */
function ownAddress(caller: Principal | undefined, hasTried: boolean): string {
  if (caller?.apiKey) throw new InsufficientScopeError();
  if (caller) return caller.account.email;
  if (hasTried) throw new InvalidCredentialsError();
  const shape = { loc: ['body', 'email'], msg: 'field required', type: 'value_error.missing' };
  throw new ValidationFailedError([shape], { email: [shape.msg] });
}
