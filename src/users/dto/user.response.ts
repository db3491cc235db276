import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import type { Account } from '../../common/auth/principal.js';
import { ROLES, type Role } from '../../common/auth/role.js';

const EXAMPLE_ID = '0197f0a0-7b1c-7e7e-8a00-3d2f1c0b9a88';
const EXAMPLE_TIME = '2026-01-01T00:00:00.000Z';

const nullableText = (example: string | null) => ({ type: String, nullable: true, example }) as const;

export class PublicProfileResponse {
  @ApiProperty(nullableText('John'))
  first_name!: string | null;

  @ApiProperty(nullableText('Doe'))
  last_name!: string | null;

  @ApiProperty(nullableText('Software developer'))
  bio!: string | null;
}

export class ProfileResponse extends PublicProfileResponse {
  @ApiProperty(nullableText('+1234567890'))
  phone_number!: string | null;
}

export class UserStatsResponse {
  @ApiProperty({ type: 'integer', example: 42 })
  total_uploads!: number;

  @ApiProperty({ type: 'integer', example: 1_048_576, description: 'Bytes' })
  total_storage_used!: number;
}

/** What any signed-in user sees of another. */
export class PublicUserResponse {
  @ApiProperty({ format: 'uuid', example: EXAMPLE_ID })
  id!: string;

  @ApiProperty({ example: 'john_doe' })
  username!: string;

  @ApiProperty(nullableText('John Doe'))
  full_name!: string | null;

  @ApiPropertyOptional({
    format: 'email',
    example: 'user@example.com',
    description: 'Only when DIRECTORY_SHOWS_EMAIL=true',
  })
  email?: string;

  @ApiProperty()
  is_active!: boolean;

  @ApiProperty()
  is_verified!: boolean;

  @ApiProperty({ format: 'date-time', example: EXAMPLE_TIME })
  created_at!: string;

  @ApiProperty({ ...nullableText(null), format: 'date-time' })
  last_login!: string | null;

  @ApiProperty({ type: PublicProfileResponse })
  profile!: PublicProfileResponse;

  static from(account: Account, showsEmail: boolean): PublicUserResponse {
    return {
      id: account.id,
      username: account.username,
      full_name: displayName(account),
      ...(showsEmail && { email: account.email }),
      is_active: account.isActive,
      is_verified: account.isVerified,
      created_at: account.createdAt.toISOString(),
      last_login: account.lastLogin?.toISOString() ?? null,
      profile: { first_name: account.firstName, last_name: account.lastName, bio: account.bio },
    };
  }
}

/** What the owner and admins see. */
export class UserResponse {
  @ApiProperty({ format: 'uuid', example: EXAMPLE_ID })
  id!: string;

  @ApiProperty({ format: 'email', example: 'user@example.com' })
  email!: string;

  @ApiProperty({ example: 'john_doe' })
  username!: string;

  @ApiProperty(nullableText('John Doe'))
  full_name!: string | null;

  @ApiProperty({ enum: ROLES, enumName: 'Role', example: 'user' })
  role!: Role;

  @ApiProperty()
  is_active!: boolean;

  @ApiProperty({ description: 'Whether the role is admin', example: false })
  is_superuser!: boolean;

  @ApiProperty({ example: false })
  is_verified!: boolean;

  @ApiProperty({ format: 'date-time', example: EXAMPLE_TIME })
  created_at!: string;

  @ApiProperty({ format: 'date-time', example: EXAMPLE_TIME })
  updated_at!: string;

  @ApiProperty({ ...nullableText(null), format: 'date-time' })
  last_login!: string | null;

  @ApiProperty({ type: ProfileResponse })
  profile!: ProfileResponse;

  @ApiProperty({ type: UserStatsResponse })
  stats!: UserStatsResponse;

  static from(account: Account): UserResponse {
    return {
      id: account.id,
      email: account.email,
      username: account.username,
      full_name: displayName(account),
      role: account.role,
      is_active: account.isActive,
      is_superuser: account.role === 'admin',
      is_verified: account.isVerified,
      created_at: account.createdAt.toISOString(),
      updated_at: account.updatedAt.toISOString(),
      last_login: account.lastLogin?.toISOString() ?? null,
      profile: {
        first_name: account.firstName,
        last_name: account.lastName,
        bio: account.bio,
        phone_number: account.phoneNumber,
      },
      stats: { total_uploads: account.totalUploads, total_storage_used: account.totalStorageUsed },
    };
  }
}

/** The full name, or else first and last name joined. */
function displayName({ fullName, firstName, lastName }: Account): string | null {
  return fullName || [firstName, lastName].filter(Boolean).join(' ') || null;
}
