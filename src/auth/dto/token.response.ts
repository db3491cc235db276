import { ApiProperty } from '@nestjs/swagger';
import { UserResponse } from '../../users/dto/user.response.js';

export class TokenPairResponse {
  @ApiProperty({ example: 'eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9…' })
  access_token!: string;

  @ApiProperty({ example: 'AZfwoHsc…' })
  refresh_token!: string;

  @ApiProperty({ enum: ['bearer'], example: 'bearer' })
  token_type!: 'bearer';

  @ApiProperty({ type: 'integer', example: 900, description: 'Seconds until the access token expires' })
  expires_in!: number;
}

export class LoginResponse extends TokenPairResponse {
  @ApiProperty({ type: UserResponse })
  user!: UserResponse;
}
