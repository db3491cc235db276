import { ApiProperty } from '@nestjs/swagger';
import type { Statistics } from '../statistics.service.js';

const count = (description?: string) => ({ type: 'integer', example: 42, description }) as const;
const bytes = (example: number, description: string) => ({ type: 'integer', example, description }) as const;

export class UserStatisticsResponse {
  @ApiProperty(count())
  total!: number;

  @ApiProperty(count())
  active!: number;

  @ApiProperty(count('Of those who are there, who came in this month (UTC)'))
  new_this_month!: number;
}

export class FileStatisticsResponse {
  @ApiProperty(count())
  total!: number;

  @ApiProperty(bytes(1_048_576, 'Bytes of all files'))
  total_size!: number;

  @ApiProperty(count('Of the files that are there, those that came in this month (UTC)'))
  uploads_this_month!: number;
}

export class StorageStatisticsResponse {
  @ApiProperty(bytes(1_048_576, 'Bytes that count against the quota: of all files, and what uploads under way reserve'))
  used!: number;

  @ApiProperty(bytes(107_374_182_400, '`STORAGE_QUOTA`'))
  quota!: number;

  @ApiProperty({ type: Number, example: 0.01, description: 'With two decimals' })
  usage_percentage!: number;
}

export class StatisticsResponse {
  @ApiProperty({ type: UserStatisticsResponse })
  users!: UserStatisticsResponse;

  @ApiProperty({ type: FileStatisticsResponse })
  files!: FileStatisticsResponse;

  @ApiProperty({ type: StorageStatisticsResponse })
  storage!: StorageStatisticsResponse;

  static from({ users, files, storage }: Statistics): StatisticsResponse {
    return {
      users: { total: users.total, active: users.active, new_this_month: users.newThisMonth },
      files: { total: files.total, total_size: files.totalBytes, uploads_this_month: files.newThisMonth },
      storage: { used: storage.usedBytes, quota: storage.quotaBytes, usage_percentage: storage.usedPercent },
    };
  }
}
