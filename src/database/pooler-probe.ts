import { Injectable } from '@nestjs/common';
import pg from 'pg';
import { AppConfig } from '../config/app-config.js';
import { pgConfig } from './connection.js';

/** Whether the pooler of `DATABASE_URL` is there: what has connections of its own goes past it and would not notice. */
@Injectable()
export class PoolerProbe {
  constructor(private readonly config: AppConfig) {}

  /** Signs in and asks nothing, so that no query stands before it. Without a pooler there is nothing to find out. */
  async check(): Promise<void> {
    const { url, directUrl } = this.config.database;
    if (url === null || directUrl === null) return;
    const client = new pg.Client(pgConfig({ url }));
    client.on('error', () => undefined);
    try {
      await client.connect();
    } finally {
      client.connection.stream.destroy();
    }
  }
}
