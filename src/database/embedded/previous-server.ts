import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { EmbeddedPostgresError } from './embedded-postgres.errors.js';
import type { HomeDirectory } from './home-directory.js';
import { isNamedPipeHeld } from './named-pipe.js';

const POLL_MS = 10;
const IMMEDIATE_AFTER_MS = 20_000;
const GIVE_UP_AFTER_MS = 30_000;

/**
 * Ends what a killed owner left behind. Its server, its watchdog and a running initdb all hold the `alive` pipe, so the pipe being free
 * means that nothing works on this directory, in whatever container. A pid is signalled only if it is verified to be this directory's
 * server. The caller holds the owner lock.
 */
export async function endPreviousServer(
  home: HomeDirectory,
  alivePipe: string,
  log: (message: string) => void,
): Promise<void> {
  const since = Date.now();
  let signalled: string | undefined;
  while (isNamedPipeHeld(alivePipe)) {
    const waited = Date.now() - since;
    const signal = waited < IMMEDIATE_AFTER_MS ? 'SIGINT' : 'SIGQUIT';
    const pid = readServerPid(home);
    if (pid !== undefined && signalled !== `${signal} ${pid}` && isServerOf(home, pid)) {
      log(`A PostgreSQL server without an owner (pid ${pid}) still runs on ${home.path}; shutting it down`);
      trySignal(pid, signal);
      signalled = `${signal} ${pid}`;
    }
    if (waited > GIVE_UP_AFTER_MS) {
      throw new EmbeddedPostgresError(
        `A PostgreSQL server that was left behind still uses ${home.path} and does not end${pid ? ` (pid ${pid}, perhaps in another container)` : ''}: stop it and start again`,
      );
    }
    await delay(POLL_MS);
  }
  clearRecycledPid(home);
}

/**
 * PostgreSQL removes the pid file of a dead server itself, but does not start if the number belongs to any other process of its user by
 * now. The file stays if the process is a server on this directory that somebody else started.
 */
function clearRecycledPid(home: HomeDirectory): void {
  const pid = readServerPid(home);
  if (pid === undefined || !trySignal(pid, 0)) return;
  if (isServerOf(home, pid)) {
    throw new EmbeddedPostgresError(
      `A PostgreSQL server that was started by hand (pid ${pid}) uses ${home.data}: stop it and start again`,
    );
  }
  fs.rmSync(home.serverPidFile, { force: true });
}

/** Signals this directory's server, if there is one. */
export function signalServer(home: HomeDirectory, signal: NodeJS.Signals): void {
  const pid = readServerPid(home);
  if (pid !== undefined && isServerOf(home, pid)) trySignal(pid, signal);
}

export function readServerPid(home: HomeDirectory): number | undefined {
  try {
    const pid = Number.parseInt(fs.readFileSync(home.serverPidFile, 'utf8'), 10);
    return pid > 1 ? pid : undefined;
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return undefined;
    throw error;
  }
}

/** Whether this process is the PostgreSQL server of this directory, not just something with the same number. */
function isServerOf(home: HomeDirectory, pid: number): boolean {
  if (!fs.existsSync('/proc/self/cmdline')) return commandFromPs(pid).includes(`/postgres -D ${home.data} `);
  try {
    const [program, ...args] = fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
    const isServer = path.basename(program) === 'postgres' && args[0] === '-D' && args[1] === home.data;
    return isServer && isSameDirectory(`/proc/${pid}/cwd`, home.data);
  } catch {
    return false;
  }
}

/** The server works in its data directory. A container's root may not look there, and then the command line has to do. */
function isSameDirectory(workingDirectory: string, data: string): boolean {
  try {
    const [a, b] = [fs.statSync(workingDirectory), fs.statSync(data)];
    return a.dev === b.dev && a.ino === b.ino;
  } catch (error) {
    return ['EACCES', 'EPERM'].includes((error as NodeJS.ErrnoException).code ?? '');
  }
}

function commandFromPs(pid: number): string {
  try {
    return execFileSync('ps', ['-ww', '-o', 'command=', '-p', String(pid)], { encoding: 'utf8' });
  } catch {
    return '';
  }
}

/** Whether there is such a process; signal 0 only asks. */
function trySignal(pid: number, signal: NodeJS.Signals | 0): boolean {
  try {
    return process.kill(pid, signal);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
