import type { AddressInfo } from 'node:net';
import { createApp } from './app.setup.js';
import { NodeService } from './broadcasting/presence/node.service.js';
import { loadConfig, readDotenvFile } from './config/load-config.js';
import { openDatabase } from './database/open-database.js';
import { announceAdmin, announceStart } from './server/announcements.js';
import { listen } from './server/http-server.js';
import { createLogger, PinoLogger } from './server/logging/pino-logger.js';
import { Shutdown } from './server/shutdown.js';
import { MailSender } from './mail/mail-sender.js';
import { Reconciler } from './uploads/upkeep/reconciler.js';
import { FirstAdminService } from './users/first-admin.service.js';

/** Create, configure, listen. Whatever has been opened is closed in the reverse order when the process is told to stop. */
export async function start(): Promise<void> {
  readDotenvFile();
  const config = loadConfig(process.env);
  const logger = createLogger(config);
  const log = new PinoLogger(logger);
  const shutdown = new Shutdown(log);
  const database = await openDatabase(config, {
    log: (line) => log.log(line, 'Database'),
    onServerExit: () => shutdown.fail('The embedded PostgreSQL has stopped'),
  });
  shutdown.onClose(() => database.close());
  const app = await createApp(config, database.connection, logger);
  shutdown.onClose(() => app.close());
  await app.get(FirstAdminService).ensure(announceAdmin);
  await listen(app, config);
  app.get(Reconciler).start();
  app.get(NodeService).start();
  app.get(MailSender).start();
  announceStart((app.getHttpServer().address() as AddressInfo).port, config, database);
}
