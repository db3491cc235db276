import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { EmbeddedPostgresError } from './embedded-postgres.errors.js';
import type { HomeDirectory } from './home-directory.js';
import { canReach } from './process-user.js';

export interface Binaries {
  major: number;
  postgres: string;
  initdb: string;
  pgCtl: string;
}

interface Link {
  source: string;
  target: string;
}

const PROGRAMS = ['postgres', 'initdb', 'pg_ctl'];

/**
 * Finds the platform's package and makes it usable: npm leaves out the symlinks among its libraries (the package's install script, which
 * would restore them, does not always run), and an installation may be read-only or out of reach for the server's user. Where mending
 * in place is impossible, a copy in the home directory serves; the caller holds its lock.
 */
export function prepareBinaries(home: HomeDirectory, log: (message: string) => void): Binaries {
  const root = findPackage();
  const { version } = JSON.parse(fs.readFileSync(path.join(root, 'package.json'), 'utf8')) as { version: string };
  const copy = path.join(home.path, `binaries-${version}`);
  let native = path.join(root, 'native');
  if (!mendInPlace(root) || !canReach(home.user, native, ...programsIn(native))) {
    native = path.join(copy, 'native');
    if (!fs.existsSync(copy)) {
      log(`The PostgreSQL programs in ${root} cannot be used in place; copying them to ${copy}`);
      copyPackage(root, copy);
    }
  }
  removeOtherCopies(home.path, path.basename(copy));
  const [postgres, initdb, pgCtl] = programsIn(native);
  return { major: Number.parseInt(version, 10), postgres, initdb, pgCtl };
}

function findPackage(): string {
  const platform = process.platform === 'win32' ? 'windows' : process.platform;
  const name = `@embedded-postgres/${platform}-${process.arch}`;
  try {
    return path.dirname(path.dirname(createRequire(import.meta.url).resolve(name)));
  } catch (error) {
    throw new EmbeddedPostgresError(
      `The embedded PostgreSQL for this platform (${name}) is not installed: set DATABASE_URL to a PostgreSQL server of yours, or run npm install without --omit=optional`,
      { cause: error },
    );
  }
}

function programsIn(native: string): string[] {
  const extension = process.platform === 'win32' ? '.exe' : '';
  return PROGRAMS.map((name) => path.join(native, 'bin', name + extension));
}

function mendInPlace(root: string): boolean {
  try {
    mend(root);
    return true;
  } catch (error) {
    if (['EACCES', 'EPERM', 'EROFS'].includes((error as NodeJS.ErrnoException).code ?? '')) return false;
    throw error;
  }
}

function mend(root: string): void {
  if (process.platform === 'win32') return;
  for (const { source, target } of missingLinks(root)) {
    try {
      fs.symlinkSync(path.relative(path.dirname(target), source), path.join(root, target));
    } catch (error) {
      // Another process of ours mends the same installation just now.
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
  }
  for (const program of programsIn(path.join(root, 'native'))) {
    if ((fs.statSync(program).mode & 0o555) !== 0o555) fs.chmodSync(program, 0o755);
  }
}

function missingLinks(root: string): Link[] {
  const list = path.join(root, 'native', 'pg-symlinks.json');
  if (!fs.existsSync(list)) return [];
  const links = JSON.parse(fs.readFileSync(list, 'utf8')) as Link[];
  return links.filter(({ target }) => !fs.existsSync(path.join(root, target)));
}

function copyPackage(root: string, copy: string): void {
  const unfinished = `${copy}.unfinished`;
  fs.rmSync(unfinished, { recursive: true, force: true });
  fs.cpSync(path.join(root, 'native'), path.join(unfinished, 'native'), { recursive: true, verbatimSymlinks: true });
  makeReadable(unfinished);
  mend(unfinished);
  fs.renameSync(unfinished, copy);
}

/** The modes of an installation under a strict umask would keep the server's user out of the copy too. */
function makeReadable(directory: string): void {
  fs.chmodSync(directory, 0o755);
  for (const entry of fs.readdirSync(directory, { withFileTypes: true })) {
    const entryPath = path.join(directory, entry.name);
    if (entry.isDirectory()) makeReadable(entryPath);
    else if (entry.isFile()) fs.chmodSync(entryPath, 0o644);
  }
}

function removeOtherCopies(home: string, current: string): void {
  const others = fs.readdirSync(home).filter((name) => name.startsWith('binaries-') && name !== current);
  for (const name of others) fs.rmSync(path.join(home, name), { recursive: true, force: true });
}
