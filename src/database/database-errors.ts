import { QueryFailedError } from 'typeorm';

interface PostgresError {
  code?: string;
  /** Set on system errors: the call that failed. */
  syscall?: string;
  severity?: string;
  constraint?: string;
}

const UNIQUE_VIOLATION = '23505';
const FOREIGN_KEY_VIOLATION = '23503';
const DEADLOCK = '40P01';
const QUERY_CANCELED = '57014';
/** Of a pooler that ends a connection, whatever the reason: it has no server, is full, or stops. Of PostgreSQL it is no FATAL. */
const PROTOCOL_VIOLATION = '08P01';

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
  /^(Connection terminated|timeout exceeded when trying to connect|timeout expired|Client has encountered a connection error|Query read timeout|Client was closed)/;

function driverError(error: unknown): PostgresError & { message?: string } {
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

/** It has taken longer than a statement may. */
export const isStatementTimeout = (error: unknown): boolean => {
  const { code, message } = driverError(error);
  return code === QUERY_CANCELED || message === 'Query read timeout';
};

/** The database is away, starting, or overloaded: the same call may succeed later. */
export function isConnectionFailure(error: unknown): boolean {
  const { code, syscall, severity, message } = driverError(error);
  const isNetwork = ['connect', 'read', 'write', 'getaddrinfo'].includes(syscall ?? '');
  const isPooler = code === PROTOCOL_VIOLATION && severity === 'FATAL';
  return isNetwork || isPooler || UNAVAILABLE.has(code ?? '') || UNAVAILABLE_MESSAGE.test(message ?? '');
}
