import type { MessageResponse } from '../dto/message.response.js';

const sizes = new WeakMap<MessageResponse, number>();
/** What a message is around its data. */
const ENVELOPE = 400;

/** Remembers how large a message is, for whoever has to bound what waits. */
export function sized(message: MessageResponse, data: string): MessageResponse {
  sizes.set(message, data.length + ENVELOPE);
  return message;
}

/** In characters of JSON, roughly. */
export const sizeOf = (message: object): number => sizes.get(message as MessageResponse) ?? ENVELOPE;
