import type { Server as HttpServer } from 'node:http';
import type { Socket as Connection } from 'node:net';
import type { INestApplicationContext } from '@nestjs/common';
import { IoAdapter } from '@nestjs/platform-socket.io';
import type { MessageMappingProperties } from '@nestjs/websockets';
import { firstValueFrom, isObservable } from 'rxjs';
import { Namespace, type Server, type ServerOptions, type Socket } from 'socket.io';
import { v7 as uuidv7 } from 'uuid';
import { errorBody } from '../../common/errors/error-body.js';
import { RouteNotFoundError } from '../../common/errors/errors.js';
import { withTimeout } from '../../common/limits/with-timeout.js';
import type { AppConfig } from '../../config/app-config.js';
import { thisWorker } from '../../coordination/worker.js';
import { HandshakeQueue } from './handshake-queue.js';
import type { RedisLink } from './redis-link.js';
import { RequestGuard } from './request-guard.js';
import { WorkerRelay } from './worker-relay.js';

type Config = Pick<AppConfig, 'http' | 'broadcasting'>;
type EngineSocket = Socket['conn'];
type Ack = (response: unknown) => void;

/** A client that joins no namespace in this time is no client. */
const JOIN_TIMEOUT_MS = 10_000;
const PING_EVERY_MS = 25_000;
const PING_TIMEOUT_MS = 20_000;
/** Well above what a message may have, so that one that is too large is answered; what is larger still is cut. */
const FRAME_BYTES_MAX = 256 * 1024;
/** For the goodbyes of WebSockets at shutdown; a client that has gone away never answers. */
const GOODBYE_MS = 1_000;

/** Of one connection: a client asks for one namespace, and asks again after a refusal at most. */
const CONNECTS_MAX = 10;
/** Of Socket.IO's protocol, within a message of Engine.IO's. */
const CONNECT = '0';

/** Asking to be let in costs the asker nothing, and is possible before anybody is known. */
function limitConnects(connection: EngineSocket): void {
  let connects = 0;
  connection.on('packet', ({ type, data }: { type: string; data?: unknown }) => {
    if (type === 'message' && typeof data === 'string' && data.startsWith(CONNECT) && ++connects > CONNECTS_MAX)
      connection.close(true);
  });
}

/** Socket.IO as this program runs it, on the HTTP server of the application. */
export class SocketServerAdapter extends IoAdapter {
  private readonly upgraded = new Set<Connection>();
  private guard: RequestGuard | null = null;
  private relay: WorkerRelay | null = null;

  private constructor(
    app: INestApplicationContext,
    private readonly config: Config,
    private readonly redis: RedisLink | null,
  ) {
    super(app);
  }

  /** Loads what speaks to Redis only where there is one. */
  static async create(app: INestApplicationContext, config: Config & Pick<AppConfig, 'redisUrl'>) {
    const { redisUrl } = config;
    const redis = redisUrl === null ? null : new (await import('./redis-link.js')).RedisLink(redisUrl);
    return new SocketServerAdapter(app, config, redis);
  }

  override createIOServer(port: number, options?: ServerOptions): Server {
    const server = super.createIOServer(port, { ...options, ...this.serverOptions() } as ServerOptions);
    this.guard = new RequestGuard(server.engine, new HandshakeQueue(server.httpServer as HttpServer), this.config.http);
    server.use((_socket, next) => {
      const error = new RouteNotFoundError();
      next(Object.assign(new Error(error.message), { data: errorBody(error, uuidv7()) }));
    });
    server.engine.on('connection', limitConnects);
    const worker = thisWorker();
    if (worker) this.relay = new WorkerRelay(worker, server.httpServer as HttpServer, server.engine);
    server.httpServer.on('upgrade', (_request: unknown, connection: Connection) => this.track(connection));
    return server;
  }

  /**
   * Plain listeners, where Nest's own adapter keeps a pipeline of observables for each event of each socket. A response goes into the
   * acknowledgement and nowhere else; a client that asks for none gets none.
   */
  override bindMessageHandlers(socket: Socket, handlers: MessageMappingProperties[]): void {
    for (const { message, callback, isAckHandledManually } of handlers) {
      socket.on(message as string, (...args: unknown[]) => {
        const { data, ack } = this.mapPayload(args.length > 1 ? args : args[0]);
        void this.answer(() => callback(data, ack), isAckHandledManually ? undefined : (ack as Ack | undefined));
      });
    }
  }

  /**
   * Nest closes the sockets' servers before the HTTP server, which waits for every connection. So all of them end here: clients see
   * their transport close and come back by themselves, which they would not do after a farewell from the namespace. The HTTP server is
   * left to Fastify.
   */
  override async close(server: Server | Namespace): Promise<void> {
    if (server instanceof Namespace) return void (await server.adapter.close());
    this.guard?.close();
    await server.of('/').adapter.close();
    server.engine.close();
    const goodbyes = [...this.upgraded].map((connection) => new Promise((end) => connection.once('close', end)));
    await withTimeout(Promise.all(goodbyes), GOODBYE_MS).catch(() => undefined);
    for (const connection of this.upgraded) connection.destroy();
  }

  override async dispose(): Promise<void> {
    this.redis?.close();
    this.relay?.close();
    await super.dispose();
  }

  private serverOptions(): Partial<ServerOptions> {
    const { corsOrigins } = this.config.http;
    return {
      serveClient: false,
      perMessageDeflate: false,
      allowEIO3: false,
      transports: ['polling', 'websocket'],
      connectTimeout: JOIN_TIMEOUT_MS,
      pingInterval: PING_EVERY_MS,
      pingTimeout: PING_TIMEOUT_MS,
      maxHttpBufferSize: FRAME_BYTES_MAX,
      ...(corsOrigins.length > 0 && {
        cors: {
          origin: [...corsOrigins],
          credentials: false,
          methods: ['GET', 'POST'],
          allowedHeaders: ['Authorization', 'Content-Type', 'X-API-Key'],
        },
      }),
      ...(this.redis && { adapter: this.redis.adapter() }),
    };
  }

  /** The gateway's filter has answered what it threw; anything that comes out here is a fault of ours. */
  private async answer(handle: () => unknown, ack: Ack | undefined): Promise<void> {
    try {
      const result = await handle();
      const response: unknown = isObservable(result)
        ? await firstValueFrom(result, { defaultValue: undefined })
        : result;
      if (response !== undefined && response !== null) ack?.(response);
    } catch (error) {
      this.logger.error('A handler of a socket event failed', error instanceof Error ? error.stack : String(error));
    }
  }

  private track(connection: Connection): void {
    this.upgraded.add(connection);
    connection.once('close', () => this.upgraded.delete(connection));
  }
}
