import { Injectable } from '@nestjs/common';
import type { AccessClaims } from '../../common/auth/access-claims.js';
import { AppConfig } from '../../config/app-config.js';
import { TooManyConnectionsError } from '../broadcasting.errors.js';
import type { Subscriber } from '../delivery/subscriber.js';
import { NodeService } from '../presence/node.service.js';

/** A connection that lasts, on the strength of a session. */
export interface LiveConnection extends Subscriber {
  readonly claims: AccessClaims;
}

/** Every live connection of this node, by its user. */
@Injectable()
export class LiveConnections {
  private readonly byUser = new Map<string, Set<LiveConnection>>();
  private readonly reserved = new Map<string, number>();
  private count = 0;

  constructor(
    private readonly node: NodeService,
    private readonly config: AppConfig,
  ) {}

  /**
   * Keeps a place for a connection that is to be added in this turn of the event loop, right after the place is given back.
   * @throws TooManyConnectionsError
   */
  reserve(userId: string): () => void {
    this.refuseWhenFull(userId);
    this.reserved.set(userId, this.reservedFor(userId) + 1);
    let isKept = true;
    const giveBack = () => {
      if (isKept) this.reserved.set(userId, this.reservedFor(userId) - 1);
      if (this.reservedFor(userId) === 0) this.reserved.delete(userId);
      isKept = false;
    };
    setImmediate(giveBack);
    return giveBack;
  }

  /** @throws TooManyConnectionsError */
  add(connection: LiveConnection): void {
    const userId = connection.principal.id;
    this.refuseWhenFull(userId);
    const own = this.byUser.get(userId);
    if (own) own.add(connection);
    else this.byUser.set(userId, new Set([connection]));
    this.node.setConnections(++this.count);
  }

  remove(connection: LiveConnection): void {
    const userId = connection.principal.id;
    const own = this.byUser.get(userId);
    if (!own?.delete(connection)) return;
    if (own.size === 0) this.byUser.delete(userId);
    this.node.setConnections(--this.count);
  }

  ofUser(userId: string): LiveConnection[] {
    return [...(this.byUser.get(userId) ?? [])];
  }

  *all(): Iterable<LiveConnection> {
    for (const own of this.byUser.values()) yield* own;
  }

  private refuseWhenFull(userId: string): void {
    const { connectionsMax } = this.config.broadcasting;
    if ((this.byUser.get(userId)?.size ?? 0) + this.reservedFor(userId) >= connectionsMax)
      throw new TooManyConnectionsError(connectionsMax);
  }

  private reservedFor(userId: string): number {
    return this.reserved.get(userId) ?? 0;
  }
}
