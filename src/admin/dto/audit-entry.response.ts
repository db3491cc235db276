import { ApiProperty } from '@nestjs/swagger';
import type { AuditEntry } from '../../audit/audit-log.service.js';
import { AUDIT_ACTIONS, type AuditAction } from '../../common/events/audit-event.js';

const EXAMPLE_ID = '0197f0a0-7b1c-7e7e-8a00-3d2f1c0b9a88';

export class AuditEntryResponse {
  @ApiProperty({ format: 'uuid', example: EXAMPLE_ID })
  id!: string;

  @ApiProperty({ format: 'date-time', example: '2026-01-01T00:00:00.000Z' })
  created_at!: string;

  @ApiProperty({
    type: String,
    format: 'uuid',
    nullable: true,
    example: EXAMPLE_ID,
    description: 'Who did it, if somebody was signed in; the account may be gone',
  })
  actor_id!: string | null;

  @ApiProperty({ enum: AUDIT_ACTIONS, enumName: 'AuditAction', example: 'user.role_changed' })
  action!: AuditAction;

  @ApiProperty({ type: String, nullable: true, example: 'user' })
  target_type!: string | null;

  @ApiProperty({ type: String, nullable: true, example: EXAMPLE_ID })
  target_id!: string | null;

  @ApiProperty({ type: String, nullable: true, example: '203.0.113.7' })
  ip_address!: string | null;

  @ApiProperty({ type: String, nullable: true, example: 'curl/8.5.0' })
  user_agent!: string | null;

  @ApiProperty({ type: String, nullable: true, example: EXAMPLE_ID })
  request_id!: string | null;

  @ApiProperty({ type: 'object', additionalProperties: true, example: { from: 'user', to: 'admin' } })
  details!: Readonly<Record<string, unknown>>;

  static from(entry: AuditEntry): AuditEntryResponse {
    return {
      id: entry.id,
      created_at: entry.createdAt.toISOString(),
      actor_id: entry.actorId,
      action: entry.action,
      target_type: entry.targetType,
      target_id: entry.targetId,
      ip_address: entry.ipAddress,
      user_agent: entry.userAgent,
      request_id: entry.requestId,
      details: entry.details,
    };
  }
}
