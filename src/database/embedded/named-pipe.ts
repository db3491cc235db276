import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import { EmbeddedPostgresError, reasonIn } from './embedded-postgres.errors.js';

/**
 * A named pipe tells whether some process lives: the process holds the reading end open, the kernel closes it at death however that
 * comes, children inherit it, and it works between containers that share a volume, where a pid means nothing. Node has no flock().
 */
export function createNamedPipe(path: string): void {
  try {
    execFileSync('mkfifo', ['-m', '600', path], { stdio: ['ignore', 'ignore', 'pipe'] });
  } catch (error) {
    const { code, stderr } = error as NodeJS.ErrnoException & { stderr?: Buffer };
    const reason = code === 'ENOENT' ? 'the program "mkfifo" is not installed' : reasonIn(String(stderr));
    throw new EmbeddedPostgresError(
      `Embedded PostgreSQL cannot make its lock ${path}: ${reason}; put the data directory on a local file system, or set DATABASE_URL`,
      { cause: error },
    );
  }
}

/** Takes hold of the pipe; the descriptor is closed in programs we start unless it is handed to them. */
export function holdNamedPipe(path: string): number {
  return fs.openSync(path, fs.constants.O_RDONLY | fs.constants.O_NONBLOCK | fs.constants.O_NOFOLLOW);
}

/** Whether any process holds the pipe. Opening the writing end without waiting fails if nobody reads. */
export function isNamedPipeHeld(path: string): boolean {
  try {
    fs.closeSync(fs.openSync(path, fs.constants.O_WRONLY | fs.constants.O_NONBLOCK));
    return true;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENXIO' || code === 'ENOENT') return false;
    throw error;
  }
}
