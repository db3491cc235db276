import { ApiPropertyOptional } from '@nestjs/swagger';
import { IsIn } from 'class-validator';
import { ROLES, type Role } from '../../common/auth/role.js';
import { PageQuery } from '../../common/http/page.js';
import { Optional, SearchField } from '../../common/validation/fields.js';
import type { UsersFilter } from '../../users/users-admin.service.js';
import { QueryBooleanField } from './fields.js';

export const USER_SORTS = ['created_at', 'username', 'email', 'last_login'] as const;
const SORT_ORDERS = ['asc', 'desc'] as const;

export class AdminUsersQuery extends PageQuery {
  @SearchField(
    'Any part of a username, name or email; one or two characters match the beginning of a username or email',
  )
  search?: string;

  @ApiPropertyOptional({ enum: ROLES, enumName: 'Role' })
  @Optional()
  @IsIn(ROLES)
  role?: Role;

  @QueryBooleanField('Only accounts that are active, or only those that are not')
  active?: boolean;

  @ApiPropertyOptional({
    enum: USER_SORTS,
    default: 'created_at',
    description: 'In the order of `last_login`, whoever has never signed in comes before everybody who has',
  })
  @Optional()
  @IsIn(USER_SORTS)
  sort_by: UsersFilter['sortBy'] = 'created_at';

  @ApiPropertyOptional({ enum: SORT_ORDERS, default: 'desc' })
  @Optional()
  @IsIn(SORT_ORDERS)
  sort_order: (typeof SORT_ORDERS)[number] = 'desc';

  filter(): UsersFilter {
    return {
      search: this.search?.trim() || null,
      role: this.role ?? null,
      isActive: this.active ?? null,
      sortBy: this.sort_by,
      isDescending: this.sort_order === 'desc',
    };
  }
}
