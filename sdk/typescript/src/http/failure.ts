import { ConnectionError } from '../errors.js';

/** What is thrown for a request without an answer; what is no failure of the network comes as it is. */
export function failureOf(error: unknown, method: string, url: string): unknown {
  if (!isNetworkFailure(error)) return error;
  // Without the query: signed links are secrets.
  const { origin, pathname } = new URL(url);
  const request = `${method} ${origin}${pathname}`;
  if (isRedirect(error))
    return new ConnectionError(`${request}: The server redirects; is baseURL right (https)?`, error);
  const reason = reasonOf(innermost(error));
  return new ConnectionError(`${request}: no answer${reason && ` (${reason})`}`, error);
}

/** Whether fetch has refused to follow. Browsers do not tell it from a broken connection. */
export function isRedirect(error: unknown): boolean {
  const { code, message } = innermost(error);
  return code === 'UnexpectedRedirect' || (typeof message === 'string' && /\bredirect/i.test(message));
}

/**
 * fetch rejects with a TypeError when there is no answer, and so does a body that breaks off. By name: an error of another realm
 * (a frame, a test) is of another class.
 */
function isNetworkFailure(error: unknown): boolean {
  const name = (error as { name?: unknown } | null)?.name;
  return name === 'TypeError' || name === 'NetworkError' || isSystemError(error);
}

/** Bun rejects with an error that has a code of the system or of its own. */
function isSystemError(error: unknown): boolean {
  const code = (error as { code?: unknown } | null)?.code;
  return (
    typeof code === 'string' && /^(ECONN|EPIPE|ETIMEDOUT|ENOTFOUND|EAI_|Connection|FailedToOpen|Unexpected)/.test(code)
  );
}

interface Cause {
  code?: unknown;
  message?: unknown;
}

/** fetch says only that it failed; why, says the cause of the cause. */
function innermost(error: unknown): Cause {
  let found = error as { cause?: unknown } & Cause;
  for (let depth = 0; depth < 10 && typeof found?.cause === 'object' && found.cause !== null; depth++)
    found = found.cause as Cause;
  return found ?? {};
}

/** A code, or else the words without what may be an address with secrets in it. */
function reasonOf({ code, message }: Cause): string {
  if (typeof code === 'string' && /^\w+$/.test(code)) return code;
  return typeof message === 'string' ? message.replace(/\S*:\/\/\S*/g, '…') : '';
}
