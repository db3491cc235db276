import type { AppConfig } from '../../config/app-config.js';
import { ConfigurationError, readEnvironment } from '../../config/environment.js';
import { loadConfig } from '../../config/load-config.js';
import { variables, type VariableName } from '../../config/variables.js';

export type Source = Readonly<Record<string, string | undefined>>;

/** The configuration as far as it is right. */
export interface Settings {
  readonly config: AppConfig;
  readonly source: Source;
  /** One line for each fault, as a start would print them. */
  readonly faults: readonly string[];
  readonly faulty: ReadonlySet<string>;
}

/** Nothing is signed or read with it: so that looking makes no secret where there is none yet. */
const STAND_IN_SECRET = 'only for looking, and never used for anything: 0123456789';

/** What is looked at. None of these depends on another but those of S3, which go together. */
const LOOKED_AT: readonly VariableName[] = [
  ...([
    'HOST',
    'PORT',
    'DATA_DIR',
    'DATABASE_URL',
    'DATABASE_POOL_SIZE',
    'DATABASE_DIRECT_URL',
    'DATABASE_REPLICA_URLS',
    'REDIS_URL',
    'PUBLIC_URL',
    'TRUST_PROXY',
  ] as const),
  ...([
    'SMTP_URL',
    'MAIL_FROM',
    'PRODUCT_NAME',
    'METRICS_TOKEN',
    'RATE_LIMIT_ENABLED',
    'MFA_REQUIRED_FOR_ADMINS',
  ] as const),
  ...(Object.keys(variables) as VariableName[]).filter((name) => /^S3_|^STORAGE_DRIVER$/.test(name)),
];

export function readSettings(source: Source): Settings {
  const faults = faultsIn(source);
  const faulty = new Set(faults.map((fault) => fault.split(' ', 1)[0]));
  const isS3Faulty = [...faulty].some((name) => /^S3_/.test(name));
  if (isS3Faulty) faulty.add('STORAGE_DRIVER');
  const sound = LOOKED_AT.filter((name) => !faulty.has(name));
  const config = loadConfig({
    ...Object.fromEntries(sound.map((name) => [name, source[name]])),
    JWT_SECRET: STAND_IN_SECRET,
  });
  return { config, source, faults, faulty };
}

function faultsIn(source: Source): readonly string[] {
  try {
    readEnvironment(source);
    return [];
  } catch (error) {
    if (error instanceof ConfigurationError) return error.faults;
    throw error;
  }
}

/** Whether a variable has a value of its own; an empty one counts as none. */
export const isGiven = (source: Source, name: VariableName): boolean => Boolean(source[name]?.trim());
