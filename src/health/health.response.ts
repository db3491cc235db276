import { ApiProperty } from '@nestjs/swagger';
import type { Condition } from './health.service.js';

const CONDITIONS: Condition[] = ['healthy', 'unhealthy'];

export class HealthResponse {
  @ApiProperty({ enum: CONDITIONS, example: 'healthy' })
  status!: Condition;

  @ApiProperty({ enum: CONDITIONS, example: 'healthy' })
  database!: Condition;

  @ApiProperty({ enum: CONDITIONS, example: 'healthy' })
  storage!: Condition;

  @ApiProperty({ type: 'integer', example: 3600, description: 'How long this process has run' })
  uptime_seconds!: number;
}

export class LivenessResponse {
  @ApiProperty({ enum: ['ok'], example: 'ok' })
  status!: 'ok';
}
