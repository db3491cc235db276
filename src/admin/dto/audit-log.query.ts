import { ApiPropertyOptional } from '@nestjs/swagger';
import { IsIn, IsString } from 'class-validator';
import type { AuditFilter } from '../../audit/audit-log.service.js';
import { AUDIT_ACTIONS, type AuditAction } from '../../common/events/audit-event.js';
import { PageQuery } from '../../common/http/page.js';
import { Optional, TextLength } from '../../common/validation/fields.js';
import { QueryIdField, QueryTimeField } from './fields.js';

const TARGET_MAX = 128;

export class AuditLogQuery extends PageQuery {
  @QueryIdField('Only what this user did')
  actor_id?: string;

  @ApiPropertyOptional({ enum: AUDIT_ACTIONS, enumName: 'AuditAction' })
  @Optional()
  @IsIn(AUDIT_ACTIONS)
  action?: AuditAction;

  @ApiPropertyOptional({
    type: String,
    maxLength: TARGET_MAX,
    description: 'Only what was done to the user, session, key or file of this id, or to the channel of this name',
  })
  @Optional()
  @IsString()
  @TextLength(1, TARGET_MAX)
  target_id?: string;

  @QueryTimeField('Only what happened at this time or later, like `2026-01-01T00:00:00Z`')
  from?: string;

  @QueryTimeField('Only what happened before this time, like `2026-02-01`')
  to?: string;

  filter(): AuditFilter {
    return {
      actorId: this.actor_id,
      action: this.action,
      targetId: this.target_id,
      from: this.from === undefined ? undefined : new Date(this.from),
      to: this.to === undefined ? undefined : new Date(this.to),
    };
  }
}
