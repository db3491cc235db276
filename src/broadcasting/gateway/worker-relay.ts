import { randomBytes } from 'node:crypto';
import {
  createServer,
  request as requestOf,
  type IncomingMessage,
  type Server as HttpServer,
  type ServerResponse,
} from 'node:http';
import { connect } from 'node:net';
import { type Duplex, pipeline } from 'node:stream';
import type { Server } from 'socket.io';
import type { Worker } from '../../coordination/worker.js';

type OnRequest = (request: IncomingMessage, response: ServerResponse) => void;
type OnUpgrade = (request: IncomingMessage, connection: Duplex, head: Buffer) => void;

const PATH = '/socket.io/';
/** Of a session's id: which worker has made it. */
const OWNER = /^[\w-]+\.(\d{1,9})$/;
/** What the engine answers as a session that it does not know. */
const GONE = `${PATH}?EIO=4&transport=polling&sid=gone`;
/** They are of the way between the workers. */
const HOP_HEADERS = ['connection', 'keep-alive'];
/** The owner has ended, or has not been there. */
const NOBODY = new Set(['ENOENT', 'ECONNREFUSED']);

/**
 * Among workers on one port: a request of a Socket.IO session that another worker has goes there. Long polling makes many requests of one
 * session, on whatever connection; connections come to any worker. Everything else, uploads above all, stays where it came.
 */
export class WorkerRelay {
  private readonly inbox: HttpServer;
  private onRequest: OnRequest[] = [];
  private onUpgrade: OnUpgrade[] = [];

  constructor(
    private readonly worker: Worker,
    private readonly server: HttpServer,
    engine: Server['engine'],
  ) {
    engine.generateId = () => `${randomBytes(15).toString('base64url')}.${worker.id}`;
    this.inbox = createServer((request, response) => this.take(request, response));
    this.inbox.on('upgrade', (request, connection: Duplex, head: Buffer) =>
      this.takeUpgrade(request, connection, head),
    );
    // Not shared with the other workers, as listening is else.
    this.inbox.listen({ path: worker.socketOf(worker.id), exclusive: true });
    this.inbox.unref();
    this.standBefore();
  }

  close(): void {
    this.inbox.close();
    this.inbox.closeAllConnections();
  }

  /** The engine's own listeners, and those of the application behind them, get what is theirs. */
  private standBefore(): void {
    this.onRequest = this.server.listeners('request') as OnRequest[];
    this.onUpgrade = this.server.listeners('upgrade') as OnUpgrade[];
    this.server.removeAllListeners('request').removeAllListeners('upgrade');
    this.server.on('request', (request: IncomingMessage, response: ServerResponse) => {
      const owner = ownerOf(request);
      if (owner === null || owner === this.worker.id) this.handle(request, response);
      else this.passRequest(request, response, this.worker.socketOf(owner));
    });
    this.server.on('upgrade', (request: IncomingMessage, connection: Duplex, head: Buffer) => {
      const owner = ownerOf(request);
      if (owner === null || owner === this.worker.id) this.handleUpgrade(request, connection, head);
      else this.passUpgrade(request, connection, head, this.worker.socketOf(owner));
    });
  }

  private handle(request: IncomingMessage, response: ServerResponse): void {
    for (const listener of this.onRequest) listener.call(this.server, request, response);
  }

  private handleUpgrade(request: IncomingMessage, connection: Duplex, head: Buffer): void {
    for (const listener of this.onUpgrade) listener.call(this.server, request, connection, head);
  }

  /** From another worker: sessions of this one alone. Nothing else is let in this way, since here nobody has an address. */
  private take(request: IncomingMessage, response: ServerResponse): void {
    if (ownerOf(request) !== this.worker.id) request.url = GONE;
    this.handle(request, response);
  }

  private takeUpgrade(request: IncomingMessage, connection: Duplex, head: Buffer): void {
    if (ownerOf(request) === this.worker.id) this.handleUpgrade(request, connection, head);
    else connection.destroy();
  }

  /** A worker that has gone has taken its sessions along: the client is told so, and begins a new one. */
  private passRequest(request: IncomingMessage, response: ServerResponse, socketPath: string): void {
    const { method, url, headers } = request;
    const passed = requestOf({
      socketPath,
      method,
      path: url,
      // The owner must not be the one who closes: a body ends with an empty write, which fails when the answer has come before it.
      headers: { ...headers, connection: 'keep-alive' },
      agent: false,
    });
    passed.on('response', (answer) => {
      const passedOn = { ...answer.headers };
      for (const name of HOP_HEADERS) delete passedOn[name];
      response.writeHead(answer.statusCode ?? 502, passedOn);
      pipeline(answer, response, () => undefined);
    });
    passed.on('error', ({ code = '' }: NodeJS.ErrnoException) => {
      if (response.headersSent || !NOBODY.has(code)) return response.destroy();
      request.url = GONE;
      this.handle(request, response);
    });
    response.on('close', () => passed.destroy());
    request.pipe(passed);
  }

  private passUpgrade(request: IncomingMessage, connection: Duplex, head: Buffer, socketPath: string): void {
    const passed = connect(socketPath);
    passed.on('error', () => connection.destroy());
    connection.on('error', () => passed.destroy());
    passed.on('connect', () => {
      const lines = [`${request.method} ${request.url} HTTP/1.1`];
      for (let at = 0; at < request.rawHeaders.length; at += 2)
        lines.push(`${request.rawHeaders[at]}: ${request.rawHeaders[at + 1]}`);
      passed.write(Buffer.concat([Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1'), head]));
      // What one has still to say is written out before the other ends.
      pipeline(passed, connection, () => undefined);
      pipeline(connection, passed, () => undefined);
    });
  }
}

/** The worker whose session it is of, as the engine reads the URL; `null` for anything else. */
export function ownerOf({ url = '' }: IncomingMessage): number | null {
  if (!url.startsWith(PATH) || !url.includes('sid=')) return null;
  const sid = new URL(url, 'http://worker').searchParams.getAll('sid').at(-1);
  const [, owner] = OWNER.exec(sid ?? '') ?? [];
  return owner === undefined ? null : Number(owner);
}
