import { ForbiddenException, HttpException } from '@nestjs/common';
import { AppError } from '../../common/errors/app-error.js';
import {
  ForbiddenError,
  InternalError,
  InvalidCredentialsError,
  MalformedRequestError,
  MethodNotAllowedError,
  NotAuthenticatedError,
  RouteNotFoundError,
  ServiceUnavailableError,
  UnsupportedMediaTypeError,
} from '../../common/errors/errors.js';
import { kindOfStatus } from '../../common/errors/status.js';
import { isConnectionFailure } from '../../database/database-errors.js';

const DATABASE_RETRY_SECONDS = 2;

/** What of a request decides how a foreign error is put. */
export interface ErrorContext {
  /** The methods that the path takes. */
  allowedMethods(): string[];
  hasCredentials(): boolean;
}

const NO_REQUEST: ErrorContext = { allowedMethods: () => [], hasCredentials: () => false };

/** What Fastify, Nest and the database throw, in the terms of the API. Nothing of theirs but the meaning gets through. */
export function toAppError(error: unknown, request: ErrorContext = NO_REQUEST): AppError {
  if (error instanceof AppError) return error;
  if (isConnectionFailure(error)) {
    return new ServiceUnavailableError('The service is temporarily unavailable', {
      retryAfterSeconds: DATABASE_RETRY_SECONDS,
      cause: error,
    });
  }
  if (error instanceof ForbiddenException) return new ForbiddenError();
  const status = error instanceof HttpException ? error.getStatus() : statusOf(error);
  switch (status) {
    // The static files' way of saying that a path leads out of their folder.
    case 403:
    case 404: {
      const allowed = request.allowedMethods();
      return allowed.length > 0 ? new MethodNotAllowedError(allowed) : new RouteNotFoundError();
    }
    case 401:
      return request.hasCredentials() ? new InvalidCredentialsError() : new NotAuthenticatedError();
    case 400:
      return new MalformedRequestError('The request could not be understood');
    case 408:
      return new AppError('timeout', 'request_timeout', 'The request did not arrive in time');
    case 413:
      return new AppError('too_large', 'body_too_large', 'The request body is too large');
    case 415:
      return new UnsupportedMediaTypeError('The content type is not supported');
    case 431:
      return new AppError('headers_too_large', 'headers_too_large', 'The request headers are too large');
    default:
      return status >= 500
        ? new InternalError(error)
        : new AppError(kindOfStatus(status), 'request_failed', 'The request failed');
  }
}

/** Errors of libraries carry a status when they are the client's doing. */
function statusOf(error: unknown): number {
  const { statusCode } = (error ?? {}) as { statusCode?: unknown };
  return typeof statusCode === 'number' && statusCode >= 400 && statusCode < 500 ? statusCode : 500;
}
