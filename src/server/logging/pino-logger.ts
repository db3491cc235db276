import { setTimeout as delay } from 'node:timers/promises';
import type { LoggerService } from '@nestjs/common';
import pino, { type Logger } from 'pino';
import pretty from 'pino-pretty';
import type { AppConfig } from '../../config/app-config.js';

/** Lines wait for each other up to here before they are written, so that logging does not hold up requests… */
const BUFFER_BYTES = 2_048;
/** …but for no longer than this. */
const FLUSH_MS = 500;
/** Several workers write to one pipe: what is no longer than this (PIPE_BUF) arrives in one piece. */
const PIECE_BYTES = 4_096;
const FLUSH_DEADLINE_MS = 1_000;
/** Lines that cannot be written are dropped beyond this. */
const BACKLOG_BYTES_MAX = 1024 * 1024;

const pending = new Set<ReturnType<typeof pino.destination>>();

const STREAMS = { stdout: 1, stderr: 2 } as const;

/** JSON lines, or readable ones on a terminal. Control characters of whatever is logged arrive escaped. */
export function createLogger({ log }: Pick<AppConfig, 'log'>, stream: keyof typeof STREAMS = 'stdout'): Logger {
  const options = {
    level: log.level,
    base: undefined,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (level: string) => ({ level }) },
  };
  if (log.isPretty) {
    return pino(
      options,
      pretty({
        destination: STREAMS[stream],
        colorize: process[stream].isTTY,
        ignore: 'context',
        messageFormat: (line, key) => readable(line, key),
        hideObject: false,
        sync: true,
        translateTime: 'SYS:HH:MM:ss',
      }),
    );
  }
  const destination = pino.destination({
    dest: STREAMS[stream],
    sync: false,
    minLength: BUFFER_BYTES,
    maxWrite: PIECE_BYTES,
    maxLength: BACKLOG_BYTES_MAX,
  });
  // Whoever read the log may have gone. That is no reason to stop serving.
  destination.on('error', () => {});
  pending.add(destination);
  setInterval(() => destination.flush(), FLUSH_MS).unref();
  return pino(options, destination);
}

/**
 * Writes out what is buffered, before `process.exit()`. Without it the flush would be left to pino's exit handler, which, when
 * nobody reads any more, tries for ever; here the failed write is noticed first and the handler does nothing.
 */
export async function flushLog(): Promise<void> {
  const flushed = [...pending].map((destination) => new Promise((resolve) => destination.flush(resolve)));
  await Promise.race([Promise.all(flushed), delay(FLUSH_DEADLINE_MS, undefined, { ref: false })]);
}

const readable = (line: Record<string, unknown>, messageKey: string) =>
  `${typeof line.context === 'string' ? `[${line.context}] ` : ''}${JSON.stringify(String(line[messageKey] ?? '')).slice(1, -1)}`;

/** Which module and route was set up is for whoever looks for a fault in that. */
const NEST_INTERNALS: ReadonlySet<unknown> = new Set([
  'NestFactory',
  'NestApplication',
  'InstanceLoader',
  'RoutesResolver',
  'RouterExplorer',
  'WebSocketsController',
]);

/** Nest's logger on pino. An object's `message` is the line, its other properties are fields. */
export class PinoLogger implements LoggerService {
  constructor(readonly pino: Logger) {}

  log(message: unknown, ...rest: unknown[]): void {
    this.write(NEST_INTERNALS.has(rest.at(-1)) ? 'debug' : 'info', message, rest);
  }

  warn(message: unknown, ...rest: unknown[]): void {
    this.write('warn', message, rest);
  }

  error(message: unknown, ...rest: unknown[]): void {
    this.write('error', message, rest);
  }

  fatal(message: unknown, ...rest: unknown[]): void {
    this.write('fatal', message, rest);
  }

  debug(message: unknown, ...rest: unknown[]): void {
    this.write('debug', message, rest);
  }

  verbose(message: unknown, ...rest: unknown[]): void {
    this.write('trace', message, rest);
  }

  private write(
    level: 'fatal' | 'error' | 'warn' | 'info' | 'debug' | 'trace',
    message: unknown,
    rest: unknown[],
  ): void {
    const context = typeof rest.at(-1) === 'string' ? (rest.at(-1) as string) : undefined;
    const stack = rest.length > 1 && typeof rest[0] === 'string' ? rest[0] : undefined;
    if (message instanceof Error) return this.pino[level]({ context, stack: message.stack }, message.message);
    if (typeof message !== 'object' || message === null) return this.pino[level]({ context, stack }, String(message));
    const { message: text, ...fields } = message as { message?: unknown };
    this.pino[level]({ context, stack, ...fields }, text === undefined ? undefined : String(text));
  }
}
