import { type ArgumentsHost, Catch, type ExceptionFilter, Logger } from '@nestjs/common';
import type { Socket } from 'socket.io';
import { v7 as uuidv7 } from 'uuid';
import { AppError } from '../../common/errors/app-error.js';
import { type ErrorBody, errorBody } from '../../common/errors/error-body.js';
import { ForbiddenError, InternalError, ServiceUnavailableError } from '../../common/errors/errors.js';
import { isConnectionFailure } from '../../database/database-errors.js';
import { WsException } from '@nestjs/websockets';
import type { GatehouseSocket, SocketData } from './socket-connection.js';

const logger = new Logger('Socket');

/** What was refused, for the log. */
interface Refused {
  readonly what: string;
  readonly ip: string;
  readonly userId?: string;
}

/** The body that a REST answer would have. It is in the log under its id; what is our fault with its cause. */
export function socketErrorBody(thrown: unknown, { what, ip, userId }: Refused): ErrorBody {
  const requestId = uuidv7();
  const error = toAppError(thrown);
  const entry = { request_id: requestId, error_code: error.code, event: what, ip, user_id: userId };
  if (error.kind === 'internal' || error.kind === 'unavailable') {
    const cause = error.cause ?? error;
    logger.error({
      ...entry,
      message: `${error.message}: ${cause instanceof Error ? cause.message : String(cause)}`,
      stack: cause instanceof Error ? cause.stack : undefined,
    });
  } else if (error.kind !== 'rate_limited') logger.log({ ...entry, message: 'refused' });
  return errorBody(error, requestId);
}

/** Who sends, as the log has it. */
export function refusedOf(what: string, socket: Socket): Refused {
  const { principal, address } = socket.data as Partial<SocketData>;
  return { what, ip: address ?? socket.handshake.address, userId: principal?.id };
}

function toAppError(thrown: unknown): AppError {
  if (thrown instanceof AppError) return thrown;
  if (thrown instanceof WsException) return new ForbiddenError();
  if (isConnectionFailure(thrown))
    return new ServiceUnavailableError('The service is temporarily unavailable', { cause: thrown });
  return new InternalError(thrown);
}

/** Refuses a connection: the client gets `connect_error` with the body in `err.data`. */
export function connectError(thrown: unknown, socket: Socket): Error & { data: ErrorBody } {
  const data = socketErrorBody(thrown, refusedOf('connect', socket));
  return Object.assign(new Error(typeof data.detail === 'string' ? data.detail : data.error_code), { data });
}

/** Answers an event's acknowledgement with the error. */
@Catch()
export class SocketErrorFilter implements ExceptionFilter {
  catch(thrown: unknown, host: ArgumentsHost): void {
    const ws = host.switchToWs();
    const body = socketErrorBody(thrown, refusedOf(ws.getPattern(), ws.getClient<Socket>()));
    const acknowledge = host.getArgs<unknown[]>().find((argument) => typeof argument === 'function');
    (acknowledge as ((answer: object) => void) | undefined)?.({ ok: false, error: body });
    // The announcement of the session's end is still on its way, or was missed.
    if (body.code === 401 && ws.getPattern() !== 'authenticate')
      ws.getClient<GatehouseSocket>().data.connection.end('logged_out');
  }
}
