import type { ChannelMessageResponse } from '../dto/channel-message.response.js';

const sizes = new WeakMap<ChannelMessageResponse, number>();
/** What a message is around its data. */
const ENVELOPE = 400;

/** Remembers how large a message is, for whoever has to bound what waits. */
export function sized(message: ChannelMessageResponse, data: string): ChannelMessageResponse {
  sizes.set(message, data.length + ENVELOPE);
  return message;
}

/** In characters of JSON, roughly. */
export const sizeOf = (message: object): number => sizes.get(message as ChannelMessageResponse) ?? ENVELOPE;
