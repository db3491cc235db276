import { Injectable } from '@nestjs/common';
import { type ChannelPart, type Emission, LocalAudience, type Transport } from '../delivery/local-audience.js';
import type { EventStream } from './event-stream.js';
import { toChannelFrame } from './frame.js';

const keyOf = (channel: string, part: ChannelPart = 'messages') => `${part} ${channel}`;

/** The event streams of this node, by the parts of channels that they have joined. */
@Injectable()
export class StreamTransport implements Transport {
  private readonly streams = new Map<string, Set<EventStream>>();

  constructor(audience: LocalAudience) {
    audience.add(this);
  }

  emit(channel: string, event: string, payload: object, { part, exceptUserId }: Emission): void {
    const readers = this.streams.get(keyOf(channel, part));
    if (!readers) return;
    const frame = toChannelFrame(event, payload);
    for (const stream of readers) {
      if (stream.principal.id !== exceptUserId) stream.deliver(frame);
    }
  }

  join(channel: string, part: ChannelPart, stream: EventStream): void {
    const key = keyOf(channel, part);
    const readers = this.streams.get(key);
    if (readers) readers.add(stream);
    else this.streams.set(key, new Set([stream]));
  }

  leave(channel: string, stream: EventStream): void {
    for (const key of [keyOf(channel, 'messages'), keyOf(channel, 'presence')]) {
      const readers = this.streams.get(key);
      if (readers?.delete(stream) && readers.size === 0) this.streams.delete(key);
    }
  }
}
