import { Controller, Get, HttpStatus, Res } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiServiceUnavailableResponse, ApiTags } from '@nestjs/swagger';
import type { FastifyReply } from 'fastify';
import { Public } from '../common/auth/access.decorator.js';
import { RateLimit } from '../common/http/route-settings.decorator.js';
import { HealthResponse, LivenessResponse } from './health.response.js';
import { HealthService } from './health.service.js';

const RETRY_AFTER_SECONDS = 2;

@ApiTags('health')
@Controller()
@Public()
@RateLimit('none')
export class HealthController {
  constructor(private readonly health: HealthService) {}

  @Get('health')
  @ApiOperation({ summary: 'Liveness', description: 'The process answers; nothing else is asked.' })
  @ApiOkResponse({ type: LivenessResponse })
  liveness(): LivenessResponse {
    return { status: 'ok' };
  }

  @Get('api/v1/health')
  @ApiOperation({ summary: 'Readiness', description: 'The parts that a request needs are there.' })
  @ApiOkResponse({ type: HealthResponse })
  @ApiServiceUnavailableResponse({ type: HealthResponse, description: 'A part is down' })
  async readiness(@Res({ passthrough: true }) reply: FastifyReply): Promise<HealthResponse> {
    const [database, storage] = await Promise.all([this.health.database(), this.health.storage()]);
    const status = [database, storage].every((part) => part === 'healthy') ? 'healthy' : 'unhealthy';
    if (status === 'unhealthy') reply.status(HttpStatus.SERVICE_UNAVAILABLE).header('Retry-After', RETRY_AFTER_SECONDS);
    return { status, database, storage, uptime_seconds: Math.floor(process.uptime()) };
  }
}
