import { type ArgumentsHost, Catch, type ExceptionFilter, Logger } from '@nestjs/common';
import { v7 as uuidv7 } from 'uuid';
import { AppError } from '../../common/errors/app-error.js';
import { type ErrorBody, errorBody } from '../../common/errors/error-body.js';
import { ForbiddenError, InternalError, ServiceUnavailableError } from '../../common/errors/errors.js';
import { isConnectionFailure } from '../../database/database-errors.js';
import { WsException } from '@nestjs/websockets';

const logger = new Logger('Socket');

/** The body that a REST answer would have; what is our fault is logged under the same id. */
export function socketErrorBody(thrown: unknown): ErrorBody {
  const requestId = uuidv7();
  const error = toAppError(thrown);
  if (error.kind === 'internal' || error.kind === 'unavailable') {
    const cause = error.cause ?? error;
    logger.error({
      message: `${error.message}: ${cause instanceof Error ? cause.message : String(cause)}`,
      request_id: requestId,
      error_code: error.code,
      stack: cause instanceof Error ? cause.stack : undefined,
    });
  }
  return errorBody(error, requestId);
}

function toAppError(thrown: unknown): AppError {
  if (thrown instanceof AppError) return thrown;
  if (thrown instanceof WsException) return new ForbiddenError();
  if (isConnectionFailure(thrown))
    return new ServiceUnavailableError('The service is temporarily unavailable', { cause: thrown });
  return new InternalError(thrown);
}

/** Refuses a connection: the client gets `connect_error` with the body in `err.data`. */
export function connectError(thrown: unknown): Error & { data: ErrorBody } {
  const data = socketErrorBody(thrown);
  return Object.assign(new Error(typeof data.detail === 'string' ? data.detail : data.error_code), { data });
}

/** Answers an event's acknowledgement with the error. */
@Catch()
export class SocketErrorFilter implements ExceptionFilter {
  catch(thrown: unknown, host: ArgumentsHost): void {
    const body = socketErrorBody(thrown);
    const acknowledge = host.getArgs<unknown[]>().find((argument) => typeof argument === 'function');
    (acknowledge as ((answer: object) => void) | undefined)?.({ ok: false, error: body });
  }
}
