import type { DataSource } from 'typeorm';
import { migrations } from '../../../migrations/index.js';
import { MIGRATIONS_TABLE } from '../../database/migrate.js';
import { OLDEST_VERSION } from '../../database/outside-server.js';
import type { AppConfig } from '../../config/app-config.js';
import { type Finding, ok, problem, reasonOf, skipped, warning } from './check.js';
import type { DatabaseLook } from './database-look.js';

const SKEW_WARNING_SECONDS = 2;
const SKEW_PROBLEM_SECONDS = 30;

export async function checkDatabase(look: DatabaseLook, config: AppConfig): Promise<Finding> {
  if (look.kind === 'none yet') return ok(`none yet: the first start makes the ${look.place}`);
  if (look.kind === 'away') return problem(`${look.place} is not reached: ${reasonOf(look.error)}`, adviceFor(config));
  const [{ version, number }] = await look.database.query<{ version: string; number: number }[]>(
    `SELECT current_setting('server_version') AS version, current_setting('server_version_num')::int / 10000 AS number`,
  );
  const summary = `${look.place}: version ${version}`;
  return number >= OLDEST_VERSION
    ? ok(summary)
    : problem(summary, `Use PostgreSQL ${OLDEST_VERSION} or later, or unset DATABASE_URL for the embedded one.`);
}

const adviceFor = ({ database, dataDir }: AppConfig) =>
  database.url
    ? 'Start it, and check host, port, name, user and password in DATABASE_URL.'
    : `See ${dataDir}/postgres/server.log. If another process uses DATA_DIR, it is to be stopped.`;

/** What a start would do first, without doing it. */
export async function checkMigrations(look: DatabaseLook): Promise<Finding> {
  if (look.kind !== 'reached') return skipped('not looked at: there is no database');
  const { pending, unknown } = await compareMigrations(look.database);
  if (unknown.length > 0)
    return problem(
      `the database has migrations that this version does not know: ${unknown.join(', ')}`,
      'A newer version has been here: start that one, or restore the backup from before.',
    );
  if (pending.length > 0)
    return problem(
      `${pending.length} pending: ${pending.join(', ')}`,
      'Start the server, or run `gatehouse migrate`; take a backup before.',
    );
  return ok(`up to date (${migrations.length})`);
}

export async function compareMigrations(database: DataSource): Promise<{ pending: string[]; unknown: string[] }> {
  const [{ has_table }] = await database.query<{ has_table: boolean }[]>(
    'SELECT to_regclass($1) IS NOT NULL AS has_table',
    [MIGRATIONS_TABLE],
  );
  const rows = has_table
    ? await database.query<{ name: string }[]>(`SELECT name FROM ${MIGRATIONS_TABLE} ORDER BY id`)
    : [];
  const applied = new Set(rows.map(({ name }) => name));
  const known = migrations.map(({ name }) => name);
  return {
    pending: known.filter((name) => !applied.has(name)),
    unknown: [...applied].filter((name) => !known.includes(name)),
  };
}

/** Tokens live by this machine's clock, sessions by the database's. */
export async function checkClock(look: DatabaseLook): Promise<Finding> {
  if (look.kind !== 'reached') return skipped('not looked at: there is no database to compare with');
  const before = Date.now();
  const [{ ms }] = await look.database.query<{ ms: string }[]>(
    'SELECT extract(epoch FROM clock_timestamp()) * 1000 AS ms',
  );
  const after = Date.now();
  // What the question took may have been on either way.
  const ahead = before - Number(ms);
  const behind = Number(ms) - after;
  const seconds = Math.max(0, ahead, behind) / 1000;
  const summary =
    seconds < 0.1
      ? "agrees with the database's"
      : `${seconds.toFixed(1)} s ${ahead > behind ? 'ahead of' : 'behind'} the database's`;
  const advice = 'Let both machines keep their time by NTP: tokens and codes of authenticator apps depend on it.';
  if (seconds >= SKEW_PROBLEM_SECONDS) return problem(summary, advice);
  return seconds >= SKEW_WARNING_SECONDS ? warning(summary, advice) : ok(summary);
}

interface Admins {
  readonly all: number;
  readonly active: number;
  readonly signed_in: number;
  readonly with_second_factor: number;
}

export async function checkAdmins(look: DatabaseLook, config: AppConfig): Promise<Finding> {
  if (look.kind !== 'reached') return skipped('not looked at: there is no database');
  if ((await compareMigrations(look.database)).pending.length > 0)
    return skipped('not looked at: migrations are pending');
  const [admins] = await look.database.query<Admins[]>(
    `SELECT count(*)::int AS all, count(*) FILTER (WHERE is_active)::int AS active,
            count(*) FILTER (WHERE is_active AND last_login IS NOT NULL)::int AS signed_in,
            count(*) FILTER (WHERE is_active AND has_second_factor)::int AS with_second_factor
     FROM users WHERE role = 'admin'`,
  );
  return judgeAdmins(admins, config.secondFactor.isRequiredForAdmins);
}

function judgeAdmins({ all, active, signed_in, with_second_factor }: Admins, isRequired: boolean): Finding {
  if (all === 0)
    return warning(
      'there is none yet',
      'The next start makes one and prints its password; or run `gatehouse admin:create`.',
    );
  if (active === 0)
    return problem('all are disabled', 'Run `gatehouse admin:create --promote --enable --email <address>`.');
  const summary = `${active} active, ${with_second_factor} with a second factor`;
  if (signed_in === 0)
    return warning(
      `${summary}; none has ever signed in`,
      'Sign in and change the first password. If it is lost: `gatehouse admin:reset-password <email>`.',
    );
  if (isRequired && with_second_factor === 0)
    return warning(
      `${summary}, which MFA_REQUIRED_FOR_ADMINS asks for: nobody can administer`,
      'Sign in as an administrator and set one up (POST /api/v1/auth/mfa/setup).',
    );
  return ok(summary);
}
