import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import type { Namespace } from 'socket.io';
import { AppConfig } from '../../config/app-config.js';
import { type Emission, LocalAudience, type Transport } from '../delivery/local-audience.js';
import { sizeOf } from '../log/message-size.js';
import { SLOW_FACTOR, SLOW_PATIENCE_MS } from '../delivery/subscriber.js';
import { type GatehouseSocket, roomOf, type SocketConnection, userRoomOf } from './socket-connection.js';

const CHECK_MS = 1_000;

/** Emits to the sockets of this node, and cuts those that do not keep up. */
@Injectable()
export class SocketTransport implements Transport, OnApplicationShutdown {
  private namespace: Namespace | null = null;
  /** What each room has been sent since its sockets were looked at. */
  private readonly unchecked = new Map<string, number>();
  /** Readers with more before them than may wait. */
  private readonly behindSince = new Map<SocketConnection, number>();
  private timer: NodeJS.Timeout | null = null;

  constructor(
    private readonly config: AppConfig,
    audience: LocalAudience,
  ) {
    audience.add(this);
  }

  attach(namespace: Namespace): void {
    this.namespace = namespace;
    this.timer = setInterval(() => this.checkAll(), CHECK_MS).unref();
  }

  onApplicationShutdown(): void {
    if (this.timer) clearInterval(this.timer);
  }

  emit(channel: string, event: string, payload: object, { part, exceptUserId }: Emission): void {
    if (!this.namespace) return;
    const room = roomOf(channel, part);
    let target = this.namespace.local.to(room);
    if (exceptUserId !== undefined) target = target.except(userRoomOf(exceptUserId));
    target.emit(event, payload);
    this.checkAfter(room, sizeOf(payload));
  }

  /** What waits for one reader stays bounded however fast a channel is. */
  private checkAfter(room: string, size: number): void {
    const unchecked = (this.unchecked.get(room) ?? 0) + size;
    this.unchecked.set(room, unchecked);
    if (unchecked < this.config.broadcasting.bufferBytes / 4) return;
    this.unchecked.delete(room);
    // Nothing leaves the process in the turn in which it is emitted.
    setImmediate(() => this.checkRoom(room));
  }

  private checkAll(): void {
    for (const room of this.unchecked.keys()) this.checkRoom(room);
    this.unchecked.clear();
    for (const connection of this.behindSince.keys()) this.check(connection);
  }

  private checkRoom(room: string): void {
    for (const id of this.namespace?.adapter.rooms.get(room) ?? []) {
      const socket = this.namespace?.sockets.get(id) as GatehouseSocket | undefined;
      if (socket) this.check(socket.data.connection);
    }
  }

  private check(connection: SocketConnection): void {
    const lag = connection.isOpen ? connection.lag() : 0;
    if (lag <= 1) {
      this.behindSince.delete(connection);
      return;
    }
    const now = Date.now();
    const since = this.behindSince.get(connection) ?? now;
    this.behindSince.set(connection, since);
    if (lag <= SLOW_FACTOR && now - since < SLOW_PATIENCE_MS) return;
    this.behindSince.delete(connection);
    connection.end('slow_reader');
  }
}
