import { ApiProperty } from '@nestjs/swagger';
import { UserResponse } from '../../users/dto/user.response.js';
import type { PendingLogin, SignedIn } from '../login.service.js';
import type { TokenPair } from '../tokens/token-pairs.js';

export class TokenPairResponse {
  @ApiProperty({ example: 'eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9…' })
  access_token!: string;

  @ApiProperty({ example: 'AZfwoHsc…' })
  refresh_token!: string;

  @ApiProperty({ enum: ['bearer'], example: 'bearer' })
  token_type!: 'bearer';

  @ApiProperty({ type: 'integer', example: 900, description: 'Seconds until the access token expires' })
  expires_in!: number;

  static of(pair: TokenPair): TokenPairResponse {
    return {
      access_token: pair.accessToken,
      refresh_token: pair.refreshToken,
      token_type: 'bearer',
      expires_in: pair.expiresInSeconds,
    };
  }
}

export class LoginResponse extends TokenPairResponse {
  @ApiProperty({ type: UserResponse })
  user!: UserResponse;

  static from({ account, tokens }: SignedIn): LoginResponse {
    return { ...TokenPairResponse.of(tokens), user: UserResponse.from(account) };
  }
}

/** The password was right; a code of the second factor is still to come. */
export class MfaRequiredResponse {
  @ApiProperty({ enum: [true], example: true })
  mfa_required!: true;

  @ApiProperty({ example: 'eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9…', description: 'For `POST /auth/mfa/verify`' })
  mfa_token!: string;

  @ApiProperty({ type: 'integer', example: 300, description: 'Seconds until `mfa_token` expires' })
  expires_in!: number;

  static from({ loginToken, expiresInSeconds }: PendingLogin): MfaRequiredResponse {
    return { mfa_required: true, mfa_token: loginToken, expires_in: expiresInSeconds };
  }
}
