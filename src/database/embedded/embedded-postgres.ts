import fs from 'node:fs';
import { prepareBinaries } from './binaries.js';
import { ensureCluster } from './cluster.js';
import { ensureDatabase } from './database-setup.js';
import { explained } from './embedded-postgres.errors.js';
import { openHomeDirectory, openSocketDirectory, type HomeDirectory } from './home-directory.js';
import { takeOwnerLock } from './owner-lock.js';
import { endPreviousServer } from './previous-server.js';
import { ensureAlivePipe, holdingPipe, ServerProcess } from './server-process.js';
import { findRunningServer } from './running-server.js';
import { loopbackSettings, settingArguments, socketSettings, type ServerSettings } from './server-settings.js';
import { endWindowsServer, findFreePort, WindowsServer } from './windows-server.js';

export { EmbeddedPostgresError } from './embedded-postgres.errors.js';

export interface EmbeddedPostgresOptions {
  /** Where data, log and locks live; made if missing. Belongs to the embedded server alone. */
  directory: string;
  /** The application's database, made if missing. */
  database?: string;
  /** Takes lines for a person to read. */
  log?: (message: string) => void;
  /** Further server settings, as in postgresql.conf. */
  settings?: Record<string, string | number>;
}

export interface DatabaseConnection {
  /** A name, an address, or the directory of a unix socket. */
  host: string;
  port: number;
  user: string;
  password: string;
  database: string;
}

export interface EmbeddedPostgres {
  connection: DatabaseConnection;
  /** Whether this start has made the cluster. */
  isFresh: boolean;
  serverPid: number;
  /** Shuts the server down and waits for its end. May be called again. */
  stop(): Promise<void>;
  /** Calls back if the server ends without having been asked to. */
  onExit(listener: (code: number | null) => void): void;
}

/** Also what `findRunningPostgres()` signs in as. */
const APPLICATION_ROLE = 'gatehouse';
const DEFAULT_DATABASE = 'gatehouse';
const PORT = 5432;

/** What has to be undone when a start fails or the server is stopped, in reverse order. */
type CleanUp = (() => void | Promise<void>)[];

type Prepared = Pick<EmbeddedPostgres, 'isFresh'> & {
  address: Pick<DatabaseConnection, 'host' | 'port'>;
  server: ServerProcess | WindowsServer;
};

/**
 * Starts a PostgreSQL server that belongs to this process: it ends with us, however we end, and no other process can use its directory
 * meanwhile. Rejects with an EmbeddedPostgresError whose message can be shown as it is.
 */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const { database = DEFAULT_DATABASE, log = () => undefined, settings = {} } = options;
  const cleanUp: CleanUp = [];
  try {
    const home = openHomeDirectory(options.directory, log);
    const lock = await takeOwnerLock(home);
    cleanUp.push(() => lock.release());
    const start = process.platform === 'win32' ? startOnWindows : startOnUnix;
    const { server, isFresh, address } = await start(home, settings, log, cleanUp);
    const password = fs.readFileSync(home.passwordFile, 'utf8').trim();
    const connection = { ...address, user: APPLICATION_ROLE, password, database };
    await ensureDatabase(connection, isFresh);
    server.unref();
    let stopped: Promise<void> | undefined;
    return {
      connection,
      isFresh,
      serverPid: server.pid,
      stop: () => (stopped ??= undo(cleanUp)),
      onExit: (listener) => server.onExit(listener),
    };
  } catch (error) {
    await undo(cleanUp).catch(() => undefined);
    throw explained(error, options.directory);
  }
}

/** How to reach the server that another process of ours runs on this directory, for a look beside it; `null` when none runs. */
export function findRunningPostgres(directory: string): DatabaseConnection | null {
  const address = findRunningServer(directory);
  return address && { ...address, user: APPLICATION_ROLE, database: DEFAULT_DATABASE };
}

async function startOnUnix(
  home: HomeDirectory,
  settings: ServerSettings,
  log: (message: string) => void,
  cleanUp: CleanUp,
): Promise<Prepared> {
  const alivePipe = ensureAlivePipe(home);
  await endPreviousServer(home, alivePipe, log);
  const binaries = prepareBinaries(home, log);
  const isFresh = await holdingPipe(alivePipe, (descriptor) => ensureCluster(home, binaries, descriptor));
  const socket = openSocketDirectory(home);
  cleanUp.push(() => socket.discard());
  const args = settingArguments(socketSettings(socket.path), { port: PORT }, settings);
  const server = await ServerProcess.start(home, alivePipe, [binaries.postgres, '-D', home.data, ...args], log);
  cleanUp.push(() => server.stop());
  return { server, isFresh, address: { host: socket.path, port: PORT } };
}

async function startOnWindows(
  home: HomeDirectory,
  settings: ServerSettings,
  log: (message: string) => void,
  cleanUp: CleanUp,
): Promise<Prepared> {
  const binaries = prepareBinaries(home, log);
  await endWindowsServer(home, binaries);
  const isFresh = await ensureCluster(home, binaries, 'ignore');
  const port = await findFreePort();
  const server = await WindowsServer.start(home, binaries, settingArguments(loopbackSettings(port), settings));
  cleanUp.push(() => server.stop());
  return { server, isFresh, address: { host: '127.0.0.1', port } };
}

/** Every step is taken, also after one that fails. */
async function undo(cleanUp: CleanUp): Promise<void> {
  const step = cleanUp.pop();
  if (!step) return;
  try {
    await step();
  } finally {
    await undo(cleanUp);
  }
}
