import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, constants, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { createInterface } from 'node:readline';
import { freePort } from './uploads.js';

const PROGRAM = 'redis-server';

/** Whether the Debian package redis-server is installed. */
export const hasRedisServer = (): boolean =>
  (process.env.PATH ?? '').split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, PROGRAM), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });

/** A throw-away Redis that remembers nothing. It keeps its port when it is started again. */
export class RedisServer {
  private process: ChildProcess | null = null;

  private constructor(
    private readonly port: number,
    private readonly directory: string,
  ) {}

  /** Not running yet. */
  static async create(): Promise<RedisServer> {
    if (!hasRedisServer()) throw new Error(`There is no ${PROGRAM}: install the package redis-server`);
    return new RedisServer(await freePort(), mkdtempSync(join(tmpdir(), 'redis-')));
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  /** Resolves when it takes connections. A shell holds a pipe from this process and kills the server at its end. */
  async start(): Promise<void> {
    const script = '"$@" & server=$!; cat >/dev/null; kill -9 $server; wait $server';
    const settings = ['--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--dir', this.directory];
    const server = spawn('sh', ['-c', script, 'sh', PROGRAM, '--port', String(this.port), ...settings], {
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    this.process = server;
    const said: string[] = [];
    const isReady = await new Promise<boolean>((resolve) => {
      createInterface(server.stdout).on('line', (line) => {
        said.push(line);
        if (/Ready to accept connections/.test(line)) resolve(true);
        if (/can't|Could not|FATAL/i.test(line)) resolve(false);
      });
      server.once('exit', () => resolve(false));
    });
    if (isReady) return;
    await this.stop();
    throw new Error(`Redis does not start:\n${said.join('\n')}`);
  }

  /** At once, as when it is killed. */
  async stop(): Promise<void> {
    const server = this.process;
    this.process = null;
    if (!server || server.exitCode !== null || server.signalCode !== null) return;
    const ended = once(server, 'exit');
    server.stdin?.end();
    await ended;
  }

  async remove(): Promise<void> {
    await this.stop();
    rmSync(this.directory, { recursive: true, force: true });
  }
}
