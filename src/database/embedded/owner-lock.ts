import { createHash, randomBytes } from 'node:crypto';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { EmbeddedPostgresError } from './embedded-postgres.errors.js';
import { createNamedPipe, holdNamedPipe, isNamedPipeHeld } from './named-pipe.js';
import type { HomeDirectory } from './home-directory.js';

/** Held by the one process that may touch a home directory; free again with that process's death. */
export interface OwnerLock {
  release(): void;
}

export async function takeOwnerLock(home: HomeDirectory): Promise<OwnerLock> {
  return process.platform === 'win32' ? takeWindowsLock(home.path) : takeNumberedLock(home);
}

/**
 * The lock directory holds numbered links, each to the named pipe of one owner. The lock belongs to the highest number while its pipe
 * is held. Making the next number is one atomic symlink(), done only after the highest has been seen dead, by a process whose own pipe
 * is held already: of several starters one makes it, the others then find a living owner. The highest number is never removed, so a
 * number that a slow starter makes from an outdated view is not the highest, which he sees when he looks again. Nothing is ever
 * unlinked in order to take it over, and that is where the usual lock file has its race.
 */
function takeNumberedLock(home: HomeDirectory): OwnerLock {
  fs.mkdirSync(home.lock, { recursive: true, mode: 0o700 });
  home.keepWithOwner(home.lock);
  const name = `${process.pid}@${os.hostname().replace(/[^\w.-]/g, '')}~${randomBytes(8).toString('hex')}`;
  const pipe = path.join(home.lock, name);
  createNamedPipe(pipe);
  const descriptor = holdNamedPipe(pipe);
  const release = (): void => {
    fs.closeSync(descriptor);
    fs.rmSync(pipe, { force: true });
  };
  try {
    home.keepWithOwner(pipe);
    const number = claimNextNumber(home, name);
    removeNumbersBelow(home.lock, number);
  } catch (error) {
    release();
    throw error;
  }
  return { release };
}

function claimNextNumber(home: HomeDirectory, name: string): number {
  for (;;) {
    const highest = numbersIn(home.lock).at(-1) ?? 0;
    const current = path.join(home.lock, String(highest));
    if (highest > 0 && isNamedPipeHeld(current)) throw inUse(home.path, fs.readlinkSync(current));
    const next = path.join(home.lock, String(highest + 1));
    try {
      fs.symlinkSync(name, next);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      continue;
    }
    home.keepWithOwner(next);
    if (numbersIn(home.lock).at(-1) === highest + 1) return highest + 1;
    fs.rmSync(next, { force: true });
  }
}

function numbersIn(directory: string): number[] {
  return fs
    .readdirSync(directory)
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .sort((a, b) => a - b);
}

function removeNumbersBelow(directory: string, number: number): void {
  for (const lower of numbersIn(directory).filter((candidate) => candidate < number)) {
    const link = path.join(directory, String(lower));
    // Held by a starter who is just finding out that he lost: he cleans up himself.
    if (isNamedPipeHeld(link)) continue;
    fs.rmSync(path.join(directory, path.basename(fs.readlinkSync(link))), { force: true });
    fs.rmSync(link, { force: true });
  }
}

/** Windows gives a pipe's name to one server only and frees it at the process's death. */
async function takeWindowsLock(directory: string): Promise<OwnerLock> {
  const name = createHash('sha256').update(directory.toLowerCase()).digest('hex').slice(0, 32);
  const server = net.createServer((socket) => socket.destroy()).unref();
  await new Promise<void>((resolve, reject) => {
    server.once('listening', resolve);
    server.once('error', (error: NodeJS.ErrnoException) =>
      reject(error.code === 'EADDRINUSE' ? inUse(directory) : error),
    );
    server.listen(`\\\\.\\pipe\\gatehouse-${name}`);
  });
  return { release: () => server.close() };
}

function inUse(directory: string, holder?: string): EmbeddedPostgresError {
  const [, pid, host] = holder?.match(/^(\d+)@(.*)~/) ?? [];
  const who = pid ? `process ${pid}${host && host !== os.hostname() ? ` on host ${host}` : ''}` : 'another process';
  return new EmbeddedPostgresError(
    `The database directory ${directory} is in use by ${who}: stop that one first, choose another DATA_DIR, or let both share a server through DATABASE_URL`,
  );
}
