import { ApiProperty } from '@nestjs/swagger';
import type { FactorStatus } from '../mfa.service.js';

const EXAMPLE_SECRET = 'JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP';

export class MfaStatusResponse {
  @ApiProperty({ description: 'Whether signing in asks for a code' })
  enabled!: boolean;

  @ApiProperty({ description: 'Whether the settings of this server ask the account for a second factor' })
  required!: boolean;

  @ApiProperty({ type: 'integer', example: 10 })
  recovery_codes_left!: number;

  static from(status: FactorStatus): MfaStatusResponse {
    return {
      enabled: status.isEnabled,
      required: status.isRequired,
      recovery_codes_left: status.recoveryCodesLeft,
    };
  }
}

export class MfaSetupResponse {
  @ApiProperty({ example: EXAMPLE_SECRET, description: 'For typing into the app, base 32' })
  secret!: string;

  @ApiProperty({
    example: `otpauth://totp/Gatehouse:user%40example.com?issuer=Gatehouse&secret=${EXAMPLE_SECRET}&algorithm=SHA1&digits=6&period=30`,
  })
  otpauth_uri!: string;

  @ApiProperty({ example: '<svg xmlns="http://www.w3.org/2000/svg">…</svg>', description: 'The URI as a QR code' })
  qr_svg!: string;
}

export class RecoveryCodesResponse {
  @ApiProperty({
    type: [String],
    example: ['7k2fm-0xw9c-tq4rd-n8vhz'],
    description: 'Shown this once; each is good once',
  })
  recovery_codes!: string[];
}
