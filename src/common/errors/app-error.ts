/** What kind of failure an error is. The transport decides what a kind looks like; `status.ts` does it for HTTP. */
export type ErrorKind =
  | 'malformed'
  | 'unauthenticated'
  | 'forbidden'
  | 'not_found'
  | 'method_not_allowed'
  | 'timeout'
  | 'conflict'
  | 'precondition_failed'
  | 'too_large'
  | 'unsupported_media_type'
  | 'range_not_satisfiable'
  | 'invalid'
  | 'rate_limited'
  | 'headers_too_large'
  | 'internal'
  | 'unavailable'
  | 'gone'
  | 'locked'
  | 'checksum_mismatch'
  | 'not_implemented'
  | 'storage_full';

/** Field name → sentences, as clients show them beside a form's fields. */
export type FieldErrors = Record<string, string[]>;

/** One entry of the list that describes a request of the wrong shape. */
export interface ShapeFault {
  loc: (string | number)[];
  msg: string;
  type: string;
}

export interface ErrorDetails {
  fieldErrors?: FieldErrors;
  /** Replaces the sentence in `detail` when the shape of the request is wrong. */
  shape?: ShapeFault[];
  retryAfterSeconds?: number;
  headers?: Record<string, string>;
  cause?: unknown;
}

/** An error that a user of the API is meant to see: a stable `code` for programs, a sentence for people. */
export class AppError extends Error {
  constructor(
    readonly kind: ErrorKind,
    readonly code: string,
    message: string,
    readonly details: ErrorDetails = {},
  ) {
    super(message, { cause: details.cause });
    this.name = new.target.name;
  }
}
