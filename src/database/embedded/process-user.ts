import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { EmbeddedPostgresError } from './embedded-postgres.errors.js';

/** The user a server process runs as, where that is not our own. */
export interface ProcessUser {
  uid: number;
  gid: number;
}

/**
 * PostgreSQL refuses to run as root. As root we run it as whoever owns the existing data (the number of the `postgres` user differs
 * between container images, the volume stays), else as `postgres`, else as `nobody`. An ordinary user runs it as himself.
 */
export function findProcessUser(...existingData: string[]): ProcessUser | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const owners = existingData.map((directory) => fs.statSync(directory, { throwIfNoEntry: false }));
  const owner = owners.find((status) => status && status.uid !== 0);
  if (owner) return { uid: owner.uid, gid: owner.gid };
  const user = findAccount('postgres') ?? findAccount('nobody');
  if (user) return user;
  throw new EmbeddedPostgresError(
    'Embedded PostgreSQL does not run as root and found neither a user "postgres" nor "nobody": add one, run as an ordinary user, or set DATABASE_URL',
  );
}

function findAccount(name: string): ProcessUser | undefined {
  let accounts = '';
  try {
    accounts = fs.readFileSync('/etc/passwd', 'utf8');
  } catch {
    return undefined;
  }
  const fields = accounts.split('\n').map((line) => line.split(':'));
  const [, , uid, gid] = fields.find(([account]) => account === name) ?? [];
  // macOS numbers nobody -2; the kernel wants it unsigned.
  return uid && gid && Number(uid) !== 0 ? { uid: Number(uid) >>> 0, gid: Number(gid) >>> 0 } : undefined;
}

/** Whether that user can enter these directories and execute these programs; asked of the kernel, so ACLs count too. */
export function canReach(user: ProcessUser | undefined, ...paths: string[]): boolean {
  if (process.platform === 'win32') return true;
  const script = 'for p in "$@"; do test -x "$p" || exit 1; done';
  return spawnSync('/bin/sh', ['-c', script, 'sh', ...paths], { ...user, cwd: '/', stdio: 'ignore' }).status === 0;
}

/** Servers get no secrets of ours: what is in their environment can be read by whoever breaks into them. */
export function serverEnvironment(): NodeJS.ProcessEnv {
  const names = ['PATH', 'LD_LIBRARY_PATH', 'TMPDIR', 'TEMP', 'TMP', 'SystemRoot'];
  return Object.fromEntries(names.flatMap((name) => (process.env[name] ? [[name, process.env[name]]] : [])));
}
