import { Injectable } from '@nestjs/common';
import { type Emission, LocalAudience, type Transport } from '../delivery/local-audience.js';
import type { EventStream } from './event-stream.js';
import { toChannelFrame } from './frame.js';

/** The event streams of this node, by the channel that they have joined. */
@Injectable()
export class StreamTransport implements Transport {
  private readonly streams = new Map<string, Set<EventStream>>();

  constructor(audience: LocalAudience) {
    audience.add(this);
  }

  emit(channel: string, event: string, payload: object, { exceptUserId, isVolatile }: Emission): void {
    const readers = this.streams.get(channel);
    if (!readers) return;
    const frame = toChannelFrame(event, payload);
    for (const stream of readers) {
      if (stream.principal.id === exceptUserId || (isVolatile && stream.isBusy)) continue;
      stream.deliver(frame);
    }
  }

  join(channel: string, stream: EventStream): void {
    const readers = this.streams.get(channel);
    if (readers) readers.add(stream);
    else this.streams.set(channel, new Set([stream]));
  }

  leave(channel: string, stream: EventStream): void {
    const readers = this.streams.get(channel);
    if (readers?.delete(stream) && readers.size === 0) this.streams.delete(channel);
  }
}
