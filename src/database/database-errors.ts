import { QueryFailedError } from 'typeorm';

interface PostgresError {
  code?: string;
  /** Set on system errors: the call that failed. */
  syscall?: string;
  severity?: string;
  constraint?: string;
  message?: string;
  /** Of an AggregateError: one for each address of a name. */
  errors?: unknown[];
}

const UNIQUE_VIOLATION = '23505';
const FOREIGN_KEY_VIOLATION = '23503';
const DEADLOCK = '40P01';
const QUERY_CANCELED = '57014';
/** Of a pooler that ends a connection, whatever the reason: it has no server, is full, or stops. Of PostgreSQL it is no FATAL. */
const PROTOCOL_VIOLATION = '08P01';

/** A server that has replaced a table's columns, or forgotten a statement: what is prepared on that connection is of no more use. */
const STALE_PLAN_MESSAGE = 'cached plan must not change result type';
const FEATURE_NOT_SUPPORTED = '0A000';
const NO_SUCH_STATEMENT = '26000';

const NETWORK_CALLS = new Set(['connect', 'read', 'write', 'getaddrinfo']);
/** Of errors that name no call: of TLS, and of a name with several addresses, none of which answers. */
const NETWORK_CODES = new Set([
  ...['ECONNREFUSED', 'ECONNRESET', 'ECONNABORTED', 'EPIPE', 'ETIMEDOUT', 'EHOSTUNREACH', 'ENETUNREACH'],
  ...['ENOTFOUND', 'EAI_AGAIN'],
]);

/** SQLSTATEs of what has befallen one statement, on a connection that goes on. */
const OF_ONE_STATEMENT = /^(57014|40|53)/;
/** SQLSTATEs of a server that does not let anybody in, or nobody any more: signing in, the database, its end. */
const NO_ENTRY = /^(28|3D000|57)/;
const POOL_IS_FULL = /^timeout exceeded when trying to connect/;

/** SQLSTATEs that mean: not now, perhaps later. */
const UNAVAILABLE = new Set([
  ...[
    '57P01',
    '57P02',
    '57P03',
    '57014',
    '53300',
    '53200',
    '53100',
    '08000',
    '08001',
    '08003',
    '08004',
    '08006',
    '40001',
    '40P01',
    '25P03',
  ],
]);
const UNAVAILABLE_MESSAGE =
  /^(Connection terminated|timeout exceeded when trying to connect|timeout expired|Client has encountered a connection error|Query read timeout|Client was closed|There was an error establishing an SSL connection)/;

function driverError(error: unknown): PostgresError {
  if (error instanceof QueryFailedError) return error.driverError as PostgresError;
  return typeof error === 'object' && error !== null ? error : {};
}

/** The named constraint or unique index that the database found violated, if it was one. */
export function violatedConstraint(error: unknown): string | null {
  const { code, constraint } = driverError(error);
  return code === UNIQUE_VIOLATION || code === FOREIGN_KEY_VIOLATION ? (constraint ?? null) : null;
}

/** Two transactions waited for each other, and the database has ended this one: done again, it finds what the other has done. */
export const isDeadlock = (error: unknown): boolean => driverError(error).code === DEADLOCK;

/** It has taken longer than the server lets a statement take. */
export const isStatementTimeout = (error: unknown): boolean => driverError(error).code === QUERY_CANCELED;

/** What is prepared on the connection no longer fits; on a new one the same statement works. */
export const isStalePlan = (error: unknown): boolean => {
  const { code, message } = driverError(error);
  return code === NO_SUCH_STATEMENT || (code === FEATURE_NOT_SUPPORTED && message === STALE_PLAN_MESSAGE);
};

/** The connection is broken, hangs, or was not made: not only this statement has failed. */
export function isConnectionLost(error: unknown): boolean {
  const { code, message } = driverError(error);
  return isConnectionFailure(error) && !OF_ONE_STATEMENT.test(code ?? '') && !POOL_IS_FULL.test(message ?? '');
}

/** The server is away or lets nobody in: whatever else is asked of it fails as well. */
export function isServerUnusable(error: unknown): boolean {
  const { code } = driverError(error);
  return isConnectionLost(error) || (NO_ENTRY.test(code ?? '') && code !== QUERY_CANCELED);
}

/** The database is away, starting, or overloaded: the same call may succeed later. */
export function isConnectionFailure(error: unknown): boolean {
  const { code, syscall, severity, message, errors } = driverError(error);
  if (errors?.some(isConnectionFailure)) return true;
  const isNetwork = NETWORK_CALLS.has(syscall ?? '') || NETWORK_CODES.has(code ?? '');
  const isPooler = code === PROTOCOL_VIOLATION && severity === 'FATAL';
  return isNetwork || isPooler || UNAVAILABLE.has(code ?? '') || UNAVAILABLE_MESSAGE.test(message ?? '');
}
