import { Injectable } from '@nestjs/common';
import { AppConfig } from '../config/app-config.js';
import { ListReader } from '../database/replicas/list-reader.js';

export interface Statistics {
  readonly users: { readonly total: number; readonly active: number; readonly newThisMonth: number };
  readonly files: { readonly total: number; readonly totalBytes: number; readonly newThisMonth: number };
  readonly storage: { readonly usedBytes: number; readonly quotaBytes: number; readonly usedPercent: number };
}

/** All of it is kept by the database with every change; nothing is counted here. */
const SUMS = `
  SELECT
    (SELECT sum(users) FROM user_counts) AS users,
    (SELECT sum(users) FROM user_counts WHERE is_active) AS active_users,
    (SELECT sum(items) FROM monthly_counts WHERE kind = 'user' AND month = this.month) AS new_users,
    (SELECT sum(files) FROM file_type_totals) AS files,
    (SELECT sum(bytes) FROM file_type_totals) AS file_bytes,
    (SELECT sum(items) FROM monthly_counts WHERE kind = 'file' AND month = this.month) AS new_files,
    (SELECT bytes FROM storage_totals) AS used_bytes
  FROM (SELECT date_trunc('month', now() AT TIME ZONE 'UTC')::date AS month) this`;

type Sums = Record<
  'users' | 'active_users' | 'new_users' | 'files' | 'file_bytes' | 'new_files' | 'used_bytes',
  string | null
>;

@Injectable()
export class StatisticsService {
  constructor(
    private readonly lists: ListReader,
    private readonly config: AppConfig,
  ) {}

  async get(): Promise<Statistics> {
    const [sums] = await this.lists.read((source) => source.query<Sums[]>(SUMS));
    const usedBytes = Number(sums.used_bytes);
    const quotaBytes = this.config.uploads.storageQuotaBytes;
    return {
      users: {
        total: Number(sums.users),
        active: Number(sums.active_users),
        newThisMonth: Number(sums.new_users),
      },
      files: {
        total: Number(sums.files),
        totalBytes: Number(sums.file_bytes),
        newThisMonth: Number(sums.new_files),
      },
      storage: { usedBytes, quotaBytes, usedPercent: percentage(usedBytes, quotaBytes) },
    };
  }
}

/** With two decimals. Of nothing, nothing is used. */
const percentage = (part: number, whole: number): number =>
  whole === 0 ? 0 : Math.round((part / whole) * 10_000) / 100;
