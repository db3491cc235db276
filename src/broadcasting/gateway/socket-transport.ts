import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import type { Namespace } from 'socket.io';
import { AppConfig } from '../../config/app-config.js';
import { type Emission, LocalAudience, type Transport } from '../delivery/local-audience.js';
import { sizeOf } from '../log/message-size.js';
import { type GatehouseSocket, roomOf, userRoomOf } from './socket-connection.js';

const CHECK_MS = 1_000;

/** Emits to the sockets of this node, and cuts those that do not keep up. */
@Injectable()
export class SocketTransport implements Transport, OnApplicationShutdown {
  private namespace: Namespace | null = null;
  /** What each channel has sent since its readers were looked at. */
  private readonly unchecked = new Map<string, number>();
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

  emit(channel: string, event: string, payload: object, { part, exceptUserId, isVolatile }: Emission): void {
    if (!this.namespace) return;
    let target = this.namespace.local.to(roomOf(channel, part));
    if (exceptUserId !== undefined) target = target.except(userRoomOf(exceptUserId));
    if (isVolatile) target = target.volatile;
    target.emit(event, payload);
    this.checkAfter(channel, sizeOf(payload));
  }

  /** What waits for one reader stays bounded however fast a channel is. */
  private checkAfter(channel: string, size: number): void {
    const unchecked = (this.unchecked.get(channel) ?? 0) + size;
    if (unchecked < this.config.broadcasting.bufferBytes / 4) {
      this.unchecked.set(channel, unchecked);
      return;
    }
    this.unchecked.delete(channel);
    // Nothing leaves the process in the turn in which it is emitted.
    setImmediate(() => {
      for (const id of this.namespace?.adapter.rooms.get(roomOf(channel)) ?? []) this.check(id);
    });
  }

  private checkAll(): void {
    this.unchecked.clear();
    for (const id of this.namespace?.sockets.keys() ?? []) this.check(id);
  }

  private check(id: string): void {
    const { connection } = (this.namespace?.sockets.get(id) as GatehouseSocket | undefined)?.data ?? {};
    if (connection?.isOpen && connection.isTooSlow()) connection.end('slow_reader');
  }
}
