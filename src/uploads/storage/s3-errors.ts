import { ServiceUnavailableError } from '../../common/errors/errors.js';

interface S3Failure {
  readonly name?: string;
  readonly code?: string;
  readonly message?: string;
  readonly $metadata?: { readonly httpStatusCode?: number };
}

const NETWORK_CODES = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ECONNABORTED',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EHOSTDOWN',
  'ENETDOWN',
  'ENOTFOUND',
  'EAI_AGAIN',
]);
/** Reported with a status that otherwise means that the request was wrong. */
const TEMPORARY_NAMES = new Set(['TimeoutError', 'RequestTimeout', 'Throttling', 'ThrottlingException', 'SlowDown']);
const MISSING_NAMES = new Set(['NoSuchKey', 'NoSuchUpload', 'NotFound']);
const RETRY_AFTER_SECONDS = 2;

export const statusOf = (error: unknown): number | undefined => (error as S3Failure).$metadata?.httpStatusCode;

/** There is no such object or unfinished upload. */
export const isMissing = (error: unknown): boolean => MISSING_NAMES.has((error as S3Failure).name ?? '');

/** The same request may succeed a little later. */
export function isTemporary(error: unknown): boolean {
  const { name = '', code = '' } = error as S3Failure;
  const status = statusOf(error) ?? 0;
  return NETWORK_CODES.has(code) || TEMPORARY_NAMES.has(name) || status >= 500 || status === 429;
}

/** Why a request failed, for the operator. */
export function reasonOf(error: unknown): string {
  const { name, code, message } = error as S3Failure;
  // The message of an attempt on several addresses is empty; that of an answer without a body says nothing.
  return message && message !== 'UnknownError' ? message : (code ?? `${name} ${statusOf(error) ?? ''}`.trim());
}

/** Around each request: what is left of an outage after all attempts is the client's to try again later. */
export async function orUnavailable<T>(answer: Promise<T>): Promise<T> {
  try {
    return await answer;
  } catch (error) {
    if (!isTemporary(error)) throw error;
    throw new ServiceUnavailableError('The file storage is temporarily unavailable', {
      retryAfterSeconds: RETRY_AFTER_SECONDS,
      cause: error,
    });
  }
}
