import cluster from 'node:cluster';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { RateLimiterClusterMaster } from 'rate-limiter-flexible';
import type { AppConfig } from '../config/app-config.js';
import { openDatabase } from '../database/open-database.js';
import { SOCKETS_VARIABLE } from '../coordination/worker.js';
import { announceStart } from '../server/announcements.js';
import { createLogger, PinoLogger } from '../server/logging/pino-logger.js';
import { Shutdown } from '../server/shutdown.js';
import { answerMetrics } from './cluster-metrics.js';
import { WorkerPool } from './worker-pool.js';

/** Longer than a worker gives its requests in flight. */
const DRAIN_MS = 30_000;

/**
 * The process above the workers (`WEB_CONCURRENCY`): it has the database opened and migrated, hands out connections, starts workers again
 * that have ended, and counts limits for all. It answers no request.
 *
 * @param environment what workers start with; they read `.env` themselves, so that a reload brings what has changed there
 */
export async function runPrimary(config: AppConfig, environment: NodeJS.ProcessEnv): Promise<void> {
  const log = new PinoLogger(createLogger(config));
  const shutdown = new Shutdown(log, DRAIN_MS);
  const database = await openDatabase(config, {
    log: (line) => log.log(line, 'Database'),
    onServerExit: () => shutdown.fail('The embedded PostgreSQL has stopped'),
  });
  shutdown.onClose(() => database.close());
  const sockets = mkdtempSync(join(tmpdir(), 'gatehouse-'));
  chmodSync(sockets, 0o700);
  shutdown.onClose(async () => rmSync(sockets, { recursive: true, force: true }));
  await assertPortIsFree(config.http);
  new RateLimiterClusterMaster();
  answerMetrics();

  const pool = new WorkerPool({ size: config.concurrency, log, onHopeless: () => shutdown.fail('No worker starts') });
  shutdown.onClose(() => pool.stop());
  // Forks get the environment of this process: what `.env` has put there is taken out again.
  process.env = { ...environment, [SOCKETS_VARIABLE]: sockets };
  cluster.schedulingPolicy = cluster.SCHED_RR;
  const { port } = await pool.start();
  process.on('SIGHUP', () => void pool.reload());
  announceStart(port, config, database);
}

/** Else each worker would say that it is not. @throws the error of `listen` */
function assertPortIsFree({ host, port }: AppConfig['http']): Promise<void> {
  const probe = createServer();
  return new Promise((resolve, reject) => {
    probe.once('error', reject);
    probe.listen({ host, port, exclusive: true }, () => probe.close(() => resolve()));
  });
}
