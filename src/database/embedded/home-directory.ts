import { createHash } from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { EmbeddedPostgresError } from './embedded-postgres.errors.js';
import { canReach, findProcessUser, type ProcessUser } from './process-user.js';

/** `sun_path` holds 108 bytes on Linux and 104 on macOS, a closing zero included. */
const MAX_SOCKET_PATH_BYTES = 103;
/** Root's own ground: nobody else can prepare a directory here. */
const SYSTEM_STATE_DIRECTORY = '/var/lib';

/** Everything one embedded server owns on disk. */
export class HomeDirectory {
  readonly lock: string;
  /** Database and password appear together, in one rename: the cluster exists, or it does not. */
  readonly cluster: string;
  readonly data: string;
  readonly passwordFile: string;
  readonly serverPidFile: string;
  readonly logFile: string;

  constructor(
    readonly path: string,
    readonly user: ProcessUser | undefined,
  ) {
    this.lock = join(path, 'lock');
    this.cluster = join(path, 'cluster');
    this.data = join(this.cluster, 'data');
    this.passwordFile = join(this.cluster, 'password');
    this.serverPidFile = join(this.data, 'postmaster.pid');
    this.logFile = join(path, 'server.log');
  }

  hasCluster(): boolean {
    return fs.existsSync(this.cluster);
  }

  /** A directory that only the server's user (and root) can enter. */
  createServerDirectory(directory: string): string {
    fs.mkdirSync(directory, { recursive: true, mode: 0o700 });
    this.giveToServer(directory);
    return directory;
  }

  giveToServer(file: string): void {
    if (this.user) fs.chownSync(file, this.user.uid, this.user.gid);
  }

  /** A run as root by mistake (`sudo`) must not leave files that the directory's owner cannot use at the next start. */
  keepWithOwner(file: string): void {
    if (process.getuid?.() !== 0) return;
    const { uid, gid } = fs.statSync(this.path);
    if (uid !== 0) fs.lchownSync(file, uid, gid);
  }
}

/** Creates the directory, or finds another place for it where the server's user could not reach it. */
export function openHomeDirectory(directory: string, log: (message: string) => void): HomeDirectory {
  const wanted = resolve(directory);
  createReachable(wanted);
  const real = fs.realpathSync(wanted);
  const here = new HomeDirectory(real, findProcessUser(join(real, 'cluster'), real));
  if (process.getuid?.() !== 0) {
    makePrivate(real, 0o700);
    fs.accessSync(real, fs.constants.R_OK | fs.constants.W_OK | fs.constants.X_OK);
    return here;
  }
  // Root's server runs as another user, who must pass through but has nothing to read here.
  makePrivate(real, 0o711);
  const substitute = join(SYSTEM_STATE_DIRECTORY, `gatehouse-postgres-${digest(real)}`);
  const isReachable = canReach(here.user, real);
  if (here.hasCluster() && !isReachable) {
    throw new EmbeddedPostgresError(
      `Embedded PostgreSQL cannot use ${real}: it holds a database, but uid ${here.user?.uid} cannot reach it; make every directory above it passable (chmod o+x)`,
    );
  }
  // Data once put at the other place is found there, also when the way to the wanted one has been opened since.
  if (here.hasCluster() || (isReachable && !fs.existsSync(join(substitute, 'cluster')))) return here;
  fs.mkdirSync(substitute, { recursive: true, mode: 0o711 });
  assertOwnedAndClosed(substitute);
  makePrivate(substitute, 0o711);
  log(
    `The embedded database of ${real} is kept in ${substitute}, because the user it runs as cannot reach the former: back up that directory, or open the way (chmod o+x) before the first start`,
  );
  return new HomeDirectory(substitute, findProcessUser(join(substitute, 'cluster'), substitute));
}

/** Directories that we make ourselves are passable for the server's user even under a strict umask. */
function createReachable(directory: string): void {
  const first = fs.mkdirSync(directory, { recursive: true, mode: 0o700 });
  if (first === undefined || process.getuid?.() !== 0) return;
  for (let made = directory; made.length >= first.length; made = dirname(made)) fs.chmodSync(made, 0o711);
}

function makePrivate(directory: string, mode: number): void {
  const status = fs.statSync(directory);
  const mine = process.getuid?.();
  // A volume may belong to someone else and still be ours to write to; its owner decides about its mode.
  if (mine === undefined || status.uid !== mine || (status.mode & 0o777) === mode) return;
  fs.chmodSync(directory, mode);
}

function assertOwnedAndClosed(directory: string): void {
  const status = fs.lstatSync(directory);
  if (status.isDirectory() && status.uid === process.getuid?.() && (status.mode & 0o022) === 0) return;
  throw new EmbeddedPostgresError(
    `Embedded PostgreSQL does not trust ${directory}: it is not a directory of ours that only we can write to; remove it or choose another data directory`,
  );
}

export interface SocketDirectory {
  path: string;
  /** Removes what is not part of the home directory. */
  discard(): void;
}

/**
 * Where the server puts its socket: inside the home directory if the path fits into a socket address, else a short directory elsewhere.
 * The caller holds the lock and has seen the previous server end, so sockets and socket locks found here are leftovers. They have to
 * go: PostgreSQL does not start if the pid in such a lock file is in use again by anything.
 */
export function openSocketDirectory(home: HomeDirectory): SocketDirectory {
  const inside = join(home.path, 'run');
  const isShort = Buffer.byteLength(join(inside, '.s.PGSQL.65535')) <= MAX_SOCKET_PATH_BYTES;
  const directory = isShort ? home.createServerDirectory(inside) : shortPrivateDirectory(home);
  for (const name of fs.readdirSync(directory)) {
    if (name.startsWith('.s.PGSQL.')) fs.rmSync(join(directory, name), { force: true });
  }
  return { path: directory, discard: () => isShort || fs.rmSync(directory, { recursive: true, force: true }) };
}

/** The same one at each start, unless somebody else has taken the name: then one with a name nobody could foresee. */
function shortPrivateDirectory(home: HomeDirectory): string {
  const base = [os.tmpdir(), '/tmp'].find((candidate) => candidate.length <= 60) ?? '/tmp';
  const foreseeable = join(base, `gatehouse-${digest(home.path)}`);
  try {
    fs.mkdirSync(foreseeable, { mode: 0o700 });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    const status = fs.lstatSync(foreseeable);
    const isOurs = status.uid === (home.user?.uid ?? process.getuid?.()) && (status.mode & 0o777) === 0o700;
    if (status.isDirectory() && isOurs) return foreseeable;
    return home.createServerDirectory(fs.mkdtempSync(join(base, 'gatehouse-')));
  }
  home.giveToServer(foreseeable);
  return foreseeable;
}

function digest(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 16);
}
