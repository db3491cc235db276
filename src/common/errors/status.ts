import { HttpStatus } from '@nestjs/common';
import type { ErrorKind } from './app-error.js';

export const STATUS_OF: Record<ErrorKind, number> = {
  malformed: HttpStatus.BAD_REQUEST,
  unauthenticated: HttpStatus.UNAUTHORIZED,
  forbidden: HttpStatus.FORBIDDEN,
  not_found: HttpStatus.NOT_FOUND,
  method_not_allowed: HttpStatus.METHOD_NOT_ALLOWED,
  timeout: HttpStatus.REQUEST_TIMEOUT,
  conflict: HttpStatus.CONFLICT,
  precondition_failed: HttpStatus.PRECONDITION_FAILED,
  too_large: HttpStatus.PAYLOAD_TOO_LARGE,
  unsupported_media_type: HttpStatus.UNSUPPORTED_MEDIA_TYPE,
  range_not_satisfiable: HttpStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
  invalid: HttpStatus.UNPROCESSABLE_ENTITY,
  rate_limited: HttpStatus.TOO_MANY_REQUESTS,
  headers_too_large: 431,
  internal: HttpStatus.INTERNAL_SERVER_ERROR,
  unavailable: HttpStatus.SERVICE_UNAVAILABLE,
  gone: HttpStatus.GONE,
  locked: 423,
  /** Of the tus protocol, as its checksum extension has it. */
  checksum_mismatch: 460,
  not_implemented: HttpStatus.NOT_IMPLEMENTED,
  storage_full: 507,
};

/** The kind that a status found elsewhere (a library's error) belongs to. */
export function kindOfStatus(status: number): ErrorKind {
  const kinds = Object.keys(STATUS_OF) as ErrorKind[];
  return kinds.find((kind) => STATUS_OF[kind] === status) ?? (status >= 500 ? 'internal' : 'malformed');
}
