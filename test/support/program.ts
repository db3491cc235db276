import { type ChildProcess, spawn } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import supertest from 'supertest';

export const CLI = join(__dirname, '../../dist/src/cli.js');

/** The program as users start it: a process of its own, from the build, with nothing in its environment but what is given. */
export class Program {
  stdout = '';
  stderr = '';
  private readonly child: ChildProcess;
  private readonly ended: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  private readonly watchers = new Set<() => void>();

  /** @param input what its standard input is, if it has one */
  constructor(environment: Record<string, string>, args: string[] = ['start'], cwd = tmpdir(), input?: string) {
    this.child = spawn(process.execPath, [CLI, ...args], {
      cwd,
      env: { PATH: process.env.PATH ?? '', HOME: process.env.HOME ?? '/', ...environment },
      stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    });
    // It need not wait for all of it.
    this.child.stdin?.on('error', () => undefined).end(input);
    this.child.stdout?.on('data', (chunk: Buffer) => this.took('stdout', chunk));
    this.child.stderr?.on('data', (chunk: Buffer) => this.took('stderr', chunk));
    this.ended = new Promise((resolve) => this.child.on('close', (code, signal) => resolve({ code, signal })));
    void this.ended.then(() => this.watchers.forEach((watch) => watch()));
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }

  /** Waits for a line of standard output; fails with what was said when the program ends before it. */
  async says(pattern: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      const match = pattern.exec(this.stdout);
      if (match) return match;
      if (this.child.exitCode !== null || this.child.signalCode)
        throw new Error(`ended before ${pattern}:\n${this.stdout}\n${this.stderr}`);
      await new Promise<void>((resolve) => this.watchers.add(resolve));
      this.watchers.clear();
    }
  }

  /** The running program's HTTP side, once it listens. */
  async http(): Promise<ReturnType<typeof supertest>> {
    const [, url] = await this.says(/listening on (http:\S+)/);
    return supertest(url);
  }

  /** As when the reader of a pipe has gone: `gatehouse start | head -1`. */
  closeOutput(): void {
    this.child.stdout?.destroy();
  }

  signal(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }

  exit(): Promise<{ code: number | null; signal: NodeJS.Signals | null }> {
    return this.ended;
  }

  async kill(): Promise<void> {
    this.child.kill('SIGKILL');
    await this.ended;
  }

  private took(stream: 'stdout' | 'stderr', chunk: Buffer): void {
    this[stream] += chunk.toString();
    this.watchers.forEach((watch) => watch());
  }
}

/** A folder for DATA_DIR that a server dropped to another user can reach. */
export function temporaryDataDir(): { path: string; remove(): void } {
  const path = mkdtempSync(join(tmpdir(), 'gatehouse-data-'));
  chmodSync(path, 0o711);
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}
