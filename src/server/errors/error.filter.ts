import { type ArgumentsHost, Catch, type ExceptionFilter, Injectable, Logger } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import { hasCredentials } from '../../auth/tokens/access-tokens.js';
import { AppError } from '../../common/errors/app-error.js';
import { errorBody } from '../../common/errors/error-body.js';
import { STATUS_OF } from '../../common/errors/status.js';
import type { GatehouseRequest } from '../../common/http/request.js';
import { RateLimiter } from '../rate-limit/rate-limiter.js';
import { AllowedMethods } from './allowed-methods.js';
import { toAppError } from './to-app-error.js';

/** The one way from a thrown error to an answer. */
@Catch()
@Injectable()
export class ErrorFilter implements ExceptionFilter {
  private readonly logger = new Logger(ErrorFilter.name);

  constructor(
    private readonly rateLimit: RateLimiter,
    private readonly allowedMethods: AllowedMethods,
  ) {}

  async catch(exception: unknown, host: ArgumentsHost): Promise<void> {
    const http = host.switchToHttp();
    const request = http.getRequest<GatehouseRequest>();
    const reply = http.getResponse<FastifyReply>();
    const thrown = toAppError(exception, {
      allowedMethods: () => this.allowedMethods.of(request.url.split('?')[0]),
      hasCredentials: () => hasCredentials(request),
    });
    const error = await this.afterCounting(thrown, request, reply);
    this.log(error, request);
    // The client may have gone, or the answer begun, before the error came.
    if (reply.sent) return;
    writeError(error, request, reply);
  }

  /** A token whose session is over counts for its address, and that may be over its limit. */
  private async afterCounting(error: AppError, request: GatehouseRequest, reply: FastifyReply): Promise<AppError> {
    if (error.kind !== 'unauthenticated') return error;
    try {
      await this.rateLimit.chargeAddress(request, reply);
      return error;
    } catch (exceeded) {
      if (exceeded instanceof AppError) return exceeded;
      throw exceeded;
    }
  }

  private log(error: AppError, request: GatehouseRequest): void {
    // A quota, a deferred length: what a client asks for is no fault of ours, whatever its status. A full disk has a cause.
    const isOurs =
      error.kind === 'internal' || error.kind === 'unavailable' || (error.kind === 'storage_full' && error.cause);
    if (!isOurs) return;
    const cause = error.cause ?? error;
    this.logger.error({
      message: `${error.message}: ${cause instanceof Error ? cause.message : String(cause)}`,
      request_id: request.id,
      error_code: error.code,
      stack: cause instanceof Error ? cause.stack : undefined,
    });
  }
}

function writeError(error: AppError, request: { id: string }, reply: FastifyReply): void {
  const { retryAfterSeconds, headers } = error.details;
  // Fastify would close the connection at once, and bytes of the body that nobody has read would take the answer with them (`linger`).
  reply.removeHeader('connection');
  if (headers) reply.headers(headers);
  if (retryAfterSeconds !== undefined) reply.header('Retry-After', retryAfterSeconds);
  if (error.kind === 'unauthenticated') reply.header('WWW-Authenticate', 'Bearer');
  void reply.status(STATUS_OF[error.kind]).type('application/json; charset=utf-8').send(errorBody(error, request.id));
}
