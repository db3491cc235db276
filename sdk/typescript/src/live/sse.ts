import { ConnectionError, GatehouseError } from '../errors.js';

/** The server says something every 15 seconds. */
const SILENCE_MS = 45_000;
/** An event has at most 64 KiB of data; escaped, that is several times as much. */
const BUFFER_MAX = 4 * 1024 * 1024;

export interface ServerSentEvent {
  name: string;
  data: unknown;
}

/**
 * The events of a response, until it ends. The library is loaded when it is first needed, so that pages without streams need not have it.
 *
 * @param onRetry called with what the server wants to be waited before one comes back, in milliseconds
 * @throws ConnectionError when it breaks off, or says nothing for too long
 */
export async function* eventsOf(
  response: Response,
  onRetry: (milliseconds: number) => void,
): AsyncGenerator<ServerSentEvent, void, undefined> {
  if (!response.body || !/^text\/event-stream\b/.test(response.headers.get('Content-Type') ?? ''))
    throw new ConnectionError('The answer is no event stream');
  const reader = response.body.getReader();
  try {
    const { createParser } = await import('eventsource-parser');
    const events: ServerSentEvent[] = [];
    const parser = createParser({
      maxBufferSize: BUFFER_MAX,
      onRetry,
      onEvent: ({ event = 'message', data }) => events.push({ name: event, data: parsed(data) }),
    });
    const decoder = new TextDecoder();
    for (;;) {
      const chunk = await nextChunk(reader);
      if (!chunk) return;
      parser.feed(decoder.decode(chunk, { stream: true }));
      while (events.length > 0) yield events.shift() as ServerSentEvent;
    }
  } finally {
    // Ends the request, too.
    void reader.cancel().catch(() => undefined);
  }
}

/** The time in which nobody wants anything of it does not count: a slow reader hears the server when it reads again. */
async function nextChunk(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<Uint8Array | undefined> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const silence = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new ConnectionError('The event stream has fallen silent')), SILENCE_MS);
  });
  try {
    const { value } = await Promise.race([reader.read(), silence]);
    return value;
  } catch (error) {
    throw error instanceof ConnectionError ? error : new ConnectionError('The event stream broke off', error);
  } finally {
    clearTimeout(timer);
  }
}

function parsed(data: string): unknown {
  try {
    return JSON.parse(data);
  } catch {
    throw new GatehouseError('An event is not JSON', { status: 200, code: 'unexpected_answer' });
  }
}
