#!/usr/bin/env node
import { Command, type CommanderError, Option } from 'commander';
import { UsageError } from './commands/usage-error.js';
import { OperatorError } from './common/errors/operator-error.js';
import { describeVariables } from './config/describe.js';
import { VERSION } from './version.js';

const FAILED = 1;
const MISUSED = 2;

const examples = (...lines: string[]) => `\nExamples:\n${lines.map((line) => `  ${line}`).join('\n')}`;

const program = new Command('gatehouse')
  .description('Self-hosted application backend: accounts, files and live channels behind one documented REST API')
  .version(VERSION)
  .usage('[command] [options]   (without a command: start)')
  .addHelpText('after', `\ngatehouse <command> --help tells more of a command.\n\n${describeVariables()}`)
  .helpCommand(false)
  .showHelpAfterError('--help tells what there is.')
  .exitOverride(({ exitCode }: CommanderError) => process.exit(exitCode === 0 ? 0 : MISUSED));

const passwordStdin = () => new Option('--password-stdin', 'read the password from a pipe').conflicts('passwordPrompt');
const passwordPrompt = () =>
  new Option('--password-prompt', 'ask for the password, twice, without showing it').conflicts('passwordStdin');

program
  .command('start')
  .description('run the server (default)')
  .addHelpText('after', `\n${describeVariables()}`)
  .action(async () => (await import('./main.js')).start());

program
  .command('migrate')
  .description('bring the database up to date and stop, for those who run it apart from the start')
  .addHelpText('after', examples('gatehouse migrate && gatehouse start'))
  .action(async () => (await import('./commands/upkeep.js')).runMigrations());

program
  .command('admin:create')
  .description('make an administrator, or one of an account that there is; beside a running server too')
  .option('--email <address>', 'of the new administrator, or of the account to promote')
  .option('--username <name>', 'derived from the email when left out; with --promote: of the account')
  .option('--promote', 'make an administrator of an account that there is; its password stays')
  .option('--enable', 'with --promote: enable the account, should it be disabled')
  .addOption(passwordStdin())
  .addOption(passwordPrompt())
  .addHelpText(
    'after',
    `
A password is generated and printed once, unless you give one. It is never an argument: those can be seen by others.
${examples(
  'gatehouse admin:create --email ann@example.com',
  'gatehouse admin:create --email ann@example.com --username ann --password-prompt',
  'gatehouse admin:create --email ann@example.com --password-stdin < password.txt',
  'gatehouse admin:create --promote --username bob',
)}`,
  )
  .action(async (options: object) => (await import('./commands/admin-accounts.js')).createAdmin(options));

program
  .command('admin:reset-password')
  .description('give an administrator who cannot sign in a new password; beside a running server too')
  .argument('<account>', 'email or username')
  .option('--any-user', 'the account need not be an administrator')
  .option('--enable', 'enable the account, should it be disabled')
  .option('--remove-mfa', 'remove the second factor: authenticator app and recovery codes')
  .addOption(passwordStdin())
  .addOption(passwordPrompt())
  .addHelpText(
    'after',
    `
All sessions of the account end, and a lockout after wrong passwords; API keys stay. A password is generated and printed once, unless you
give one.
${examples(
  'gatehouse admin:reset-password admin@example.com',
  'gatehouse admin:reset-password ann --remove-mfa --password-prompt',
)}`,
  )
  .action(async (account: string, options: object) =>
    (await import('./commands/admin-accounts.js')).resetPassword(account, options),
  );

program
  .command('doctor')
  .description('look at everything that a server needs, and say what to do; exit code 1 when there is a problem')
  .option('--json', 'for programs')
  .option('--request-ip <address>', 'show whose address counts for a request from here')
  .option('--forwarded-for <addresses>', 'with --request-ip: the X-Forwarded-For that came with it', '')
  .addHelpText(
    'after',
    `
Beside a running server, or without one. The database is not migrated, and nothing is left behind.
${examples(
  'gatehouse doctor',
  'gatehouse doctor --json | jq ".checks[] | select(.state != \\"ok\\")"',
  'gatehouse doctor --request-ip 10.0.0.2 --forwarded-for "203.0.113.7, 10.0.0.9"',
)}`,
  )
  .action(async (options: object) => (await import('./commands/doctor/doctor.js')).runDoctor(options));

program
  .command('storage:check')
  .description('compare stored files and database, beside a running server too; exit code 1 when they disagree')
  .option('--repair', 'remove what is left over; without it nothing is changed')
  .addHelpText('after', examples('gatehouse storage:check', 'gatehouse storage:check --repair'))
  .action(async ({ repair = false }: { repair?: boolean }) => {
    process.exitCode = await (await import('./commands/upkeep.js')).checkStorage(repair);
  });

program
  .command('epoch:renew')
  .description(
    'after the database was restored from a backup: let clients see that messages may be missing; beside a running server too',
  )
  .addHelpText('after', examples('gatehouse epoch:renew'))
  .action(async () => (await import('./commands/upkeep.js')).renewEpochs());

program
  .command('openapi')
  .description('print the OpenAPI document')
  .addHelpText('after', examples('gatehouse openapi > openapi.json'))
  .action(async () => (await import('./commands/documents.js')).printOpenApi());

program
  .command('asyncapi')
  .description('print the AsyncAPI document, of the events of sockets')
  .addHelpText('after', examples('gatehouse asyncapi > asyncapi.json'))
  .action(async () => (await import('./commands/documents.js')).printAsyncApi());

// A closed pipe (`gatehouse start | head`) must neither stop the server nor hang its end.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {});

// Not a default command of the library's: that would take a misspelt command for an argument of it.
const given = process.argv.slice(2);
program.parseAsync(given.length === 0 ? ['start'] : given, { from: 'user' }).catch(async (error: unknown) => {
  const lines = describeFailure(error);
  process.stderr.write(`${lines.map((line) => `gatehouse: ${line}`).join('\n')}\n`);
  if (!(error instanceof UsageError)) await (await import('./server/logging/pino-logger.js')).flushLog();
  process.exit(error instanceof UsageError ? MISUSED : FAILED);
});

function describeFailure(error: unknown): string[] {
  if (error instanceof Error && 'syscall' in error && error.syscall === 'listen')
    return [listenFailure(error as NodeJS.ErrnoException & { port?: number })];
  if (error instanceof OperatorError) return error.message.split('\n');
  return [error instanceof Error ? (error.stack ?? error.message) : String(error)];
}

function listenFailure({ code, port, message }: NodeJS.ErrnoException & { port?: number }): string {
  if (code === 'EADDRINUSE') return `port ${port} is in use by another program; stop it, or set PORT to a free one`;
  if (code === 'EACCES') return `port ${port} is not allowed to this user; set PORT to 1024 or more`;
  if (code === 'EADDRNOTAVAIL') return 'HOST is not an address of this machine; set it to one that is, or to 0.0.0.0';
  return message;
}
