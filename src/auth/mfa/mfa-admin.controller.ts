import { Controller, Delete, HttpCode, HttpStatus, Param } from '@nestjs/common';
import { ApiNoContentResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { SessionOnly } from '../../common/auth/access.decorator.js';
import { CurrentUser } from '../../common/auth/current-user.decorator.js';
import type { Principal } from '../../common/auth/principal.js';
import { ApiErrors } from '../../common/http/api-errors.decorator.js';
import { RateLimit } from '../../common/http/route-settings.decorator.js';
import { IdPipe } from '../../common/validation/id.pipe.js';
import { MfaService } from './mfa.service.js';

/** The way out for a user who has lost the authenticator app and the recovery codes. */
@ApiTags('admin')
@Controller('admin/users/:id/mfa')
@SessionOnly('admin')
@RateLimit('admin')
export class MfaAdminController {
  constructor(private readonly mfa: MfaService) {}

  @Delete()
  @HttpCode(HttpStatus.NO_CONTENT)
  @ApiOperation({
    summary: "Remove a user's second factor",
    description: 'And sign the user out everywhere. Not for the caller’s own, which asks for a code.',
  })
  @ApiNoContentResponse()
  @ApiErrors(403, 409)
  remove(@CurrentUser() caller: Principal, @Param('id', IdPipe) id: string): Promise<void> {
    return this.mfa.removeOf(caller, id);
  }
}
