import { OperatorError } from '../common/errors/operator-error.js';
import { brokenPasswordRules } from '../common/validation/password-policy.js';
import { UnacceptableValue, type Variable } from './variable.js';
import { variables, type VariableName } from './variables.js';

type Parsed<V> = V extends Variable<infer T> ? T : never;

/** Variables that have neither a value nor a default are `undefined`. */
export type Environment = { readonly [K in VariableName]: Parsed<(typeof variables)[K]> | undefined };

/** The configuration does not hold together. Each fault is one line for the operator. */
export class ConfigurationError extends OperatorError {
  constructor(readonly faults: readonly string[]) {
    super(faults.join('\n'));
  }
}

/** Reads every variable; an empty one counts as unset, as in a `.env` file with `NAME=`. @throws ConfigurationError */
export function readEnvironment(source: Record<string, string | undefined>): Environment {
  const faults: string[] = [];
  const entries = Object.entries(variables).map(([name, variable]) => {
    const given = source[name]?.trim();
    const value = given || variable.fallback;
    if (value === null) return [name, undefined];
    try {
      return [name, variable.parse(value)];
    } catch (error) {
      if (!(error instanceof UnacceptableValue)) throw error;
      faults.push(fault(name, variable, value, error.message));
      return [name, undefined];
    }
  });
  const environment = Object.fromEntries(entries) as Environment;
  faults.push(...crossFieldFaults(environment, source));
  if (faults.length > 0) throw new ConfigurationError(faults);
  return environment;
}

function fault(name: string, variable: Variable<unknown>, value: string, expected: string): string {
  const got = variable.isSecret ? `a secret of ${[...value].length} characters` : JSON.stringify(value);
  return `${name} is ${got}; it takes ${expected || variable.accepts}`;
}

/** Rules that join variables. A secret is named, never shown. */
function crossFieldFaults(env: Environment, source: Record<string, string | undefined>): string[] {
  const isGiven = (name: VariableName) => Boolean(source[name]?.trim());
  const faults: string[] = [];
  const isProduction = env.NODE_ENV === 'production';
  if (isProduction && env.DATABASE_URL && !isGiven('JWT_SECRET')) {
    faults.push(
      'JWT_SECRET is unset; it takes at least 32 characters when NODE_ENV=production and DATABASE_URL is set',
    );
  }
  for (const name of ['DATABASE_DIRECT_URL', 'DATABASE_REPLICA_URLS'] as const) {
    if (isGiven(name) && !isGiven('DATABASE_URL')) faults.push(`DATABASE_URL is unset; it is required with ${name}`);
  }
  if (env.JWT_SECRET && isPredictable(env.JWT_SECRET)) {
    faults.push(
      'JWT_SECRET is a secret of few characters or of one text again and again; it takes a random text, as of `openssl rand -base64 48`',
    );
  }
  if (isGiven('ADMIN_EMAIL') !== isGiven('ADMIN_PASSWORD')) {
    const missing = isGiven('ADMIN_EMAIL') ? 'ADMIN_PASSWORD' : 'ADMIN_EMAIL';
    faults.push(`${missing} is unset; ADMIN_EMAIL and ADMIN_PASSWORD are given together or not at all`);
  }
  if (env.ADMIN_EMAIL && env.ADMIN_PASSWORD) {
    const broken = brokenPasswordRules(env.ADMIN_PASSWORD, { email: env.ADMIN_EMAIL });
    if (broken.length > 0)
      faults.push(`ADMIN_PASSWORD is a secret that breaks the password rules: ${broken.join('; ')}`);
  }
  if (isProduction && env.SMTP_URL && !isGiven('PUBLIC_URL')) {
    faults.push(
      'PUBLIC_URL is unset; it takes the base of the links in mails when NODE_ENV=production and SMTP_URL is set',
    );
  }
  if (env.STORAGE_DRIVER === 's3') {
    for (const name of ['S3_BUCKET', 'S3_ACCESS_KEY_ID', 'S3_SECRET_ACCESS_KEY'] as const) {
      if (!isGiven(name)) faults.push(`${name} is unset; it is required with STORAGE_DRIVER=s3`);
    }
  }
  if (env.STORAGE_DRIVER === 's3' && env.X_ACCEL_REDIRECT) {
    faults.push('X_ACCEL_REDIRECT is set; it takes STORAGE_DRIVER=local, whose files nginx can read');
  }
  if (
    env.JWT_REFRESH_TTL !== undefined &&
    env.JWT_ACCESS_TTL !== undefined &&
    env.JWT_REFRESH_TTL <= env.JWT_ACCESS_TTL
  ) {
    faults.push(`JWT_REFRESH_TTL is ${env.JWT_REFRESH_TTL}; it takes more than JWT_ACCESS_TTL (${env.JWT_ACCESS_TTL})`);
  }
  if (
    env.SESSION_MAX_TTL !== undefined &&
    env.JWT_REFRESH_TTL !== undefined &&
    env.SESSION_MAX_TTL < env.JWT_REFRESH_TTL
  ) {
    faults.push(
      `SESSION_MAX_TTL is ${env.SESSION_MAX_TTL}; it takes at least JWT_REFRESH_TTL (${env.JWT_REFRESH_TTL})`,
    );
  }
  if (
    env.REFRESH_GRACE !== undefined &&
    env.JWT_REFRESH_TTL !== undefined &&
    env.REFRESH_GRACE >= env.JWT_REFRESH_TTL
  ) {
    faults.push(`REFRESH_GRACE is ${env.REFRESH_GRACE}; it takes less than JWT_REFRESH_TTL (${env.JWT_REFRESH_TTL})`);
  }
  if (env.USER_QUOTA !== undefined && env.STORAGE_QUOTA !== undefined && env.USER_QUOTA > env.STORAGE_QUOTA) {
    faults.push(`USER_QUOTA is ${env.USER_QUOTA}; it takes at most STORAGE_QUOTA (${env.STORAGE_QUOTA})`);
  }
  return faults;
}

const DISTINCT_MIN = 8;

/** Length without variety: few different characters, or a text that is shorter and written more than once. */
function isPredictable(secret: string): boolean {
  if (new Set(secret).size < DISTINCT_MIN) return true;
  for (let period = 1; period <= secret.length / 2 + 1; period++) {
    if (secret.startsWith(secret.slice(period))) return true;
  }
  return false;
}
