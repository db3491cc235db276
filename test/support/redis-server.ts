import { type ChildProcess, spawn } from 'node:child_process';
import { accessSync, constants, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { createInterface } from 'node:readline';
import { createClient } from 'redis';
import { freePort } from './uploads.js';
import { letGo } from './held-process.js';

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
  private serverPid = 0;

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
    const script = '"$@" & server=$!; echo "pid $server"; cat >/dev/null; kill -9 $server; wait $server';
    const settings = ['--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--dir', this.directory];
    const server = spawn('sh', ['-c', script, 'sh', PROGRAM, '--port', String(this.port), ...settings], {
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    this.process = server;
    const said: string[] = [];
    const isReady = await new Promise<boolean>((resolve) => {
      createInterface(server.stdout).on('line', (line) => {
        said.push(line);
        const [, pid] = /^pid (\d+)$/.exec(line) ?? [];
        if (pid) this.serverPid = Number(pid);
        if (/Ready to accept connections/.test(line)) resolve(true);
        if (/can't|Could not|FATAL/i.test(line)) resolve(false);
      });
      server.once('exit', () => resolve(false));
    });
    if (isReady) return;
    await this.stop();
    throw new Error(`Redis does not start:\n${said.join('\n')}`);
  }

  /** To the server itself: SIGSTOP makes it hang. */
  signal(signal: NodeJS.Signals): void {
    if (this.serverPid) process.kill(this.serverPid, signal);
  }

  /** All keys, with the seconds that they are kept; -1: for ever. */
  async keys(): Promise<{ name: string; ttlSeconds: number }[]> {
    const client = createClient({ url: this.url });
    await client.connect();
    try {
      const names = await client.keys('*');
      return await Promise.all(names.map(async (name) => ({ name, ttlSeconds: await client.ttl(name) })));
    } finally {
      await client.close();
    }
  }

  /** At once, as when it is killed. */
  async stop(): Promise<void> {
    const server = this.process;
    this.process = null;
    await letGo(server);
  }

  async remove(): Promise<void> {
    await this.stop();
    rmSync(this.directory, { recursive: true, force: true });
  }
}
