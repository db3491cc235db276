import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { OperatorError } from '../common/errors/operator-error.js';
import type { AppConfig } from '../config/app-config.js';
import { type Connection, pgConfig } from './connection.js';
import { isConnectionFailure } from './database-errors.js';

/** The database cannot be used; the message says what to do. */
export class DatabaseUnusableError extends OperatorError {}

const WAIT_MS = 30_000;
const RETRY_MS = 500;
const ANSWER_TIMEOUT_MS = 5_000;
const SHARING_ATTEMPTS = 100;
export const OLDEST_VERSION = 14;

/** What of a server has to be known before it is used. */
export interface ServerFacts {
  readonly version: number;
  /** The same for two connections if, and only if, they lead to one database of one running server. */
  readonly identity: string;
  readonly hasStatementTimeout: boolean;
  readonly isTransactionPooled: boolean;
}

type UrlVariable = 'DATABASE_URL' | 'DATABASE_DIRECT_URL';
type Log = (message: string) => void;

/** The connection for whatever needs a session, of an outside database that is up. @throws DatabaseUnusableError */
export async function reachOutsideServer(urls: AppConfig['database'], url: string, log: Log): Promise<Connection> {
  const direct = { url: urls.directUrl ?? url };
  const name = urls.directUrl === null ? 'DATABASE_URL' : 'DATABASE_DIRECT_URL';
  const facts = await factsWhenUp(name, direct, log);
  if (facts.isTransactionPooled) throw new DatabaseUnusableError(poolerFault(name));
  if (urls.directUrl === null) return direct;
  const pooled = await factsWhenUp('DATABASE_URL', { url }, log);
  if (pooled.identity !== facts.identity) throw new DatabaseUnusableError(TWO_DATABASES);
  if (!pooled.hasStatementTimeout) log(NO_TIMEOUT);
  return direct;
}

export const poolerFault = (name: UrlVariable): string =>
  name === 'DATABASE_URL'
    ? 'DATABASE_URL leads through a pooler in transaction mode, which carries neither LISTEN nor locks of a session: set DATABASE_DIRECT_URL to the server itself (docs/postgresql.md)'
    : 'DATABASE_DIRECT_URL leads through a pooler in transaction mode; it takes the server itself, or a pooler in session mode';
export const TWO_DATABASES =
  'DATABASE_URL and DATABASE_DIRECT_URL lead to different databases; they take two ways to the same one';
export const NO_TIMEOUT =
  'Statements that come through the pooler of DATABASE_URL have no time limit on the server: give its connections one by connect_query (docs/postgresql.md)';

/** In a composition the database often starts later than we do: a refused connection is asked again for half a minute. */
async function factsWhenUp(name: UrlVariable, connection: Connection, log: Log): Promise<ServerFacts> {
  const deadline = Date.now() + WAIT_MS;
  for (let attempt = 1; ; attempt++) {
    try {
      const facts = await factsOf(connection);
      if (facts.version >= OLDEST_VERSION) return facts;
      throw new DatabaseUnusableError(
        `${name} leads to PostgreSQL ${facts.version}; it takes ${OLDEST_VERSION} or later`,
      );
    } catch (error) {
      if (error instanceof DatabaseUnusableError) throw error;
      const reason = error instanceof Error ? error.message || (error as NodeJS.ErrnoException).code : String(error);
      if (!isConnectionFailure(error) || Date.now() > deadline) {
        throw new DatabaseUnusableError(`${name} leads to no usable database: ${reason}`, { cause: error });
      }
      if (attempt === 1) log(`Waiting for the database: ${reason}`);
      await delay(RETRY_MS);
    }
  }
}

export function factsOf(connection: Connection): Promise<ServerFacts> {
  return connected(connection, async (client) => {
    const { rows } = await client.query<{ version: number; pid: number; identity: string; timeout: string }>(
      `SELECT current_setting('server_version_num')::int / 10000 AS version, pg_backend_pid() AS pid,
              current_database() || ' ' || extract(epoch FROM pg_postmaster_start_time()) AS identity,
              current_setting('statement_timeout') AS timeout`,
    );
    const [{ version, pid, identity, timeout }] = rows;
    return {
      version,
      identity,
      hasStatementTimeout: timeout !== '0',
      isTransactionPooled: announcedProcess(client) !== pid && (await isShared(connection, client)),
    };
  });
}

/**
 * What a pooler calls the process of a connection is a number of its own. Whether it pools by transaction is seen when another client's
 * transaction gets the process that has served this one: a session would have kept it. In a pool that is busy the two may miss each
 * other, so they try several times.
 */
async function isShared(connection: Connection, client: pg.Client): Promise<boolean> {
  const first = await processOf(client);
  return connected(connection, async (other) => {
    for (let attempt = 0; attempt < SHARING_ATTEMPTS; attempt++) {
      await other.query('BEGIN');
      if ((await processOf(other)) === first || (await processOf(client)) !== first) return true;
      await other.query('ROLLBACK');
    }
    return false;
  });
}

/** As the other end has called it when the connection was made; the types do not know it. */
const announcedProcess = (client: pg.Client) => (client as pg.Client & { processID: number }).processID;

async function processOf(client: pg.Client): Promise<number> {
  const { rows } = await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
  return rows[0].pid;
}

async function connected<T>(connection: Connection, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ ...pgConfig(connection), query_timeout: ANSWER_TIMEOUT_MS });
  client.on('error', () => undefined);
  try {
    await client.connect();
    return await work(client);
  } finally {
    await client.end().catch(() => {});
  }
}
