import cluster from 'node:cluster';
import type { LoggerService } from '@nestjs/common';
import { flushLog } from './logging/pino-logger.js';

/** Requests in flight get this long; then the process goes all the same. */
const DRAIN_MS = 25_000;

/** SIGTERM and SIGINT close what was opened, the last first, and exit 0; a second signal does not wait. */
export class Shutdown {
  private readonly closers: (() => Promise<unknown>)[] = [];
  private isClosing = false;

  constructor(
    private readonly log: LoggerService,
    private readonly drainMs = DRAIN_MS,
  ) {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => this.received(signal));
    process.on('uncaughtException', (error) => this.fail('An error that nothing caught', error));
    process.on('unhandledRejection', (reason) => this.fail('A rejection that nothing caught', reason));
  }

  /** Closes and exits 0, unless that has begun already. */
  begin(message: string): void {
    if (!this.isClosing) void this.close(0, message);
  }

  onClose(close: () => Promise<unknown>): void {
    this.closers.push(close);
  }

  /** A part that the process cannot do without is gone: leave, so that whoever watches starts us again. */
  fail(message: string, cause?: unknown): void {
    this.log.fatal?.(
      cause instanceof Error
        ? { message: `${message}: ${cause.message}`, stack: cause.stack }
        : `${message}${cause === undefined ? '' : `: ${String(cause)}`}`,
    );
    if (this.isClosing) process.exit(1);
    void this.close(1, 'Stopping');
  }

  /** A terminal and a supervisor signal workers, too: they are told by their primary, and take no second word for impatience. */
  private received(signal: NodeJS.Signals): void {
    if (cluster.isWorker && (signal === 'SIGINT' || this.isClosing)) return;
    if (this.isClosing) process.exit(1);
    this.begin(`Received ${signal}, finishing the requests in flight`);
  }

  private async close(exitCode: number, message: string): Promise<void> {
    this.isClosing = true;
    this.log.log(message);
    setTimeout(() => {
      this.log.error('The requests in flight took too long');
      void flushLog().then(() => process.exit(1));
    }, this.drainMs).unref();
    let code = exitCode;
    for (const close of this.closers.reverse()) {
      await close().catch((error: unknown) => {
        this.log.error(`Closing failed: ${error instanceof Error ? error.message : String(error)}`);
        code = 1;
      });
    }
    this.log.log('Stopped');
    await flushLog();
    process.exit(code);
  }
}
