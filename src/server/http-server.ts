import { STATUS_CODES, type IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { errorBody } from '../common/errors/error-body.js';
import { STATUS_OF } from '../common/errors/status.js';
import type { AppConfig } from '../config/app-config.js';
import { trustRule } from '../config/trusted-proxies.js';
import { ConnectionDrain } from './connection-drain.js';
import { toAppError } from './errors/to-app-error.js';
import { newRequestId, requestIdMaker } from './request-id.js';
import { rewriteUrl } from './rewrite-url.js';

/** Connections that wait to be accepted, when everybody comes back after a restart; the system may allow fewer. */
const LISTEN_BACKLOG = 4_096;

const BODY_BYTES_MAX = 1024 * 1024;
/** More than Node takes of request line and headers together: no id in a path is too long to be looked for. */
const URL_MAX = 32 * 1024;
const HEADERS_TIMEOUT_MS = 15_000;
/** How often Node looks for requests that have taken too long to arrive. */
const TIMEOUT_CHECK_MS = 1_000;
const KEEP_ALIVE_MS = 72_000;

const drains = new WeakMap<object, ConnectionDrain>();

/** The Fastify server that Nest runs on. */
export function createHttpAdapter({ http }: Pick<AppConfig, 'http'>): FastifyAdapter {
  const drain = new ConnectionDrain();
  const adapter = new FastifyAdapter({
    logger: false,
    trustProxy: trustRule(http.trustedProxies),
    bodyLimit: BODY_BYTES_MAX,
    // Node's limit knows no routes, and a long upload is no slow client: see `addBodyHooks()`.
    requestTimeout: 0,
    keepAliveTimeout: KEEP_ALIVE_MS,
    http: {
      headersTimeout: Math.min(HEADERS_TIMEOUT_MS, http.requestTimeoutSeconds * 1000),
      connectionsCheckingInterval: TIMEOUT_CHECK_MS,
      ServerResponse: drain.Response,
    },
    return503OnClosing: false,
    forceCloseConnections: 'idle',
    routerOptions: { ignoreTrailingSlash: true, maxParamLength: URL_MAX },
    genReqId: requestIdMaker(http.trustedProxies !== false),
    rewriteUrl: (request: unknown) => rewriteUrl(request as IncomingMessage),
    clientErrorHandler: answerUnparsable,
    skipMiddie: true,
  });
  drain.watch(adapter.getInstance().server);
  drains.set(adapter, drain);
  return adapter;
}

/** No new connections, and those that there are end with their next answer, or with a pause. What is in flight is left to `close()`. */
export async function drainConnections(app: NestFastifyApplication): Promise<void> {
  await drains.get(app.getHttpAdapter())?.begin();
}

/** By Fastify's own listen(): Nest's would log a port in use as an error of the program, beside the line for the operator. */
export function listen(
  app: NestFastifyApplication,
  { http: { host, port } }: Pick<AppConfig, 'http'>,
): Promise<string> {
  return app.getHttpAdapter().getInstance().listen({ host, port, backlog: LISTEN_BACKLOG });
}

const PARSER_STATUS: Record<string, number> = { ERR_HTTP_REQUEST_TIMEOUT: 408, HPE_HEADER_OVERFLOW: 431 };

/** Bytes that are not HTTP, or too slow in coming: answered on the bare socket, which is then closed. */
export function answerUnparsable(error: Error & { code?: string }, socket: Socket): void {
  if (error.code === 'ECONNRESET' || socket.destroyed || !socket.writable) {
    socket.destroy();
    return;
  }
  const appError = toAppError({ statusCode: PARSER_STATUS[error.code ?? ''] ?? 400 });
  const status = STATUS_OF[appError.kind];
  const body = JSON.stringify(errorBody(appError, newRequestId()));
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    'Content-Type: application/json; charset=utf-8',
    `Content-Length: ${Buffer.byteLength(body)}`,
    'X-Content-Type-Options: nosniff',
    'Connection: close',
  ];
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`);
}
