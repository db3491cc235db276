import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { createApp } from '../app.setup.js';
import { loadConfig, readDotenvFile } from '../config/load-config.js';
import type { openDatabase } from '../database/open-database.js';
import { createLogger } from '../server/logging/pino-logger.js';

/** Beside a command's result, which is on standard output. */
export const say = (line: string) => void process.stderr.write(`${line}\n`);

/** The application on its database, without listening, and closed again when the work is done. */
export async function withApp<T>(
  reachDatabase: typeof openDatabase,
  work: (app: NestFastifyApplication) => Promise<T>,
): Promise<T> {
  readDotenvFile();
  const config = loadConfig({ ...process.env, LOG_LEVEL: 'warn' });
  const database = await reachDatabase(config, {
    log: () => {},
    onServerExit: () => say('The embedded PostgreSQL has stopped'),
  });
  try {
    const app = await createApp(config, database.connection, createLogger(config, 'stderr'));
    try {
      return await work(app);
    } finally {
      await app.close();
    }
  } finally {
    await database.close();
  }
}
