import type { ErrorBody } from './types.js';

/** What an error says beside its message. */
export interface ErrorDetails {
  /** The HTTP status; 0 without an answer. */
  status: number;
  code: string;
  fieldErrors?: Record<string, string[]>;
  requestId?: string | null;
  retryAfter?: number | null;
  body?: unknown;
  cause?: unknown;
}

/** Base of every error that the client throws; itself for the answers that have no class of their own. */
export class GatehouseError extends Error {
  /** The HTTP status; 0 when there was no answer. */
  readonly status: number;
  /** Stable, for programs: the `error_code` of the answer, or `http_<status>` when the answer is not Gatehouse's. */
  readonly code: string;
  /** By field of the request: what is wrong with it. Empty when no field is to blame. */
  readonly fieldErrors: Record<string, string[]>;
  /** What the server's log calls this request. */
  readonly requestId: string | null;
  /** Seconds after which the server wants to be asked again. */
  readonly retryAfter: number | null;
  /** The body of the answer, as it came; not enumerable. */
  declare readonly body: unknown;

  constructor(message: string, { status, code, fieldErrors, requestId, retryAfter, body, cause }: ErrorDetails) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = new.target.name;
    this.status = status;
    this.code = code;
    this.fieldErrors = fieldErrors ?? {};
    this.requestId = requestId ?? null;
    this.retryAfter = retryAfter ?? null;
    Object.defineProperty(this, 'body', { value: body });
  }
}

/** 401: not signed in, or not any more. */
export class AuthenticationError extends GatehouseError {}
/** 403: signed in, and not allowed. */
export class PermissionDeniedError extends GatehouseError {}
/** 404: it does not exist, or it is not yours. */
export class NotFoundError extends GatehouseError {}
/** 409: taken, or in another state than the call needs. */
export class ConflictError extends GatehouseError {}
/** 422: the input breaks a rule; `fieldErrors` says which. */
export class ValidationError extends GatehouseError {}
/** 429: too many requests; `retryAfter` says for how long. */
export class RateLimitError extends GatehouseError {}

/** The password is right, and the account has a second factor: go on with `auth.mfa.verify()`. */
export class MfaRequiredError extends GatehouseError {
  /** Not enumerable, so that logs which print errors do not print it. */
  declare readonly mfaToken: string;

  /** @param expiresIn seconds for which `mfaToken` is good */
  constructor(
    mfaToken: string,
    readonly expiresIn: number,
  ) {
    super('A second factor is required', { status: 200, code: 'mfa_required' });
    Object.defineProperty(this, 'mfaToken', { value: mfaToken, enumerable: false });
  }
}

/** There was no answer: the server cannot be reached, or the connection broke. */
export class ConnectionError extends GatehouseError {
  constructor(message: string, cause?: unknown) {
    super(message, { status: 0, code: 'connection_failed', cause });
  }
}

/** There was no answer in time. */
export class TimeoutError extends GatehouseError {
  constructor(milliseconds: number) {
    super(`No answer within ${milliseconds / 1000} s`, { status: 0, code: 'timed_out' });
  }
}

const CLASSES: Partial<Record<number, typeof GatehouseError>> = {
  401: AuthenticationError,
  403: PermissionDeniedError,
  404: NotFoundError,
  409: ConflictError,
  422: ValidationError,
  429: RateLimitError,
};

/** The error that an answer of 400 and above means. Reads the body. */
export async function errorFromResponse(response: Response): Promise<GatehouseError> {
  const body = await bodyOf(response);
  return errorFromBody(response.status, body, {
    requestId: response.headers.get('X-Request-Id'),
    retryAfter: retryAfterOf(response),
  });
}

/** The error that a body means, as it also comes in acknowledgements of Socket.IO. */
export function errorFromBody(
  status: number,
  body: unknown,
  { requestId, retryAfter }: { requestId?: string | null; retryAfter?: number | null } = {},
): GatehouseError {
  const ErrorClass = CLASSES[status] ?? GatehouseError;
  if (!isErrorBody(body))
    return new ErrorClass(`The server answered ${status}`, {
      status,
      code: `http_${status}`,
      requestId,
      retryAfter,
      body,
    });
  return new ErrorClass(messageOf(body), {
    status,
    code: body.error_code,
    fieldErrors: body.field_errors,
    requestId: body.request_id ?? requestId,
    retryAfter,
    body,
  });
}

/** `Retry-After` in seconds (RFC 9110 10.2.3: a number, or a date). */
export function retryAfterOf(response: Response): number | null {
  const value = response.headers.get('Retry-After');
  if (value === null) return null;
  const seconds = /^\d+$/.test(value) ? Number(value) : (Date.parse(value) - Date.now()) / 1000;
  return Number.isNaN(seconds) ? null : Math.max(seconds, 0);
}

function messageOf({ detail }: ErrorBody): string {
  if (typeof detail === 'string') return detail;
  return detail
    .map(({ loc, msg }) => {
      const field = loc.filter((part) => part !== 'body').join('.');
      return field === '' ? msg : `${field}: ${msg}`;
    })
    .join('; ');
}

function isErrorBody(body: unknown): body is ErrorBody {
  if (typeof body !== 'object' || body === null) return false;
  const { error_code, detail } = body as Partial<ErrorBody>;
  return typeof error_code === 'string' && (typeof detail === 'string' || Array.isArray(detail));
}

async function bodyOf(response: Response): Promise<unknown> {
  const text = await response.text().catch(() => '');
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
