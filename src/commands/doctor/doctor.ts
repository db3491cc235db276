import { withTimeout } from '../../common/limits/with-timeout.js';
import { readDotenvFile } from '../../config/load-config.js';
import { VERSION } from '../../version.js';
import { UsageError } from '../usage-error.js';
import { type Check, reasonOf, type Result, runChecks } from './check.js';
import { checkAdmins, checkClock, checkMigrations } from './database-checks.js';
import { type DatabaseLook, lookAtDatabase } from './database-look.js';
import { checkProxy, sampleFrom, type SampleRequest } from './proxy-checks.js';
import { redactor } from './redaction.js';
import { renderJson, renderTable } from './render.js';
import { checkMail, checkMailQueue, checkRedis } from './service-checks.js';
import { readSettings, type Settings } from './settings.js';
import { checkConfiguration, checkMachine, checkProduction, checkSecrets, isProduction } from './setting-checks.js';
import { checkDisk, checkStorage } from './storage-checks.js';
import { checkDatabaseAndWays } from './way-checks.js';

export interface DoctorOptions {
  json?: boolean;
  requestIp?: string;
  forwardedFor?: string;
}

/** Without these it would be another database that is looked at. */
const DATABASE_VARIABLES = ['DATABASE_URL', 'DATABASE_DIRECT_URL', 'DATA_DIR'] as const;
/** An embedded database may have to recover from a crash first. */
const DATABASE_TIMEOUT_MS = 60_000;
const CLOSE_TIMEOUT_MS = 20_000;
/** Through several attempts of the SDK. */
const STORAGE_TIMEOUT_MS = 30_000;

/** `gatehouse doctor`. Ends the process: what has not answered in time may still be waited for by something. */
export async function runDoctor({ json, requestIp, forwardedFor = '' }: DoctorOptions): Promise<never> {
  const sample = readSample(requestIp, forwardedFor);
  readDotenvFile();
  const settings = readSettings(process.env);
  const results = await examine(settings, sample);
  const redact = redactor(settings.source);
  const shown = results.map(({ advice, summary, ...result }) => ({
    ...result,
    summary: redact(summary),
    ...(advice !== undefined && { advice: redact(advice) }),
  }));
  const hasColour = process.stdout.isTTY && !process.env.NO_COLOR;
  const appearance = { columns: process.stdout.columns ?? 100, hasColour };
  const text = json ? renderJson(shown, VERSION) : renderTable(shown, appearance);
  await new Promise<void>((resolve) => process.stdout.write(text, () => resolve()));
  process.exit(results.some(({ state }) => state === 'problem') ? 1 : 0);
}

function readSample(requestIp: string | undefined, forwardedFor: string): SampleRequest | null {
  if (requestIp === undefined && forwardedFor !== '') throw new UsageError('--forwarded-for goes with --request-ip');
  try {
    return sampleFrom(requestIp, forwardedFor);
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

async function examine(settings: Settings, sample: SampleRequest | null): Promise<Result[]> {
  const look = await reach(settings);
  try {
    return await runChecks(checksOf(settings, look, sample), settings.faulty);
  } finally {
    if (look.kind === 'reached') await withTimeout(look.close(), CLOSE_TIMEOUT_MS).catch(() => undefined);
  }
}

/** All that has to do with the database looks at the same one. */
async function reach({ config, faulty }: Settings): Promise<DatabaseLook> {
  if (DATABASE_VARIABLES.some((name) => faulty.has(name))) return { kind: 'none yet', place: 'database' };
  try {
    return await withTimeout(lookAtDatabase(config), DATABASE_TIMEOUT_MS);
  } catch (error) {
    return { kind: 'away', place: 'database', error: new Error(reasonOf(error)) };
  }
}

function checksOf(settings: Settings, look: DatabaseLook, sample: SampleRequest | null): Check[] {
  const { config, source } = settings;
  const database = DATABASE_VARIABLES;
  return [
    { name: 'configuration', run: () => checkConfiguration(settings) },
    { name: 'machine', run: () => checkMachine() },
    { name: 'disk', variables: ['DATA_DIR'], run: () => checkDisk(config) },
    { name: 'database', variables: database, run: () => checkDatabaseAndWays(look, config) },
    { name: 'migrations', variables: database, run: () => checkMigrations(look) },
    { name: 'clock', variables: database, run: () => checkClock(look) },
    {
      name: 'storage',
      variables: ['DATA_DIR', 'STORAGE_DRIVER'],
      timeoutMs: STORAGE_TIMEOUT_MS,
      run: () => checkStorage(config, look),
    },
    { name: 'Redis', variables: ['REDIS_URL'], run: () => checkRedis(config) },
    {
      name: 'mail',
      variables: ['SMTP_URL', 'MAIL_FROM', 'DATA_DIR'],
      run: () => checkMail(config, isProduction(source)),
    },
    { name: 'mail queue', variables: database, run: () => checkMailQueue(look) },
    { name: 'proxies', variables: ['TRUST_PROXY', 'PUBLIC_URL'], run: () => checkProxy(config.http, sample) },
    { name: 'secrets', variables: database, run: () => checkSecrets(settings, look) },
    { name: 'settings', variables: ['NODE_ENV', 'RATE_LIMIT_ENABLED'], run: () => checkProduction(settings) },
    { name: 'administrators', variables: database, run: () => checkAdmins(look, config) },
  ];
}
