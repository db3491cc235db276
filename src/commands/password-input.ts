import { createInterface } from 'node:readline/promises';
import { Writable } from 'node:stream';
import { UsageError } from './usage-error.js';

export interface PasswordOptions {
  passwordStdin?: boolean;
  passwordPrompt?: boolean;
}

/** More than the longest password takes. */
const BYTES_MAX = 4096;

/**
 * The password that the operator chose; `null` when one is to be generated. Never an argument: those are in lists of processes and in the
 * history of shells.
 * @throws UsageError
 */
export async function chosenPassword({ passwordStdin, passwordPrompt }: PasswordOptions): Promise<string | null> {
  if (passwordStdin) return readPiped();
  if (passwordPrompt) return askTwice();
  return null;
}

/** The first line, or all of it when there is but one without an end. */
async function readPiped(): Promise<string> {
  if (process.stdin.isTTY)
    throw new UsageError('--password-stdin reads a pipe or file, and this is a terminal; use --password-prompt');
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of process.stdin as AsyncIterable<Buffer>) {
    chunks.push(chunk);
    size += chunk.length;
    if (size > BYTES_MAX) throw new UsageError(`standard input holds more than a password (${BYTES_MAX} bytes)`);
  }
  const text = Buffer.concat(chunks)
    .toString('utf8')
    .replace(/\r?\n$/, '');
  if (text === '') throw new UsageError('there is no password on standard input');
  if (/[\r\n]/.test(text)) throw new UsageError('there is more than one line on standard input');
  return text;
}

async function askTwice(): Promise<string> {
  if (!process.stdin.isTTY)
    throw new UsageError('--password-prompt asks on a terminal, and there is none; use --password-stdin');
  const password = await ask('Password: ');
  if (password === '') throw new UsageError('no password was typed');
  if ((await ask('The same again: ')) !== password) throw new UsageError('the two passwords differ');
  return password;
}

/** Shows what it asks for, and nothing of what is typed. */
async function ask(question: string): Promise<string> {
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
  const terminal = createInterface({ input: process.stdin, output: nowhere, terminal: true });
  const interrupted = new Promise<never>((_, reject) => {
    for (const event of ['SIGINT', 'close'] as const)
      terminal.once(event, () => reject(new UsageError('no password was typed')));
  });
  interrupted.catch(() => undefined);
  process.stderr.write(question);
  try {
    return await Promise.race([terminal.question(''), interrupted]);
  } finally {
    terminal.close();
    process.stderr.write('\n');
  }
}
