import { Controller, Get, Header, UseGuards } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiProduces, ApiTags } from '@nestjs/swagger';
import { Registry } from 'prom-client';
import { Public } from '../common/auth/access.decorator.js';
import { ApiErrors } from '../common/http/api-errors.decorator.js';
import { RateLimit } from '../common/http/route-settings.decorator.js';
import { MetricsGuard } from './metrics.guard.js';
import { MetricsService } from './metrics.service.js';

@ApiTags('health')
@Controller('metrics')
@Public()
@RateLimit('none')
@UseGuards(MetricsGuard)
export class MetricsController {
  constructor(private readonly metrics: MetricsService) {}

  @Get()
  @Header('Content-Type', Registry.PROMETHEUS_CONTENT_TYPE)
  @ApiOperation({
    summary: 'Metrics for Prometheus',
    description:
      'With `METRICS_TOKEN` as bearer token; without one configured, from this machine alone and through no proxy. `docs/metrics.md` explains each.',
  })
  @ApiProduces('text/plain')
  @ApiOkResponse({ schema: { type: 'string' }, description: 'The text format of Prometheus, version 0.0.4' })
  @ApiErrors(401, 403)
  read(): Promise<string> {
    return this.metrics.read();
  }
}
