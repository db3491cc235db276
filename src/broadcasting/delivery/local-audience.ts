import { Injectable } from '@nestjs/common';

/** Presence is told to those, too, who are still being brought up to the present messages. */
export type ChannelPart = 'messages' | 'presence';

export interface Emission {
  /** `messages` if it is not given. */
  readonly part?: ChannelPart;
  /** The connections of this user are passed over. */
  readonly exceptUserId?: string;
}

/** One kind of connection: sockets, event streams. Emitting costs one encoding, however many read. */
export interface Transport {
  emit(channel: string, event: string, payload: object, emission: Emission): void;
}

/** Everybody on this node who has joined a channel, whatever the connection. */
@Injectable()
export class LocalAudience {
  private readonly transports: Transport[] = [];

  add(transport: Transport): void {
    this.transports.push(transport);
  }

  emit(channel: string, event: string, payload: object, emission: Emission = {}): void {
    for (const transport of this.transports) transport.emit(channel, event, payload, emission);
  }
}
