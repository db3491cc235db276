import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';

/** Ends a shell that holds a pipe from this process, and what it runs with it. Resolves when it has ended. */
export async function letGo(shell: ChildProcess | null): Promise<void> {
  if (!shell || shell.exitCode !== null || shell.signalCode !== null) return;
  const ended = once(shell, 'exit');
  shell.stdin?.end();
  await ended;
}
