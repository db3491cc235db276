import type { ChannelMessageResponse } from '../dto/channel-message.response.js';

/** How long a client waits before it comes back. */
export const RETRY = Buffer.from('retry: 2000\n\n');

/** Keeps proxies from taking a quiet channel for a dead connection. */
export const PING = Buffer.from(': ping\n\n');

/** One event as it is on the wire (WHATWG HTML, section 9.2). JSON has no line breaks of its own, so there is one `data` line. */
export function toFrame(event: string, payload: object, id: number | null = null): Buffer {
  return Buffer.from(`${id === null ? '' : `id: ${id}\n`}event: ${event}\ndata: ${JSON.stringify(payload)}\n\n`);
}

/** What is to be resumed after is told with a message alone: other events have no place in the channel. */
export const toChannelFrame = (event: string, payload: object): Buffer =>
  toFrame(event, payload, event === 'message' ? (payload as ChannelMessageResponse).sequence : null);
