import { ApiProperty } from '@nestjs/swagger';
import type { Session } from '../sessions/session.entity.js';

const EXAMPLE_TIME = '2026-01-01T00:00:00.000Z';

export class SessionResponse {
  @ApiProperty({ format: 'uuid' })
  id!: string;

  @ApiProperty({ format: 'date-time', example: EXAMPLE_TIME })
  created_at!: string;

  @ApiProperty({ format: 'date-time', example: EXAMPLE_TIME, description: 'The login or its last refresh' })
  last_used_at!: string;

  @ApiProperty({ example: '203.0.113.7' })
  ip_address!: string;

  @ApiProperty({ type: String, nullable: true, example: 'curl/8.5.0' })
  user_agent!: string | null;

  @ApiProperty({ description: 'Whether it is the session of this request' })
  is_current!: boolean;

  static from(session: Session, currentId: string | null): SessionResponse {
    return {
      id: session.id,
      created_at: session.createdAt.toISOString(),
      last_used_at: session.lastUsedAt.toISOString(),
      ip_address: session.ipAddress,
      user_agent: session.userAgent,
      is_current: session.id === currentId,
    };
  }
}
