import { OperatorError } from '../../common/errors/operator-error.js';

/** The message is one line for a person: what is wrong, and what to do about it. */
export class EmbeddedPostgresError extends OperatorError {
  override readonly name = 'EmbeddedPostgresError';
}

const ADVICE: Record<string, string> = {
  ENOSPC: 'the disk is full; free some space and start again',
  EDQUOT: 'the disk quota is used up; free some space and start again',
  EROFS: 'the file system is read-only; choose a writable data directory',
  EACCES: 'permission denied; run as the user who owns the directory, or give this user the right to it',
  EPERM:
    'operation not permitted; run as the user who owns the directory, on a file system that keeps owners and modes',
  ENOTSUP: 'the file system cannot hold named pipes or sockets; choose a data directory on a local file system',
  ENOTDIR: 'a part of this path is a file, not a directory; choose another data directory',
  EEXIST: 'there is a file of this name; choose another data directory',
};

/** What PostgreSQL itself complains about in words, in the same terms. */
const COMPLAINTS: [RegExp, keyof typeof ADVICE][] = [
  [/No space left on device|wrote only \d+ of \d+ bytes/i, 'ENOSPC'],
  [/Disk quota exceeded/i, 'EDQUOT'],
  [/Read-only file system/i, 'EROFS'],
  [/Permission denied/i, 'EACCES'],
];

/** Gives errors of the file system and of processes a line of advice; leaves everything else alone. */
export function explained(error: unknown, directory: string): unknown {
  if (error instanceof EmbeddedPostgresError || !(error instanceof Error)) return error;
  const { code, path, syscall } = error as NodeJS.ErrnoException;
  const advice = code && ADVICE[code];
  if (!advice) return error;
  const where = path && path !== directory ? ` (${syscall ?? 'access'} ${path})` : '';
  return new EmbeddedPostgresError(`Embedded PostgreSQL cannot use ${directory}: ${advice}${where}`, { cause: error });
}

/**
 * The line of a server's or initdb's output that tells why it gave up, with advice where the reason is a common one. A common reason
 * counts wherever it stands: the last words of a server on a full disk are about something else.
 */
export function reasonIn(output: string): string {
  const lines = output.split('\n').filter((line) => line.trim() !== '');
  for (const [pattern, code] of COMPLAINTS) {
    const line = lines.findLast((candidate) => pattern.test(candidate));
    if (line) return `${withoutPrefix(line)} – ${ADVICE[code]}`;
  }
  const telling = lines.findLast((line) => /(FATAL|PANIC|error):|error while loading|not found/.test(line));
  return withoutPrefix(telling ?? lines.at(-1) ?? 'it said nothing');
}

function withoutPrefix(line: string): string {
  return line.replace(/^.*?((FATAL|PANIC|ERROR): +)/, '$1').trim();
}
