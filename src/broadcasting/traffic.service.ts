import { Injectable } from '@nestjs/common';
import { LiveConnections } from './connections/live-connections.js';
import { Feeds } from './delivery/feeds.js';
import { LocalAudience, type Transport } from './delivery/local-audience.js';
import { EventStream } from './stream/event-stream.js';

/** How much there is to do on this node, for whoever watches it. */
@Injectable()
export class TrafficService implements Transport {
  private deliveries = 0;

  constructor(
    private readonly feeds: Feeds,
    private readonly live: LiveConnections,
    audience: LocalAudience,
  ) {
    audience.add(this);
  }

  /** Messages times their readers, since this process has started. */
  get delivered(): number {
    return this.deliveries;
  }

  /** Whoever is still being brought up to the present gets the message, too. */
  emit(channel: string, event: string): void {
    if (event === 'message') this.deliveries += this.feeds.find(channel)?.subscribers ?? 0;
  }

  connections(): { sockets: number; streams: number } {
    let [sockets, streams] = [0, 0];
    for (const connection of this.live.all())
      if (connection instanceof EventStream) streams++;
      else sockets++;
    return { sockets, streams };
  }
}
