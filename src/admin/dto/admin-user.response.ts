import { ApiProperty } from '@nestjs/swagger';
import { UserResponse } from '../../users/dto/user.response.js';
import type { ManagedAccount } from '../../users/users-admin.service.js';

/** What administrators see. */
export class AdminUserResponse extends UserResponse {
  @ApiProperty({
    type: 'integer',
    nullable: true,
    example: null,
    description: 'Bytes that the files may take; `null` is `USER_QUOTA`',
  })
  quota!: number | null;

  @ApiProperty({ description: 'Whether signing in asks for a code' })
  has_second_factor!: boolean;

  static ofManaged(account: ManagedAccount): AdminUserResponse {
    return { ...UserResponse.from(account), quota: account.quota, has_second_factor: account.hasSecondFactor };
  }
}
