import { AppError, type ErrorDetails, type FieldErrors, type ShapeFault } from './app-error.js';

/** No credentials were given. */
export class NotAuthenticatedError extends AppError {
  constructor() {
    super('unauthenticated', 'not_authenticated', 'Not authenticated');
  }
}

/** Credentials were given and are bad, expired or revoked; which of these is not told. */
export class InvalidCredentialsError extends AppError {
  constructor() {
    super('unauthenticated', 'invalid_token', 'Could not validate credentials');
  }
}

export class ForbiddenError extends AppError {
  constructor(message = 'Not enough permissions', code = 'forbidden') {
    super('forbidden', code, message);
  }
}

/** An API key was shown that is not meant for this. */
export class InsufficientScopeError extends ForbiddenError {
  constructor() {
    super('This API key may not do that', 'insufficient_scope');
  }
}

/** The settings ask administrators for a second factor, and this one has none yet. */
export class SecondFactorRequiredError extends ForbiddenError {
  constructor() {
    super('Administrators need a second factor here; set it up with POST /api/v1/auth/mfa/setup', 'mfa_setup_required');
  }
}

export class RouteNotFoundError extends AppError {
  constructor() {
    super('not_found', 'not_found', 'Not found');
  }
}

export class MethodNotAllowedError extends AppError {
  constructor(allowed: readonly string[]) {
    super('method_not_allowed', 'method_not_allowed', 'Method not allowed', { headers: { allow: allowed.join(', ') } });
  }
}

export class MalformedRequestError extends AppError {
  constructor(message: string, code = 'malformed_request') {
    super('malformed', code, message);
  }
}

export class UnsupportedMediaTypeError extends AppError {
  constructor(message: string) {
    super('unsupported_media_type', 'unsupported_media_type', message);
  }
}

/** The request has the wrong shape: a field is missing, unknown or of the wrong kind. */
export class ValidationFailedError extends AppError {
  constructor(shape: ShapeFault[], fieldErrors: FieldErrors) {
    super('invalid', 'validation_error', 'The request is not valid', { shape, fieldErrors });
  }
}

export class TooManyRequestsError extends AppError {
  constructor(message: string, retryAfterSeconds: number, code = 'rate_limited') {
    super('rate_limited', code, message, { retryAfterSeconds });
  }
}

export class ServiceUnavailableError extends AppError {
  constructor(message: string, details: ErrorDetails = { retryAfterSeconds: 1 }) {
    super('unavailable', 'service_unavailable', message, details);
  }
}

export class InternalError extends AppError {
  constructor(cause: unknown) {
    super('internal', 'internal_error', 'Internal server error', { cause });
  }
}
