import type { Socket } from 'socket.io-client';
import type { GatehouseError } from '../errors.js';
import { errorOfBody, failed, lostConnection, type Outcome, outcomeOf } from './wire.js';

/** From the first byte to the server's welcome. */
const OPENING_MS = 30_000;
/** A server that lives answers sooner, with an error if need be. */
const ANSWER_MS = 20_000;

/** Why a link is over. */
export interface LinkEnd {
  readonly reason: string;
  /** Of a refused handshake. */
  readonly error: GatehouseError | null;
  /** How long it had been up, in milliseconds. */
  readonly lasted: number;
}

export interface LinkListener {
  onUp(): void;
  onEvent(name: string, payload: unknown): void;
  /** Called once, unless the link was closed. */
  onDown(end: LinkEnd): void;
}

const EVENTS = ['message', 'presence:joined', 'presence:left', 'unsubscribed'];

/** One socket, from its opening to its end. The next one is another link. */
export class Link {
  private readonly waiting = new Set<(outcome: Outcome<never>) => void>();
  private opening: ReturnType<typeof setTimeout> | undefined;
  private upSince: number | null = null;
  private isOver = false;
  /** Both private also for whoever prints a connection: the token, and the socket, which has it in its packets. */
  readonly #socket: Socket;
  #token: string;

  constructor(
    socket: Socket,
    token: string,
    private readonly listener: LinkListener,
  ) {
    this.#socket = socket;
    this.#token = token;
  }

  /** The one that the server knows this link by. */
  get token(): string {
    return this.#token;
  }

  set token(token: string) {
    this.#token = token;
  }

  open(): void {
    const socket = this.#socket;
    this.opening = setTimeout(() => this.cut('no welcome'), OPENING_MS);
    socket.on('connect', () => this.welcomed());
    socket.on('connect_error', (error: Error & { data?: unknown }) =>
      this.down('refused', error.data === undefined ? null : errorOfBody(error.data)),
    );
    socket.on('session:ended', ({ reason }: { reason: string }) => this.down(reason));
    socket.on('disconnect', (reason) => this.down(reason));
    for (const name of EVENTS) socket.on(name, (payload: unknown) => this.listener.onEvent(name, payload));
    socket.connect();
  }

  get isUp(): boolean {
    return this.upSince !== null && !this.isOver;
  }

  /**
   * Asks, and calls back once: with the answer in the turn in which it comes, because messages may be right behind it, or with a
   * ConnectionError when the link is over.
   */
  ask<T>(event: string, payload: object, settle: (outcome: Outcome<T>) => void): void {
    if (!this.isUp) return settle(failed(lostConnection()));
    const finish = (outcome: Outcome<T>) => {
      if (!this.waiting.delete(finish)) return;
      clearTimeout(timer);
      settle(outcome);
    };
    const timer = setTimeout(() => this.cut('no answer'), ANSWER_MS);
    this.waiting.add(finish);
    this.#socket.emit(event, payload, (acknowledgement: unknown) => finish(outcomeOf<T>(acknowledgement)));
  }

  /** Ends it as if it had broken. */
  cut(reason: string): void {
    this.down(reason);
  }

  /** Ends it, and tells the listener nothing. */
  close(): void {
    this.over();
  }

  private welcomed(): void {
    clearTimeout(this.opening);
    this.upSince = Date.now();
    this.listener.onUp();
  }

  private down(reason: string, error: GatehouseError | null = null): void {
    if (this.isOver) return;
    const lasted = this.upSince === null ? 0 : Date.now() - this.upSince;
    this.over();
    this.listener.onDown({ reason, error, lasted });
  }

  private over(): void {
    if (this.isOver) return;
    this.isOver = true;
    clearTimeout(this.opening);
    this.#socket.off();
    this.#socket.disconnect();
    for (const settle of [...this.waiting]) settle(failed(lostConnection()));
  }
}
