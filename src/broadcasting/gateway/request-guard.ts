import { type IncomingMessage, ServerResponse, STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import { Logger } from '@nestjs/common';
import type { Server } from 'socket.io';
import { v7 as uuidv7 } from 'uuid';
import type { AppError } from '../../common/errors/app-error.js';
import { errorBody } from '../../common/errors/error-body.js';
import {
  ForbiddenError,
  MalformedRequestError,
  MethodNotAllowedError,
  ServiceUnavailableError,
} from '../../common/errors/errors.js';
import type { AppConfig } from '../../config/app-config.js';
import { HandshakeQueue } from './handshake-queue.js';
import { originRule } from './origin-rule.js';

type EngineRequest = IncomingMessage & { res?: ServerResponse };

const METHODS = ['GET', 'POST'];
const ORIGIN_LOGGED_MAX = 200;

/**
 * Stands before the engine of Socket.IO, which takes its requests before the hooks of all others: who may ask, for how long, and the one
 * body of errors.
 */
export class RequestGuard {
  private readonly logger = new Logger(RequestGuard.name);
  private readonly isOriginAllowed: (headers: IncomingMessage['headers']) => boolean;
  private readonly bodyTimeoutMs: number;
  private isClosing = false;

  constructor(
    engine: Server['engine'],
    private readonly handshakes: HandshakeQueue,
    http: AppConfig['http'],
  ) {
    this.isOriginAllowed = originRule(http);
    this.bodyTimeoutMs = http.requestTimeoutSeconds * 1000;
    // Unlike `allowRequest`, for each request: of a session that exists, and for its upgrade.
    engine.use((request: IncomingMessage, response: ServerResponse, next: () => void) =>
      this.check(request, response, next),
    );
    engine.on('connection_error', ({ req, message }: { req: EngineRequest; message: string }) => {
      if (req.res && !req.res.headersSent) answer(req.res, new MalformedRequestError(message), uuidv7());
    });
    engine.on('headers', (headers: Record<string, string>) => {
      if (this.isClosing) headers.connection = 'close';
    });
  }

  /** From now on nobody is let in, and what is answered is the last on its connection. */
  close(): void {
    this.isClosing = true;
  }

  private check(request: IncomingMessage, response: ServerResponse, next: () => void): void {
    // For an upgrade the engine passes something that only takes headers.
    const isUpgrade = !(response instanceof ServerResponse);
    if (!isUpgrade) {
      response.setHeader('Cache-Control', 'no-store');
      response.setHeader('X-Content-Type-Options', 'nosniff');
      if (request.method !== 'GET') this.limitBody(request);
    }
    const error = this.refusal(request);
    if (error) this.refuse(request, response, error);
    // Whoever has a session already, and changes over from polling, has been through here.
    else if (isUpgrade && !isOfSession(request))
      this.handshakes.wait(request.socket, () => this.letIn(request, response, next));
    else next();
  }

  private letIn(request: IncomingMessage, response: ServerResponse, next: () => void): void {
    const error = this.refusal(request);
    if (error) this.refuse(request, response, error);
    else next();
  }

  private refuse(request: IncomingMessage, response: ServerResponse, error: AppError): void {
    const requestId = uuidv7();
    if (error instanceof ForbiddenError) this.tell(request, requestId);
    if (response instanceof ServerResponse) answer(response, error, requestId);
    else refuseUpgrade(request.socket, error, requestId);
  }

  private refusal(request: IncomingMessage): AppError | null {
    if (this.isClosing) return new ServiceUnavailableError('The server is stopping');
    if (!this.isOriginAllowed(request.headers))
      return new ForbiddenError('Connections from this origin are not allowed', 'origin_not_allowed');
    return METHODS.includes(request.method ?? '') ? null : new MethodNotAllowedError(METHODS);
  }

  /** The server has no limit of its own, for the sake of uploads. */
  private limitBody(request: IncomingMessage): void {
    const timer = setTimeout(() => request.complete || request.destroy(), this.bodyTimeoutMs).unref();
    request.once('close', () => clearTimeout(timer));
  }

  private tell({ headers }: IncomingMessage, requestId: string): void {
    const origin = JSON.stringify(headers.origin?.slice(0, ORIGIN_LOGGED_MAX));
    this.logger.warn(`Refused a connection from a page of ${origin}, request ${requestId}`);
  }
}

const isOfSession = ({ url = '' }: IncomingMessage) => /[?&]sid=/.test(url);

/** The body may still be on its way: then the connection is of no more use. */
function answer(response: ServerResponse, error: AppError, requestId: string): void {
  const body = errorBody(error, requestId);
  response.writeHead(body.code, {
    'Content-Type': 'application/json; charset=utf-8',
    'X-Request-Id': requestId,
    ...error.details.headers,
    ...((response.req.method !== 'GET' || error.kind === 'unavailable') && { Connection: 'close' }),
  });
  response.end(JSON.stringify(body));
}

function refuseUpgrade(socket: Duplex, error: AppError, requestId: string): void {
  const body = errorBody(error, requestId);
  const text = JSON.stringify(body);
  const head = [
    `HTTP/1.1 ${body.code} ${STATUS_CODES[body.code]}`,
    'Content-Type: application/json; charset=utf-8',
    `Content-Length: ${Buffer.byteLength(text)}`,
    `X-Request-Id: ${requestId}`,
    'Cache-Control: no-store',
    'X-Content-Type-Options: nosniff',
    'Connection: close',
  ];
  // Node has handed the socket over: nobody else hears its errors.
  socket.on('error', () => undefined);
  socket.end(`${head.join('\r\n')}\r\n\r\n${text}`, () => socket.destroy());
}
