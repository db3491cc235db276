import type { Server } from 'node:http';
import type { Duplex } from 'node:stream';

/** Handshakes in one turn of the event loop. */
const HANDSHAKES = 2;
/** When connections come in every turn, handshakes have their turn after so many all the same. */
const PATIENCE_TURNS = 32;

/**
 * Lets handshakes through a few at a time. After a restart everybody comes back at once, and Node accepts one connection in a turn of the
 * event loop: what a turn does decides how soon anybody else is heard, a health probe above all. So connections are accepted first.
 */
export class HandshakeQueue {
  private readonly waiting: (() => void)[] = [];
  private hasAccepted = false;
  private turns = 0;
  private isScheduled = false;

  constructor(server: Server) {
    server.on('connection', () => (this.hasAccepted = true));
  }

  /** Calls `next` when it is its turn, and never if the client has gone meanwhile. */
  wait(socket: Duplex, next: () => void): void {
    // Node has handed the socket over, and the engine does not have it yet: nobody else hears its errors.
    const ignore = () => undefined;
    socket.on('error', ignore);
    this.waiting.push(() => {
      socket.off('error', ignore);
      if (!socket.destroyed) next();
    });
    this.schedule();
  }

  private schedule(): void {
    if (this.isScheduled) return;
    this.isScheduled = true;
    setImmediate(() => this.turn());
  }

  private turn(): void {
    this.isScheduled = false;
    const isBusy = this.hasAccepted && ++this.turns < PATIENCE_TURNS;
    this.hasAccepted = false;
    if (!isBusy) {
      this.turns = 0;
      for (const next of this.waiting.splice(0, HANDSHAKES)) next();
    }
    if (this.waiting.length > 0) this.schedule();
  }
}
