import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import pg from 'pg';
import ts from 'typescript';

const ROOT = process.cwd();
const SOURCES = 'src/database/embedded';
/** What those import of other folders. */
const IMPORTED = ['src/common/errors/operator-error.ts'];
const PROGRAM = 'test/support/embedded-owner';

export interface OwnerMessage {
  event: 'ready' | 'refused' | 'stopped' | 'server-exit';
  connection: pg.ClientConfig & { host: string };
  isFresh: boolean;
  serverPid: number;
  isOurs: boolean;
  message: string;
  logged: string[];
}

/** Compiles the launcher and the owner program to where their imports resolve; gives the program's path. */
export function compileOwner(): string {
  const target = join(ROOT, 'node_modules/.cache', `embedded-owner-${process.pid}`);
  const files = fs.readdirSync(join(ROOT, SOURCES)).map((name) => join(SOURCES, name));
  for (const file of [...files, ...IMPORTED, `${PROGRAM}.ts`]) {
    const { outputText } = ts.transpileModule(fs.readFileSync(join(ROOT, file), 'utf8'), {
      compilerOptions: { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2023, esModuleInterop: true },
    });
    const output = join(target, file.replace(/\.ts$/, '.js'));
    fs.mkdirSync(join(output, '..'), { recursive: true });
    fs.writeFileSync(output, outputText);
  }
  fs.writeFileSync(join(target, 'package.json'), '{"type":"module"}');
  return target;
}

/** A running owner program, seen from outside. */
export class Owner {
  private readonly messages: OwnerMessage[] = [];
  private readonly closed: Promise<unknown>;
  private wake: () => void = () => undefined;
  private isClosed = false;

  private constructor(private readonly child: ChildProcess) {
    const stream = child.stdout;
    if (stream) {
      createInterface(stream).on('line', (line) => {
        this.messages.push(JSON.parse(line) as OwnerMessage);
        this.wake();
      });
    }
    this.closed = once(child, 'close').then(() => {
      this.isClosed = true;
      this.wake();
    });
  }

  static launch(compiled: string, directory: string, user: { uid?: number; gid?: number } = {}): Owner {
    const program = join(compiled, `${PROGRAM}.js`);
    return new Owner(spawn(process.execPath, [program, directory], { ...user, stdio: ['pipe', 'pipe', 'inherit'] }));
  }

  async next(): Promise<OwnerMessage> {
    while (this.messages.length === 0) {
      if (this.isClosed) throw new Error('the owner ended without a message');
      await new Promise<void>((resolve) => (this.wake = resolve));
    }
    return this.messages.shift() as OwnerMessage;
  }

  async ready(): Promise<OwnerMessage> {
    const message = await this.next();
    if (message.event !== 'ready') throw new Error(`expected a server, got: ${message.message}`);
    return message;
  }

  async stop(): Promise<void> {
    this.child.stdin?.end();
    await this.closed;
  }

  async kill(): Promise<void> {
    this.child.kill('SIGKILL');
    await this.closed;
  }
}

/** The processes of a server on this directory: watchdog, server, its workers and sessions, initdb. */
export function processesOn(directory: string): { pid: number; name: string }[] {
  const pids = fs.readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  return pids.flatMap((pid) => {
    try {
      const name = fs.readFileSync(`/proc/${pid}/comm`, 'utf8').trim();
      const isOn =
        commandOf(Number(pid)).includes(`${directory}/`) ||
        fs.readlinkSync(`/proc/${pid}/cwd`).startsWith(`${directory}/`);
      return isOn ? [{ pid: Number(pid), name }] : [];
    } catch {
      return [];
    }
  });
}

/** A process's arguments, each ended by a zero byte; nothing if it has gone. */
export function commandOf(pid: number): string {
  try {
    return fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch {
    return '';
  }
}

export async function eventually(condition: () => boolean, what: string): Promise<void> {
  const deadline = Date.now() + 60_000;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`waited too long for: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

export async function query(connection: pg.ClientConfig, sql: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client(connection);
  // The server is killed under some of these connections' feet.
  client.on('error', () => undefined);
  await client.connect();
  try {
    return (await client.query(sql)).rows as Record<string, unknown>[];
  } finally {
    await client.end();
  }
}
