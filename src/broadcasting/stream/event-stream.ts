import { randomUUID } from 'node:crypto';
import type { OutgoingHttpHeaders, ServerResponse } from 'node:http';
import type { AccessClaims } from '../../common/auth/access-claims.js';
import type { Principal } from '../../common/auth/principal.js';
import { type Alarm, atUnixTime } from '../connections/alarm.js';
import type { LiveConnection } from '../connections/live-connections.js';
import type { ChannelPart } from '../delivery/local-audience.js';
import { type EndReason, SLOW_FACTOR, SLOW_PATIENCE_MS } from '../delivery/subscriber.js';
import { PING, RETRY, toChannelFrame, toFrame } from './frame.js';
import type { StreamTransport } from './stream-transport.js';

const HEARTBEAT_MS = 15_000;
/** Longer than two heartbeats: in this time something has been written, and a reader that is behind has taken some of it. */
const STALLED_MS = 40_000;
/** What a client that has been told goodbye gets to take it; one that reads nothing never would. */
const GOODBYE_MS = 5_000;

export interface EventStreamParts {
  readonly claims: AccessClaims;
  readonly principal: Principal;
  readonly response: ServerResponse;
  readonly transport: StreamTransport;
  /** What may wait for the reader. */
  readonly bufferBytes: number;
  /** Called once, when nothing is sent any more. */
  onEnd(stream: EventStream): void;
}

/** An HTTP response that does not end: the events of one channel, as they happen. */
export class EventStream implements LiveConnection {
  readonly id = randomUUID();
  readonly claims: AccessClaims;
  readonly principal: Principal;
  private readonly response: ServerResponse;
  private hasBegun = false;
  private hasEnded = false;
  /** Waiting since the replay, which has a pace of its own: not what the reader is slow with. */
  private replayedBytes = 0;
  private isWatched = false;
  private waiters: (() => void)[] = [];
  private heartbeat: NodeJS.Timeout | undefined;
  private expiry: Alarm | null = null;

  constructor(private readonly parts: EventStreamParts) {
    this.claims = parts.claims;
    this.principal = parts.principal;
    this.response = parts.response;
    this.response.on('drain', () => this.tellDrained());
    this.response.once('close', () => this.close());
  }

  get isOpen(): boolean {
    return !this.hasEnded && !this.response.destroyed;
  }

  /** Behind, though not so far that it is cut. */
  get isBusy(): boolean {
    return this.response.writableNeedDrain;
  }

  /**
   * The head and the answer to the subscription, at once. Before this an ordinary error can still be answered.
   * @param position of the last message before the first that follows: a browser that is cut off early resumes from there
   */
  begin(headers: OutgoingHttpHeaders, answer: object, position: number): void {
    this.hasBegun = true;
    // A stream that ends takes its connection along: a server that stops would wait for it.
    this.response.shouldKeepAlive = false;
    this.response.setTimeout(STALLED_MS, () => this.end('slow_reader'));
    this.response.writeHead(200, headers);
    this.response.write(Buffer.concat([RETRY, toFrame('subscribed', answer, position)]));
    this.heartbeat = setInterval(() => this.beat(), HEARTBEAT_MS).unref();
    this.expiry = atUnixTime(this.claims.exp, () => this.end('token_expired'));
  }

  send(event: string, payload: object): void {
    if (!this.isOpen || !this.hasBegun) return;
    this.response.write(toChannelFrame(event, payload));
    // It has no other channel.
    if (event === 'unsubscribed') this.close();
  }

  /** A frame that was made for all. Nothing paces what is emitted, hence the limit. */
  deliver(frame: Buffer): void {
    if (!this.isOpen) return;
    this.response.write(frame);
    if (this.lag > SLOW_FACTOR) setImmediate(() => this.endWhenFarBehind());
    else if (this.lag > 1) this.watch();
  }

  join(channel: string, part: ChannelPart): void {
    this.replayedBytes = this.response.writableLength;
    this.parts.transport.join(channel, part, this);
  }

  leave(channel: string): void {
    this.parts.transport.leave(channel, this);
  }

  drained(): Promise<void> {
    if (!this.isOpen || !this.isBusy) return Promise.resolve();
    return new Promise((resolve) => this.waiters.push(resolve));
  }

  end(reason: EndReason): void {
    if (this.isOpen && this.hasBegun) this.response.write(toFrame('session:ended', { reason }));
    this.close();
  }

  /** Without a reason: the client comes back by itself. Idempotent. */
  close(): void {
    if (this.hasEnded) return;
    this.hasEnded = true;
    clearInterval(this.heartbeat);
    this.expiry?.cancel();
    this.tellDrained();
    this.parts.onEnd(this);
    if (!this.hasBegun || this.response.destroyed) return;
    this.response.end();
    const cut = setTimeout(() => this.response.destroy(), GOODBYE_MS).unref();
    this.response.once('close', () => clearTimeout(cut));
  }

  /** By how many times what may wait for it the reader is behind. */
  private get lag(): number {
    return (this.response.writableLength - this.replayedBytes) / this.parts.bufferBytes;
  }

  /** Nothing leaves the process in the turn in which it is written. */
  private endWhenFarBehind(): void {
    if (this.isOpen && this.lag > SLOW_FACTOR) this.end('slow_reader');
  }

  /** Looks again when the reader has had time to take what came at once. */
  private watch(): void {
    if (this.isWatched) return;
    this.isWatched = true;
    setTimeout(() => {
      this.isWatched = false;
      if (this.isOpen && this.lag > 1) this.end('slow_reader');
    }, SLOW_PATIENCE_MS).unref();
  }

  /** Where bytes are waiting, one more says nothing. */
  private beat(): void {
    if (this.isOpen && !this.isBusy) this.response.write(PING);
  }

  private tellDrained(): void {
    this.replayedBytes = 0;
    for (const resolve of this.waiters.splice(0)) resolve();
  }
}
