import cluster from 'node:cluster';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { OperatorError } from '../common/errors/operator-error.js';
import type { AppConfig } from '../config/app-config.js';
import { openDatabase } from '../database/open-database.js';
import { SOCKETS_VARIABLE } from '../coordination/worker.js';
import { announceStart } from '../server/announcements.js';
import { createLogger, PinoLogger } from '../server/logging/pino-logger.js';
import { Shutdown } from '../server/shutdown.js';
import { ClusterLimits } from './cluster-limits.js';
import { ClusterMetrics } from './cluster-metrics.js';
import { WorkerPool } from './worker-pool.js';

/** Longer than a worker gives its requests in flight. */
const DRAIN_MS = 30_000;

/** What workers cannot have otherwise than the primary: where they listen, and whose data they serve. */
const SETTLED = ['HOST', 'WEB_CONCURRENCY', 'DATA_DIR', 'DATABASE_URL', 'DATABASE_DIRECT_URL', 'DATABASE_POOL_SIZE'];
/** What systems take as the path of a socket, less the longest that comes after it. */
const PLACE_MAX = 103 - 'XXXXXX/999999999.sock'.length;

/**
 * The process above the workers (`WEB_CONCURRENCY`): it has the database opened and migrated, hands out connections, starts workers again
 * that have ended, and counts limits for all. It answers no request.
 *
 * @param environment what workers start with; they read `.env` themselves, so that a reload brings what has changed there
 */
export async function runPrimary(config: AppConfig, environment: NodeJS.ProcessEnv): Promise<void> {
  const place = join(tmpdir(), 'gatehouse-');
  if (place.length > PLACE_MAX)
    throw new OperatorError(`TMPDIR is too long for the sockets of the workers: ${tmpdir()}`);
  const log = new PinoLogger(createLogger(config));
  let reload = () => log.log('Received SIGHUP, but the workers are just starting');
  process.on('SIGHUP', () => reload());
  const shutdown = new Shutdown(log, DRAIN_MS);
  const database = await openDatabase(config, {
    log: (line) => log.log(line, 'Database'),
    onServerExit: () => shutdown.fail('The embedded PostgreSQL has stopped'),
  });
  shutdown.onClose(() => database.close());
  const sockets = mkdtempSync(place);
  chmodSync(sockets, 0o700);
  shutdown.onClose(async () => rmSync(sockets, { recursive: true, force: true }));
  const port = await findPort(config.http);
  new ClusterLimits();

  const pool = new WorkerPool({ size: config.concurrency, log, onHopeless: () => shutdown.fail('No worker starts') });
  shutdown.onClose(() => pool.stop());
  new ClusterMetrics(() => pool.running());
  // Forks get the environment of this process: what `.env` has put there is taken out again, but for what the primary has acted on.
  const settled = Object.fromEntries(SETTLED.map((name) => [name, process.env[name] ?? '']));
  process.env = { ...environment, ...settled, PORT: String(port), [SOCKETS_VARIABLE]: sockets };
  cluster.schedulingPolicy = cluster.SCHED_RR;
  await pool.start();
  reload = () => void pool.reload();
  announceStart(port, config, database);
}

/**
 * Else each worker would say that it is not. Any port is chosen here, so that it stays when no worker is left for a moment.
 *
 * @throws the error of `listen`
 */
function findPort({ host, port }: AppConfig['http']): Promise<number> {
  const probe = createServer();
  return new Promise((resolve, reject) => {
    probe.once('error', reject);
    probe.listen({ host, port, exclusive: true }, () => {
      const { port: free } = probe.address() as AddressInfo;
      probe.close(() => resolve(free));
    });
  });
}
