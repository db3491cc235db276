import { ApiProperty } from '@nestjs/swagger';

export class NodeStatsResponse {
  @ApiProperty({ format: 'uuid' })
  id!: string;

  @ApiProperty({ example: 'web-1:4711' })
  name!: string;

  @ApiProperty({ type: 'integer', example: 250 })
  connections!: number;

  @ApiProperty({ format: 'date-time', example: '2026-01-01T00:00:00.000Z' })
  started_at!: string;
}

export class ChannelStatsResponse {
  @ApiProperty({ example: 'news' })
  channel!: string;

  @ApiProperty({ type: 'integer', example: 200 })
  subscribers!: number;
}

export class StatsResponse {
  @ApiProperty({ type: 'integer', example: 250, description: 'Sockets and event streams' })
  connections!: number;

  @ApiProperty({ type: [NodeStatsResponse] })
  nodes!: NodeStatsResponse[];

  @ApiProperty({ type: [ChannelStatsResponse], description: 'The 100 channels with the most subscribers' })
  channels!: ChannelStatsResponse[];

  @ApiProperty({ type: 'integer', example: 12, description: 'Channels that somebody is subscribed to' })
  occupied_channels!: number;
}
