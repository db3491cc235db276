import { ApiPropertyOptional } from '@nestjs/swagger';
import { IsBoolean, IsIn, IsInt, Max, Min } from 'class-validator';
import { ROLES, type Role } from '../../common/auth/role.js';
import { Nullable, Optional } from '../../common/validation/fields.js';

/** `PUT` and `PATCH` both change only what is given. */
export class UpdateStandingDto {
  @ApiPropertyOptional({ enum: ROLES, enumName: 'Role', example: 'user' })
  @Optional()
  @IsIn(ROLES)
  role?: Role;

  @ApiPropertyOptional({ type: Boolean, example: true })
  @Optional()
  @IsBoolean()
  is_active?: boolean;

  @ApiPropertyOptional({
    type: 'integer',
    nullable: true,
    minimum: 0,
    maximum: Number.MAX_SAFE_INTEGER,
    example: 1_073_741_824,
    description: 'Bytes; `null` makes it `USER_QUOTA` again',
  })
  @Nullable()
  @IsInt()
  @Min(0)
  @Max(Number.MAX_SAFE_INTEGER)
  quota?: number | null;
}
