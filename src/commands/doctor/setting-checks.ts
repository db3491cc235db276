import { type Stats, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { AppConfig } from '../../config/app-config.js';
import { type Finding, ok, problem, warning } from './check.js';
import type { DatabaseLook } from './database-look.js';
import { isGiven, type Settings, type Source } from './settings.js';

const TOKEN_LENGTH = 32;
const FILES_PROBLEM = 1_024;
const FILES_WARNING = 8_192;
const NODE_OLDEST = [20, 19];

export function checkConfiguration({ faults }: Settings): Finding[] {
  if (faults.length === 0) return [ok('every variable is what it takes')];
  return faults.map((fault) =>
    problem(fault, 'Set it right: the server does not start. `gatehouse --help` lists all.'),
  );
}

export async function checkSecrets({ source, config }: Settings, look: DatabaseLook): Promise<Finding[]> {
  const findings = [
    signingSecret(source, config),
    await firstPassword(source, look),
    metricsToken(source),
    environmentFile(),
  ].filter((finding) => finding !== null);
  return findings;
}

function signingSecret(source: Source, { dataDir }: AppConfig): Finding {
  if (isGiven(source, 'JWT_SECRET')) return ok('JWT_SECRET is given');
  const file = join(dataDir, 'jwt-secret');
  const found = statOf(file);
  if (!found) return ok(`none yet: the first start makes ${file}`);
  return isForOthers(found.mode)
    ? problem(`${file} can be read by others`, `They could sign in as anybody: chmod 600 ${file}`)
    : ok(`${file} is for its owner alone`);
}

/** Once there is an administrator it is of no use, and still in the environment. */
async function firstPassword(source: Source, look: DatabaseLook): Promise<Finding | null> {
  if (!isGiven(source, 'ADMIN_PASSWORD') || look.kind !== 'reached') return null;
  const [{ has_users }] = await look.database.query<{ has_users: boolean }[]>(
    `SELECT to_regclass('users') IS NOT NULL AS has_users`,
  );
  if (!has_users) return null;
  const [{ has_admin }] = await look.database.query<{ has_admin: boolean }[]>(
    `SELECT EXISTS (SELECT FROM users WHERE role = 'admin') AS has_admin`,
  );
  return has_admin
    ? warning(
        'ADMIN_PASSWORD is still in the environment',
        'There is an administrator: remove it, and change that password.',
      )
    : null;
}

function metricsToken(source: Source): Finding | null {
  const token = source.METRICS_TOKEN?.trim() ?? '';
  if (token === '' || [...token].length >= TOKEN_LENGTH) return null;
  return warning(
    `METRICS_TOKEN has ${[...token].length} characters`,
    `Take ${TOKEN_LENGTH} or more, as of \`openssl rand -base64 32\`.`,
  );
}

function environmentFile(): Finding | null {
  const file = resolve('.env');
  const found = statOf(file);
  if (!found || !isForOthers(found.mode)) return null;
  return warning(`${file} can be read by others`, `It may hold secrets: chmod 600 ${file}`);
}

/** `null` also where a folder on the way is none, which others tell. */
function statOf(file: string): Stats | null {
  try {
    return statSync(file);
  } catch (error) {
    if (/^(ENOENT|ENOTDIR)$/.test((error as NodeJS.ErrnoException).code ?? '')) return null;
    throw error;
  }
}

/** Windows has no such modes. */
const isForOthers = (mode: number) => process.platform !== 'win32' && (mode & 0o077) !== 0;

export const isProduction = (source: Source): boolean => source.NODE_ENV?.trim().toLowerCase() === 'production';

export function checkProduction({ source, config }: Settings): Finding[] {
  const findings: Finding[] = [];
  if (!isProduction(source))
    findings.push(
      warning(
        `NODE_ENV is ${source.NODE_ENV?.trim() || 'not set'}`,
        'On a public server set NODE_ENV=production, which asks for what such a server needs.',
      ),
    );
  if (!config.rateLimits.isEnabled)
    findings.push(
      (isProduction(source) ? problem : warning)(
        'RATE_LIMIT_ENABLED=false',
        'It is for load tests: without limits passwords and mails can be tried as often as anybody likes.',
      ),
    );
  if (!isGiven(source, 'PUBLIC_URL') && (isProduction(source) || isGiven(source, 'SMTP_URL')))
    findings.push(
      warning('PUBLIC_URL is not set', 'Links in mails lead to localhost: set it to the address that users know.'),
    );
  if (isProduction(source) && config.http.publicUrl?.startsWith('http:'))
    findings.push(
      warning(
        'PUBLIC_URL begins with http://',
        'Passwords and tokens would travel for everybody to read: let a proxy end TLS, and name the https:// address.',
      ),
    );
  return findings.length > 0 ? findings : [ok('as a public server needs them')];
}

export function checkMachine(): Finding[] {
  return [nodeVersion(), openFiles()];
}

function nodeVersion(): Finding {
  const [major, minor] = process.versions.node.split('.').map(Number);
  const isOldEnough = major > NODE_OLDEST[0] || (major === NODE_OLDEST[0] && minor >= NODE_OLDEST[1]);
  const summary = `Node.js ${process.versions.node}`;
  return isOldEnough ? ok(summary) : problem(summary, `Use ${NODE_OLDEST.join('.')} or later.`);
}

interface SystemReport {
  userLimits?: { open_files?: { soft: number | string } };
}

/** Each connection is one, and so is each file that is sent or received. */
function openFiles(): Finding {
  // Else it asks for the names of all addresses that there are connections to.
  Object.assign(process.report, { excludeNetwork: true });
  const soft = (process.report.getReport() as SystemReport).userLimits?.open_files?.soft;
  if (soft === undefined) return ok('this system tells no limit of open files');
  const limit = soft === 'unlimited' ? Infinity : Number(soft);
  const summary = `${limit === Infinity ? 'no limit of' : limit} open files`;
  const advice =
    'Each connection is one: raise the limit (LimitNOFILE= of systemd, --ulimit nofile= of docker, ulimit -n).';
  if (limit < FILES_PROBLEM) return problem(summary, advice);
  return limit < FILES_WARNING ? warning(summary, advice) : ok(summary);
}
