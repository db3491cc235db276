import { Controller, Get } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { Roles } from '../common/auth/access.decorator.js';
import { RateLimit } from '../common/http/route-settings.decorator.js';
import { StatisticsResponse } from './dto/statistics.response.js';
import { StatisticsService } from './statistics.service.js';

@ApiTags('admin')
@Roles('admin')
@RateLimit('admin')
@Controller('admin/stats')
export class StatisticsController {
  constructor(private readonly statistics: StatisticsService) {}

  @Get()
  @ApiOperation({ summary: 'Users, files and storage in numbers', description: 'Exact, at any size.' })
  @ApiOkResponse({ type: StatisticsResponse })
  async get(): Promise<StatisticsResponse> {
    return StatisticsResponse.from(await this.statistics.get());
  }
}
