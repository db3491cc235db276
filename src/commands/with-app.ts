import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { createApp } from '../app.setup.js';
import { loadConfig, readDotenvFile } from '../config/load-config.js';
import type { openDatabase } from '../database/open-database.js';
import { MailSender } from '../mail/mail-sender.js';
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
      await leaveMails(app);
      return await work(app);
    } finally {
      await app.close();
    }
  } finally {
    await database.close();
  }
}

/** Sending is a server's work: a command is gone before a mail server has answered. */
async function leaveMails(app: NestFastifyApplication): Promise<void> {
  const sender = app.get(MailSender);
  sender.beforeApplicationShutdown();
  // The look at the queue that came with the start is over when one that begins after it is.
  await sender.poll();
  await sender.onApplicationShutdown();
}
