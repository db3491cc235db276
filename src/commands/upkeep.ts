import { ChannelsService } from '../broadcasting/channels/channels.service.js';
import { loadConfig, readDotenvFile } from '../config/load-config.js';
import { joinDatabase, openDatabase } from '../database/open-database.js';
import { StorageCheck } from '../uploads/upkeep/storage-check.js';
import { say, withApp } from './with-app.js';

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
