import { Body, Controller, Get, HttpCode, HttpStatus, Post } from '@nestjs/common';
import { ApiBody, ApiNoContentResponse, ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import QRCode from 'qrcode';
import { Public, SessionOnly } from '../../common/auth/access.decorator.js';
import { CurrentUser } from '../../common/auth/current-user.decorator.js';
import type { Principal } from '../../common/auth/principal.js';
import { ApiErrors } from '../../common/http/api-errors.decorator.js';
import { Client, type ClientInfo } from '../../common/http/client-info.js';
import { CredentialsBody, RateLimit } from '../../common/http/route-settings.decorator.js';
import { LoginResponse } from '../dto/token.response.js';
import { ConfirmMfaDto, MfaProofDto, SetUpMfaDto, VerifyMfaDto } from './dto/mfa.dto.js';
import { MfaSetupResponse, MfaStatusResponse, RecoveryCodesResponse } from './dto/mfa.response.js';
import { proofOf } from './given-proof.js';
import { MfaService } from './mfa.service.js';
import { totpProof } from './proof.js';
import { SecondStepService } from './second-step.service.js';

/** With the least redundancy every URI fits, however long product name and address are; screens do not get scratched. */
const QR_OPTIONS = { type: 'svg', errorCorrectionLevel: 'L' } as const;

/** As it stands in Swagger UI: one of the two, not both. */
const examplesWith = (rest: object) => ({
  code: { value: { ...rest, code: '123456' } },
  recovery_code: { value: { ...rest, recovery_code: '7k2fm-0xw9c-tq4rd-n8vhz' } },
});
const PROOF_EXAMPLES = examplesWith({ password: 'SecurePass123!' });
const VERIFY_EXAMPLES = examplesWith({ mfa_token: 'eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9…' });

/** The second factor: an authenticator app, and recovery codes for when it is lost. */
@ApiTags('auth')
@Controller('auth/mfa')
export class MfaController {
  constructor(
    private readonly mfa: MfaService,
    private readonly secondStep: SecondStepService,
  ) {}

  @Get()
  @SessionOnly()
  @ApiOperation({ summary: "The caller's second factor" })
  @ApiOkResponse({ type: MfaStatusResponse })
  async status(@CurrentUser() caller: Principal): Promise<MfaStatusResponse> {
    return MfaStatusResponse.from(await this.mfa.statusOf(caller));
  }

  @Post('setup')
  @HttpCode(HttpStatus.OK)
  @SessionOnly()
  @CredentialsBody()
  @ApiOperation({
    summary: 'Begin with a second factor',
    description:
      'For an authenticator app. Nothing changes until a code confirms it; beginning again makes another secret.',
  })
  @ApiOkResponse({ type: MfaSetupResponse })
  @ApiErrors(400, 409)
  async setUp(@CurrentUser() caller: Principal, @Body() body: SetUpMfaDto): Promise<MfaSetupResponse> {
    const { secret, uri } = await this.mfa.setUp(caller, body.password);
    return { secret, otpauth_uri: uri, qr_svg: await QRCode.toString(uri, QR_OPTIONS) };
  }

  @Post('confirm')
  @HttpCode(HttpStatus.OK)
  @SessionOnly()
  @CredentialsBody()
  @ApiOperation({
    summary: 'Turn the second factor on',
    description: 'By a code of the app. From now on signing in asks for one; other sessions end, API keys stay.',
  })
  @ApiOkResponse({ type: RecoveryCodesResponse })
  @ApiErrors(400, 409)
  async confirm(@CurrentUser() caller: Principal, @Body() body: ConfirmMfaDto): Promise<RecoveryCodesResponse> {
    return { recovery_codes: await this.mfa.confirm(caller, totpProof(body.code)) };
  }

  @Post('recovery-codes')
  @HttpCode(HttpStatus.OK)
  @SessionOnly()
  @CredentialsBody()
  @ApiOperation({ summary: 'Make new recovery codes', description: 'Those from before are void.' })
  @ApiBody({ type: MfaProofDto, examples: PROOF_EXAMPLES })
  @ApiOkResponse({ type: RecoveryCodesResponse })
  @ApiErrors(400, 409)
  async renewRecoveryCodes(
    @CurrentUser() caller: Principal,
    @Body() body: MfaProofDto,
  ): Promise<RecoveryCodesResponse> {
    return { recovery_codes: await this.mfa.renewRecoveryCodes(caller, body.password, proofOf(body)) };
  }

  @Post('disable')
  @HttpCode(HttpStatus.NO_CONTENT)
  @SessionOnly()
  @CredentialsBody()
  @ApiOperation({ summary: 'Turn the second factor off', description: 'The recovery codes are void.' })
  @ApiBody({ type: MfaProofDto, examples: PROOF_EXAMPLES })
  @ApiNoContentResponse()
  @ApiErrors(400, 409)
  disable(@CurrentUser() caller: Principal, @Body() body: MfaProofDto): Promise<void> {
    return this.mfa.disable(caller, body.password, proofOf(body));
  }

  @Post('verify')
  @HttpCode(HttpStatus.OK)
  @Public()
  @RateLimit('credentials', 'Too many login attempts. Please try again later.')
  @CredentialsBody()
  @ApiOperation({
    summary: 'Sign in with a code',
    description: 'The end of a login that answered `mfa_required`: by a code of the app, or a recovery code.',
  })
  @ApiBody({ type: VerifyMfaDto, examples: VERIFY_EXAMPLES })
  @ApiOkResponse({ type: LoginResponse })
  @ApiErrors(401, 403)
  async verify(@Client() client: ClientInfo, @Body() body: VerifyMfaDto): Promise<LoginResponse> {
    return LoginResponse.from(await this.secondStep.verify(body.mfa_token, proofOf(body), client));
  }
}
