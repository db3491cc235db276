import cluster from 'node:cluster';
import type { AddressInfo } from 'node:net';
import { createApp } from './app.setup.js';
import { NodeService } from './broadcasting/presence/node.service.js';
import type { AppConfig } from './config/app-config.js';
import { openDatabase, shareDatabase } from './database/open-database.js';
import { MailSender } from './mail/mail-sender.js';
import { announceAdmin, announceStart } from './server/announcements.js';
import { drainConnections, listen } from './server/http-server.js';
import { createLogger, PinoLogger } from './server/logging/pino-logger.js';
import { Shutdown } from './server/shutdown.js';
import { Reconciler } from './uploads/upkeep/reconciler.js';
import { FirstAdminService } from './users/first-admin.service.js';
import { obeyPrimary } from './workers/worker-life.js';

/** Create, configure, listen. Whatever has been opened is closed in the reverse order when the process is told to stop. */
export async function serve(config: AppConfig): Promise<void> {
  const logger = createLogger(config);
  const log = new PinoLogger(logger);
  const shutdown = new Shutdown(log);
  if (cluster.isWorker) obeyPrimary(shutdown);
  // There is nobody who would replace it.
  else process.once('SIGHUP', () => shutdown.begin('Received SIGHUP, finishing the requests in flight'));
  const database = cluster.isWorker
    ? shareDatabase(config)
    : await openDatabase(config, {
        log: (line) => log.log(line, 'Database'),
        onServerExit: () => shutdown.fail('The embedded PostgreSQL has stopped'),
      });
  shutdown.onClose(() => database.close());
  const app = await createApp(config, database.connection, logger);
  shutdown.onClose(() => app.close());
  await app.get(FirstAdminService).ensure(announceAdmin);
  await listen(app, config);
  shutdown.onClose(() => drainConnections(app));
  app.get(Reconciler).start();
  app.get(NodeService).start();
  app.get(MailSender).start();
  if (cluster.isPrimary) announceStart((app.getHttpServer().address() as AddressInfo).port, config, database);
}
