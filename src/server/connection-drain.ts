import { type IncomingMessage, type Server, ServerResponse } from 'node:http';
import { Server as NetServer, type Socket } from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';

/**
 * A proxy keeps idle connections, and may send a request on one in the very moment in which the server closes it. It must not repeat that
 * request elsewhere when it changes something. So idle connections stay open for longer than proxies in front should keep them (a second:
 * deploy/nginx), while each answer says that it is the last on its connection.
 */
const IDLE_MS = 2_000;
/** Listening ends with a turn of the event loop that took less than this, which grows from turn to turn: a busy server may have no short one. */
const TURN_MS = 0.02;
const TURN_GROWTH = 1.005;
/** More connections may come all the time. */
const TAKE_MS = 2_000;

/** How a server stops taking requests without losing one. */
export class ConnectionDrain {
  /** What the server makes its answers of. */
  readonly Response: typeof ServerResponse;
  private server: Server | null = null;
  /** Those that speak HTTP, and not WebSocket. */
  private readonly connections = new Set<Socket>();
  private accepted = 0;
  private hasBegun = false;
  private onEmpty: () => void = () => undefined;

  constructor(private readonly idleMs = IDLE_MS) {
    const isLast = () => this.hasBegun;
    this.Response = class<Request extends IncomingMessage = IncomingMessage> extends ServerResponse<Request> {
      override writeHead(...args: [status: number, ...rest: never[]]): this {
        if (isLast() && !this.headersSent) this.setHeader('Connection', 'close');
        return super.writeHead(...args);
      }
    };
  }

  /** Before the server listens. */
  watch(server: Server): void {
    this.server = server;
    server.on('connection', (socket) => {
      this.accepted++;
      this.connections.add(socket);
      socket.once('close', () => this.forget(socket));
    });
    server.on('upgrade', (request) => this.forget(request.socket));
  }

  /** Resolves when no connection is left that a request could come by, or when the time for that is over; requests may be in flight. */
  async begin(): Promise<void> {
    if (!this.server) return;
    await this.takeWaiting();
    this.hasBegun = true;
    // Not the method of HTTP servers, which ends idle connections at once.
    NetServer.prototype.close.call(this.server);
    if (this.connections.size === 0) return;
    await new Promise<void>((resolve) => {
      this.onEmpty = resolve;
      // A process that was held up has not read yet what came meanwhile: one more turn for that.
      setTimeout(() => setImmediate(resolve), this.idleMs);
    });
  }

  /**
   * The system resets connections that it has made and nobody has taken when the server stops listening, with the requests that proxies have
   * sent on them. Node takes one at the beginning of each turn; what comes later in the same turn is lost if listening ends with it. So it
   * ends with a turn that brought none, and in which next to no time has passed.
   */
  private async takeWaiting(): Promise<void> {
    const began = performance.now();
    for (let longest = TURN_MS, now = began; now - began < TAKE_MS; longest *= TURN_GROWTH) {
      const [accepted, turnBegan] = [this.accepted, now];
      await nextTurn();
      now = performance.now();
      if (this.accepted === accepted && now - turnBegan < longest) return;
    }
  }

  private forget(socket: Socket): void {
    this.connections.delete(socket);
    if (this.connections.size === 0) this.onEmpty();
  }
}
