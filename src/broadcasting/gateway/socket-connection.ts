import { setImmediate as nextTurn, setTimeout as delay } from 'node:timers/promises';
import type { Socket } from 'socket.io';
import type { AccessClaims } from '../../common/auth/access-claims.js';
import type { CallerCarrier } from '../../common/auth/caller.js';
import type { Principal } from '../../common/auth/principal.js';
import { type Alarm, atUnixTime } from '../connections/alarm.js';
import type { LiveConnection } from '../connections/live-connections.js';
import { Turns } from '../connections/turns.js';
import type { ChannelPart } from '../delivery/local-audience.js';
import type { EndReason } from '../delivery/subscriber.js';

/** What a handshake leaves with the socket. */
export interface SocketData extends Required<CallerCarrier> {
  principal: Principal;
  accessClaims: AccessClaims;
  address: string;
  /** Of `AccessChanges`, from before the credentials were checked. */
  accessMark: number;
  /** Of `LiveConnections`: it is kept until the connection is there. */
  givePlaceBack: () => void;
  connection: SocketConnection;
}

type Nothing = Record<string, never>;
export type GatehouseSocket = Socket<Nothing, Record<string, (payload: object) => void>, Nothing, SocketData>;

/** After these the client's library is to connect again by itself and resume: so the transport is closed, not the namespace left. */
const RESUMABLE: ReadonlySet<EndReason> = new Set<EndReason>(['slow_reader', 'subscription_failed']);
/** A reader that is stuck does not read the reason either. */
const CLOSE_GRACE_MS = 5_000;
const DRAIN_POLL_MS = 10;

export const roomOf = (channel: string, part: ChannelPart = 'messages') => `${part}:${channel}`;
export const userRoomOf = (userId: string) => `user:${userId}`;

/** A socket of the gateway. */
export class SocketConnection implements LiveConnection {
  /** What is asked of one channel is done in the order in which it was asked. */
  readonly turns = new Turns();
  private isEnded = false;
  private turn = Promise.resolve();
  /** Not the socket's: that is what the last event's check has found. */
  private admitted: Principal;
  private expiry: Alarm | null = null;

  constructor(
    private readonly socket: GatehouseSocket,
    private readonly bufferBytes: number,
  ) {
    this.admitted = socket.data.principal;
    this.followExpiry();
  }

  get id(): string {
    return this.socket.id;
  }

  get principal(): Principal {
    return this.admitted;
  }

  get claims(): AccessClaims {
    return this.socket.data.accessClaims;
  }

  get isOpen(): boolean {
    return !this.isEnded && this.socket.connected;
  }

  /** ISO 8601; `null` for a key without an end. */
  get expiresAt(): string | null {
    return Number.isFinite(this.claims.exp) ? new Date(this.claims.exp * 1000).toISOString() : null;
  }

  /** The token was good; from now on its session and its expiry count. */
  renew(claims: AccessClaims, principal: Principal): void {
    if (this.isEnded) return;
    // What it reads may rest on the role.
    if (principal.role !== this.admitted.role) return this.end('role_changed');
    this.admitted = principal;
    Object.assign(this.socket.data, { accessClaims: claims, principal });
    this.followExpiry();
  }

  send(event: string, payload: object): void {
    if (this.isOpen) this.socket.emit(event, payload);
  }

  join(channel: string, part: ChannelPart): void {
    if (this.isOpen) void this.socket.join(roomOf(channel, part));
  }

  leave(channel: string): void {
    void this.socket.leave(roomOf(channel, 'messages'));
    void this.socket.leave(roomOf(channel, 'presence'));
  }

  /** One after the other: each has sent something before the next looks whether there is room. */
  drained(): Promise<void> {
    this.turn = this.turn.then(() => this.waitForRoom());
    return this.turn;
  }

  /** By how many times what may wait for it the reader is behind. */
  lag(): number {
    return this.waitingBytes() / this.bufferBytes;
  }

  end(reason: EndReason): void {
    if (this.isEnded) return;
    this.socket.emit('session:ended', { reason });
    this.close();
    if (!RESUMABLE.has(reason)) {
      this.socket.disconnect(true);
      return;
    }
    const { conn } = this.socket;
    for (const room of this.socket.rooms) if (room !== this.socket.id) void this.socket.leave(room);
    conn.close();
    setTimeout(() => conn.close(true), CLOSE_GRACE_MS).unref();
  }

  /** The connection is over, by whomever. */
  close(): void {
    this.isEnded = true;
    this.expiry?.cancel();
  }

  private async waitForRoom(): Promise<void> {
    await nextTurn();
    // Neither transport tells when bytes have left, but each knows how many have not.
    while (this.isOpen && this.waitingBytes() > this.bufferBytes / 4) await delay(DRAIN_POLL_MS);
  }

  /** What has been sent and has not left this process. */
  private waitingBytes(): number {
    const { transport, writeBuffer } = this.socket.conn as unknown as {
      transport: { socket?: { bufferedAmount?: number } };
      writeBuffer: { data?: { length?: number } }[];
    };
    let bytes = transport.socket?.bufferedAmount ?? 0;
    for (const { data } of writeBuffer) bytes += data?.length ?? 0;
    return bytes;
  }

  private followExpiry(): void {
    this.expiry?.cancel();
    this.expiry = atUnixTime(this.claims.exp, () => this.end('token_expired'));
  }
}
