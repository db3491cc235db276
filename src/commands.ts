import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { createApp } from './app.setup.js';
import { createAsyncDocument } from './asyncapi.js';
import { ChannelsService } from './broadcasting/channels/channels.service.js';
import { loadConfig, readDotenvFile } from './config/load-config.js';
import { joinDatabase, openDatabase } from './database/open-database.js';
import { createDocument } from './openapi.js';
import { createLogger } from './server/logging/pino-logger.js';
import { StorageCheck } from './uploads/upkeep/storage-check.js';

const say = (line: string) => void process.stderr.write(`${line}\n`);

/** `gatehouse migrate` */
export async function runMigrations(): Promise<void> {
  readDotenvFile();
  const database = await openDatabase(loadConfig(process.env), {
    log: say,
    onServerExit: () => say('The embedded PostgreSQL has stopped'),
  });
  await database.close();
  say('The database is up to date');
}

/** `gatehouse openapi` and `gatehouse asyncapi`. They are made from the running program, so they want the same database as a start. */
export const printOpenApi = () => print(createDocument);
export const printAsyncApi = () => print(createAsyncDocument);

async function print(createFrom: (app: NestFastifyApplication) => object): Promise<void> {
  await withApp(openDatabase, async (app) => {
    process.stdout.write(`${JSON.stringify(createFrom(app), null, 2)}\n`);
  });
}

/** `gatehouse storage:check`. Answers with the exit code. */
export function checkStorage(isRepair: boolean): Promise<number> {
  return withApp(joinDatabase, async (app) => {
    const { lines, isClean } = await app.get(StorageCheck).run(isRepair);
    process.stdout.write(`${lines.join('\n')}\n`);
    return isClean ? 0 : 1;
  });
}

/** `gatehouse epoch:renew` */
export function renewEpochs(): Promise<void> {
  return withApp(joinDatabase, async (app) => {
    await app.get(ChannelsService).renewEpochs();
    say('Clients will see that the sequences of all channels have begun anew');
  });
}

/** The application on its database, without listening, and closed again when the work is done. */
async function withApp<T>(
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
    const result = await work(app);
    await app.close();
    return result;
  } finally {
    await database.close();
  }
}
