import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import type { Binaries } from './binaries.js';
import { EmbeddedPostgresError, reasonIn } from './embedded-postgres.errors.js';
import type { HomeDirectory } from './home-directory.js';
import { serverEnvironment } from './process-user.js';

export const SUPERUSER = 'postgres';

const UNFINISHED_PREFIX = 'unfinished-';
/**
 * Comparing and case-mapping is PostgreSQL's own (the builtin provider: the same on every system, Unicode, fast). LC_CTYPE still decides
 * what a letter is for pg_trgm and the text search parser, and under plain C that is ASCII only; not every system has C.UTF-8.
 */
const CHARACTER_TYPES = ['C.UTF-8', 'en_US.UTF-8', 'C'];

/**
 * Makes sure there is a database cluster these binaries can serve; true if it has just been made. It is made under another name, complete
 * and on disk, and then renamed. What has the real name is never removed, whatever its state. `alive` is handed down to initdb.
 */
export async function ensureCluster(
  home: HomeDirectory,
  binaries: Binaries,
  alive: number | 'ignore',
): Promise<boolean> {
  for (const name of fs.readdirSync(home.path).filter((entry) => entry.startsWith(UNFINISHED_PREFIX))) {
    fs.rmSync(path.join(home.path, name), { recursive: true, force: true, maxRetries: 3 });
  }
  if (home.hasCluster()) {
    assertUsable(home, binaries);
    return false;
  }
  const unfinished = path.join(home.path, UNFINISHED_PREFIX + randomBytes(6).toString('hex'));
  try {
    home.createServerDirectory(unfinished);
    const password = path.join(unfinished, 'password');
    fs.writeFileSync(password, `${randomBytes(24).toString('base64url')}\n`, { mode: 0o600, flush: true });
    home.giveToServer(password);
    await initialise(home, binaries, unfinished, alive);
    syncDirectory(unfinished);
    fs.renameSync(unfinished, home.cluster);
    syncDirectory(home.path);
    return true;
  } catch (error) {
    fs.rmSync(unfinished, { recursive: true, force: true, maxRetries: 3 });
    throw error;
  }
}

function assertUsable(home: HomeDirectory, binaries: Binaries): void {
  const versionFile = path.join(home.data, 'PG_VERSION');
  if (!fs.existsSync(versionFile) || !fs.existsSync(home.passwordFile)) {
    throw new EmbeddedPostgresError(
      `${home.cluster} is not a complete database (PG_VERSION or the password file is missing): restore it from a backup, or move it away to start with an empty one`,
    );
  }
  const version = Number.parseInt(fs.readFileSync(versionFile, 'utf8'), 10);
  if (version === binaries.major) return;
  throw new EmbeddedPostgresError(
    `The database in ${home.data} was made by PostgreSQL ${version}, but this release brings PostgreSQL ${binaries.major}: start the release that made it, dump the data and restore it here, or serve it with PostgreSQL ${version} through DATABASE_URL`,
  );
}

async function initialise(
  home: HomeDirectory,
  binaries: Binaries,
  target: string,
  alive: number | 'ignore',
): Promise<void> {
  let complaint = '';
  for (const characterType of CHARACTER_TYPES) {
    const result = await runInitdb(home, binaries, target, characterType, alive);
    if (result.code === 0) return;
    complaint = reasonIn(result.output);
    if (!/invalid locale/.test(result.output)) break;
  }
  throw new EmbeddedPostgresError(`Embedded PostgreSQL could not create its database in ${home.path}: ${complaint}`);
}

function runInitdb(
  home: HomeDirectory,
  binaries: Binaries,
  target: string,
  characterType: string,
  alive: number | 'ignore',
): Promise<{ code: number | null; output: string }> {
  const args = ['-D', path.join(target, 'data'), '-U', SUPERUSER, `--pwfile=${path.join(target, 'password')}`];
  args.push('-A', 'scram-sha-256', '-E', 'UTF8', '--locale=C', `--lc-ctype=${characterType}`);
  args.push('--locale-provider=builtin', '--builtin-locale=C.UTF-8', '--no-instructions');
  return new Promise((resolve, reject) => {
    const initdb = spawn(binaries.initdb, args, {
      ...home.user,
      cwd: '/',
      env: serverEnvironment(),
      stdio: ['ignore', 'ignore', 'pipe', alive],
    });
    let output = '';
    initdb.stderr?.setEncoding('utf8').on('data', (text: string) => (output += text));
    initdb.once('error', (error: NodeJS.ErrnoException) => reject(cannotRun(binaries.initdb, error)));
    initdb.once('close', (code) => resolve({ code, output }));
  });
}

/** A program that exists and is still "not found" lacks its loader: the binaries are for glibc. */
function cannotRun(program: string, error: NodeJS.ErrnoException): EmbeddedPostgresError {
  const reason = error.code === 'ENOENT' ? 'this system lacks the C library (glibc) it was built for' : error.message;
  return new EmbeddedPostgresError(
    `Embedded PostgreSQL cannot run ${program}: ${reason}; set DATABASE_URL to a PostgreSQL server of yours`,
    { cause: error },
  );
}

function syncDirectory(directory: string): void {
  // Windows cannot open directories; NTFS journals the rename itself.
  if (process.platform === 'win32') return;
  const descriptor = fs.openSync(directory, 'r');
  fs.fsyncSync(descriptor);
  fs.closeSync(descriptor);
}
