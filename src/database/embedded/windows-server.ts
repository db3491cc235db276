import { execFile, spawn } from 'node:child_process';
import fs from 'node:fs';
import net, { type AddressInfo } from 'node:net';
import { promisify } from 'node:util';
import type { Binaries } from './binaries.js';
import { EmbeddedPostgresError, reasonIn } from './embedded-postgres.errors.js';
import type { HomeDirectory } from './home-directory.js';
import { readServerPid } from './previous-server.js';
import { serverEnvironment } from './process-user.js';
import { ServerLog } from './server-log.js';

const LIVENESS_POLL_MS = 1000;
const run = promisify(execFile);

/** pg_ctl in a second Node process, once the pipe from us ends: Windows has neither signals nor a shell to wait in. */
const WATCHDOG = `
const [pgCtl, data] = process.argv.slice(1);
const stop = () => require('node:child_process').spawnSync(pgCtl, ['stop', '-D', data, '-m', 'fast'], { windowsHide: true });
process.stdin.resume().on('end', stop).on('error', stop);`;

/** The same as ServerProcess with Windows' means: pg_ctl, which also sheds the administrator's rights that PostgreSQL refuses. */
export class WindowsServer {
  private readonly listeners: ((code: number | null) => void)[] = [];
  private readonly liveness = setInterval(() => this.checkLiveness(), LIVENESS_POLL_MS).unref();

  private constructor(
    private readonly home: HomeDirectory,
    private readonly binaries: Binaries,
    private readonly watchdog: ReturnType<typeof spawn>,
    readonly pid: number,
  ) {}

  static async start(home: HomeDirectory, binaries: Binaries, settings: string[]): Promise<WindowsServer> {
    const serverLog = ServerLog.open(home.logFile);
    serverLog.close();
    const options = settings.map((argument) => (argument.includes(' ') ? `"${argument}"` : argument)).join(' ');
    const args = ['start', '-D', home.data, '-l', home.logFile, '-o', options, '-w', '-t', '600', '-s'];
    try {
      await run(binaries.pgCtl, args, { env: serverEnvironment(), windowsHide: true });
    } catch (error) {
      throw new EmbeddedPostgresError(
        `Embedded PostgreSQL did not start in ${home.path}: ${reasonIn(serverLog.readNew())} (log: ${serverLog.path})`,
        { cause: error },
      );
    }
    const watchdog = spawn(process.execPath, ['-e', WATCHDOG, binaries.pgCtl, home.data], {
      stdio: ['pipe', 'ignore', 'ignore'],
      env: serverEnvironment(),
      detached: true,
      windowsHide: true,
    });
    watchdog.stdin?.on('error', () => undefined);
    return new WindowsServer(home, binaries, watchdog, readServerPid(home) ?? 0);
  }

  onExit(listener: (code: number | null) => void): void {
    this.listeners.push(listener);
  }

  unref(): void {
    this.watchdog.unref();
    (this.watchdog.stdin as net.Socket | null)?.unref();
  }

  async stop(): Promise<void> {
    clearInterval(this.liveness);
    await endWindowsServer(this.home, this.binaries);
    this.watchdog.kill();
  }

  private checkLiveness(): void {
    if (readServerPid(this.home) === this.pid && isRunning(this.pid)) return;
    clearInterval(this.liveness);
    for (const listener of this.listeners) listener(null);
  }
}

/** Ends the server of this directory, if there is one. pg_ctl reaches PostgreSQL processes only, so a reused pid is safe. */
export async function endWindowsServer(home: HomeDirectory, binaries: Binaries): Promise<void> {
  for (const mode of ['fast', 'immediate']) {
    const pid = readServerPid(home);
    if (pid === undefined || !isRunning(pid)) break;
    await run(binaries.pgCtl, ['stop', '-D', home.data, '-m', mode, '-t', '20'], { windowsHide: true }).catch(
      () => null,
    );
  }
  fs.rmSync(home.serverPidFile, { force: true });
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

export async function findFreePort(): Promise<number> {
  const server = net.createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
