import { spawn, type ChildProcess } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import type { Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { EmbeddedPostgresError, reasonIn } from './embedded-postgres.errors.js';
import type { HomeDirectory } from './home-directory.js';
import { createNamedPipe, holdNamedPipe } from './named-pipe.js';
import { endPreviousServer, readServerPid, signalServer } from './previous-server.js';
import { serverEnvironment } from './process-user.js';
import { ServerLog } from './server-log.js';

const READY_POLL_MS = 10;
const STILL_STARTING_EVERY_MS = 10_000;
const IMMEDIATE_AFTER_MS = 20_000;

/**
 * The shell is the server's parent and its watchdog. Descriptor 3 is a pipe from us that nobody writes to: it ends when we close it or
 * die of whatever cause, and then the server is told to shut down fast. As the parent, the shell knows that the pid is still the
 * server's. Descriptor 4 is the `alive` pipe, inherited by all of them.
 */
const WATCHDOG = `
trap '' HUP INT TERM
"$@" </dev/null 3<&- &
server=$!
(read -r line <&3; kill -INT $server) 2>/dev/null &
reader=$!
wait $server
code=$?
kill -KILL $reader 2>/dev/null
exit $code`;

/** The `alive` pipe of a home directory: whoever works on its cluster holds it. The caller holds the owner lock. */
export function ensureAlivePipe(home: HomeDirectory): string {
  const pipe = path.join(home.lock, 'alive');
  if (!fs.statSync(pipe, { throwIfNoEntry: false })?.isFIFO()) {
    fs.rmSync(pipe, { force: true });
    createNamedPipe(pipe);
  }
  home.keepWithOwner(pipe);
  return pipe;
}

/** Runs something that inherits the `alive` pipe. */
export async function holdingPipe<T>(pipe: string, start: (descriptor: number) => T | Promise<T>): Promise<T> {
  const descriptor = holdNamedPipe(pipe);
  try {
    return await start(descriptor);
  } finally {
    fs.closeSync(descriptor);
  }
}

/** A running server and the watchdog that ends it with us. */
export class ServerProcess {
  readonly exited: Promise<void>;
  private exitCode: number | null | undefined;
  private spawnError: Error | undefined;
  private isStopping = false;

  private constructor(
    private readonly home: HomeDirectory,
    private readonly alivePipe: string,
    private readonly watchdog: ChildProcess,
    private readonly log: (message: string) => void,
    private readonly listeners: ((code: number | null) => void)[] = [],
  ) {
    this.exited = new Promise((resolve) => {
      watchdog.once('error', (error) => {
        this.spawnError = error;
        this.ended(null, resolve);
      });
      watchdog.once('exit', (code) => this.ended(code, resolve));
    });
    this.lifeline.on('error', () => undefined);
  }

  /** Starts a server and returns once it accepts connections. */
  static async start(
    home: HomeDirectory,
    alivePipe: string,
    command: string[],
    log: (message: string) => void,
  ): Promise<ServerProcess> {
    const serverLog = ServerLog.open(home.logFile);
    home.keepWithOwner(home.logFile);
    try {
      const before = readStatus(home);
      const output = serverLog.descriptor;
      const watchdog = await holdingPipe(alivePipe, (alive) =>
        spawn('/bin/sh', ['-c', WATCHDOG, 'gatehouse-postgres', ...command], {
          ...home.user,
          cwd: '/',
          env: serverEnvironment(),
          // A session of its own: Ctrl-C in the terminal is ours to handle.
          detached: true,
          stdio: ['ignore', output, output, 'pipe', alive],
        }),
      );
      const server = new ServerProcess(home, alivePipe, watchdog, log);
      try {
        await server.becomeReady(before.id, serverLog);
      } catch (error) {
        await server.stop();
        throw error;
      }
      return server;
    } finally {
      serverLog.close();
    }
  }

  get pid(): number {
    return readServerPid(this.home) ?? 0;
  }

  onExit(listener: (code: number | null) => void): void {
    this.listeners.push(listener);
  }

  /** From now on neither process nor pipe keeps ours from ending. */
  unref(): void {
    this.watchdog.unref();
    this.lifeline.unref();
  }

  /** Fast shutdown: sessions are cut off, data is checkpointed. If that takes too long, the immediate kind, with recovery at next start. */
  async stop(): Promise<void> {
    this.isStopping = true;
    this.watchdog.ref();
    this.lifeline.destroy();
    const impatience = setTimeout(() => signalServer(this.home, 'SIGQUIT'), IMMEDIATE_AFTER_MS);
    await this.exited;
    clearTimeout(impatience);
    // Somebody may have killed the watchdog, or the server while its sessions ran on.
    await endPreviousServer(this.home, this.alivePipe, this.log);
  }

  private get lifeline(): Socket {
    return this.watchdog.stdio[3] as Socket;
  }

  private ended(code: number | null, resolve: () => void): void {
    this.exitCode = code;
    resolve();
    if (!this.isStopping) for (const listener of this.listeners) listener(code);
  }

  private async becomeReady(previousId: string, serverLog: ServerLog): Promise<void> {
    let reportAt = Date.now() + STILL_STARTING_EVERY_MS;
    for (;;) {
      const status = readStatus(this.home);
      if (status.isReady && status.id !== previousId) return;
      if (this.exitCode !== undefined) {
        const reason = this.spawnError?.message ?? reasonIn(serverLog.readNew());
        throw new EmbeddedPostgresError(
          `Embedded PostgreSQL did not start in ${this.home.path}: ${reason} (log: ${serverLog.path})`,
        );
      }
      if (Date.now() > reportAt) {
        // Recovery after a crash takes as long as it takes; giving up would only make it begin again.
        this.log(`Embedded PostgreSQL is still starting, see ${serverLog.path}`);
        reportAt = Date.now() + STILL_STARTING_EVERY_MS;
      }
      await delay(READY_POLL_MS);
    }
  }
}

/** The pid file says which server it is of (pid, start time) and, in its eighth line, how far that has come. */
function readStatus(home: HomeDirectory): { id: string; isReady: boolean } {
  let lines: string[] = [];
  try {
    lines = fs.readFileSync(home.serverPidFile, 'utf8').split('\n');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  return { id: `${lines[0]} ${lines[2]}`, isReady: lines[7]?.trim() === 'ready' };
}
