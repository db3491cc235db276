#!/usr/bin/env node
import { Command } from 'commander';
import { describeVariables } from './config/describe.js';
import { ConfigurationError } from './config/environment.js';
import { DatabaseUnusableError } from './database/open-database.js';
import { EmbeddedPostgresError } from './database/embedded/embedded-postgres.js';
import { VERSION } from './version.js';
import { StorageUnusableError } from './uploads/storage/blob-storage.js';
import { FirstAdminError } from './users/first-admin.service.js';

/** Errors whose message is for the operator; of others the stack is of use. */
const OPERATOR_ERRORS = [
  ConfigurationError,
  DatabaseUnusableError,
  EmbeddedPostgresError,
  FirstAdminError,
  StorageUnusableError,
];

const program = new Command('gatehouse')
  .description('Self-hosted application backend: accounts, sessions and users behind one documented REST API')
  .version(VERSION)
  .addHelpText('after', `\n${describeVariables()}`)
  .helpCommand(false);

program
  .command('start', { isDefault: true })
  .description('run the server (default)')
  .addHelpText('after', `\n${describeVariables()}`)
  .action(async () => (await import('./main.js')).start());

program
  .command('migrate')
  .description('bring the database up to date and stop, for those who run it apart from the start')
  .action(async () => (await import('./commands.js')).runMigrations());

program
  .command('openapi')
  .description('print the OpenAPI document')
  .action(async () => (await import('./commands.js')).printOpenApi());

program
  .command('asyncapi')
  .description('print the AsyncAPI document, of the events of sockets')
  .action(async () => (await import('./commands.js')).printAsyncApi());

program
  .command('epoch:renew')
  .description(
    'after the database was restored from a backup: let clients see that messages may be missing; beside a running server too',
  )
  .action(async () => (await import('./commands.js')).renewEpochs());

program
  .command('storage:check')
  .description('compare stored files and database, beside a running server too; exit code 1 when they disagree')
  .option('--repair', 'remove what is left over; without it nothing is changed')
  .action(async ({ repair = false }: { repair?: boolean }) => {
    process.exitCode = await (await import('./commands.js')).checkStorage(repair);
  });

// A closed pipe (`gatehouse start | head`) must neither stop the server nor hang its end.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {});

program.parseAsync().catch(async (error: unknown) => {
  const lines = describeFailure(error);
  process.stderr.write(`${lines.map((line) => `gatehouse: ${line}`).join('\n')}\n`);
  await (await import('./server/logging/pino-logger.js')).flushLog();
  process.exit(1);
});

function describeFailure(error: unknown): string[] {
  if (error instanceof Error && 'syscall' in error && error.syscall === 'listen')
    return [listenFailure(error as NodeJS.ErrnoException & { port?: number })];
  if (OPERATOR_ERRORS.some((known) => error instanceof known)) return (error as Error).message.split('\n');
  return [error instanceof Error ? (error.stack ?? error.message) : String(error)];
}

function listenFailure({ code, port, message }: NodeJS.ErrnoException & { port?: number }): string {
  if (code === 'EADDRINUSE') return `port ${port} is in use by another program; stop it, or set PORT to a free one`;
  if (code === 'EACCES') return `port ${port} is not allowed to this user; set PORT to 1024 or more`;
  if (code === 'EADDRNOTAVAIL') return 'HOST is not an address of this machine; set it to one that is, or to 0.0.0.0';
  return message;
}
