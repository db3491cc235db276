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

/** Of Socket.IO's sessions in the URL: which worker has made it. */
const OWNER = /^\/socket\.io\/?\?(?:.*&)?sid=[\w-]+\.(\d+)(?:&|$)/;

/**
 * Among workers on one port: a request of a Socket.IO session that another worker has goes there. Long polling makes many requests of one
 * session, on whatever connection; connections come to any worker. Everything else, uploads above all, stays where it came.
 */
export class WorkerRelay {
  private readonly inbox: HttpServer;

  constructor(
    private readonly worker: Worker,
    private readonly server: HttpServer,
    engine: Server['engine'],
  ) {
    engine.generateId = () => `${randomBytes(15).toString('base64url')}.${worker.id}`;
    this.inbox = createServer((request, response) => server.emit('request', request, response));
    this.inbox.on('upgrade', (...given) => server.emit('upgrade', ...given));
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
    const onRequest = this.server.listeners('request') as OnRequest[];
    const onUpgrade = this.server.listeners('upgrade') as OnUpgrade[];
    this.server.removeAllListeners('request').removeAllListeners('upgrade');
    this.server.on('request', (request: IncomingMessage, response: ServerResponse) => {
      const target = this.targetOf(request);
      if (target) this.passRequest(request, response, target);
      else for (const listener of onRequest) listener.call(this.server, request, response);
    });
    this.server.on('upgrade', (request: IncomingMessage, connection: Duplex, head: Buffer) => {
      const target = this.targetOf(request);
      if (target) this.passUpgrade(request, connection, head, target);
      else for (const listener of onUpgrade) listener.call(this.server, request, connection, head);
    });
  }

  private targetOf({ url = '' }: IncomingMessage): { socketPath: string } | null {
    const owner = Number(OWNER.exec(url)?.[1] ?? this.worker.id);
    return owner === this.worker.id ? null : { socketPath: this.worker.socketOf(owner) };
  }

  /** A worker that has gone has taken its sessions along: the client is told so, and begins a new one. */
  private passRequest(request: IncomingMessage, response: ServerResponse, target: { socketPath: string }): void {
    const { method, url, headers } = request;
    const passed = requestOf({
      ...target,
      method,
      path: url,
      headers: { ...headers, connection: 'close' },
      agent: false,
    });
    passed.on('response', (answer) => {
      const passedOn = { ...answer.headers };
      // It is of the way between the workers.
      delete passedOn.connection;
      response.writeHead(answer.statusCode ?? 502, passedOn);
      pipeline(answer, response, () => undefined);
    });
    passed.on('error', () => (response.headersSent ? response.destroy() : this.sayGone(request, response)));
    response.on('close', () => passed.destroy());
    request.pipe(passed);
  }

  private sayGone(request: IncomingMessage, response: ServerResponse): void {
    request.url = request.url?.replace(/sid=[\w-]+\.\d+/, 'sid=gone');
    this.server.emit('request', request, response);
  }

  private passUpgrade(
    request: IncomingMessage,
    connection: Duplex,
    head: Buffer,
    target: { socketPath: string },
  ): void {
    const passed = connect(target.socketPath);
    for (const [from, to] of [
      [connection, passed],
      [passed, connection],
    ])
      from.on('error', () => to.destroy()).on('close', () => to.destroy());
    passed.on('connect', () => {
      const lines = [`${request.method} ${request.url} HTTP/1.1`];
      for (let at = 0; at < request.rawHeaders.length; at += 2)
        lines.push(`${request.rawHeaders[at]}: ${request.rawHeaders[at + 1]}`);
      passed.write(`${lines.join('\r\n')}\r\n\r\n`, 'latin1');
      passed.write(head);
      passed.pipe(connection).pipe(passed);
    });
  }
}
