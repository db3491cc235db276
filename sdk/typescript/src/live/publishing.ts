import { ConnectionError, GatehouseError, RateLimitError, TimeoutError } from '../errors.js';
import type { CallOptions } from '../http/transport.js';
import { retryDelay, sleep } from '../http/retry.js';
import type { ChannelMessage, PublishInput } from '../types.js';
import { keyed } from './keyed.js';
import type { Link } from './link.js';
import { Slots } from './slots.js';
import type { Outcome } from './wire.js';

const TIMEOUT_MS = 30_000;
/** The server cuts a connection that brings a frame of 256 KiB, and would do so at each attempt. It takes 64 KiB of data. */
const CHARACTERS_MAX = 200_000;
/** Very many at once, each sent again after a refusal, would exceed the server's rate so far that it ends the connection. */
const AT_ONCE = 16;

/** A message on its way. */
interface Sending {
  readonly payload: PublishInput;
  readonly stop: AbortSignal;
  /** An answer is waited for, or has been lost: it may be published. */
  isOut: boolean;
}

/** Where links come from. */
export interface Links {
  /** The present one, if it is up. */
  up(): Link | null;
  /** The present one, or the next one that is up. */
  nextUp(signal: AbortSignal): Promise<Link>;
}

/** Publishes by a connection, over as many links as it takes. */
export class Publisher {
  private readonly slots = new Slots(AT_ONCE);
  /** The last refusal for too many events. */
  private refusal: RateLimitError | null = null;

  /** @param closing aborted when there will be no more links */
  constructor(
    private readonly links: Links,
    private readonly closing: AbortSignal,
  ) {}

  async publish<Data>(
    input: PublishInput,
    { signal, timeout = TIMEOUT_MS }: CallOptions,
  ): Promise<ChannelMessage<Data>> {
    const payload = toJson(keyed(input));
    const deadline = new AbortController();
    const timer = timeout > 0 ? setTimeout(() => deadline.abort(new TimeoutError(timeout)), timeout) : undefined;
    const stop = AbortSignal.any([this.closing, deadline.signal, ...(signal ? [signal] : [])]);
    const sending: Sending = { payload, stop, isOut: false };
    const earlier = this.refusal;
    try {
      if (payload.durable === false) return await this.sendNow<Data>(payload, stop);
      return await this.slots.use(stop, () => this.sendUntilAnswered<Data>(sending));
    } catch (error) {
      // Meanwhile the connection was refused, and with it the line.
      if (!(error instanceof TimeoutError) || this.refusal === earlier || this.refusal === null) throw error;
      if (!sending.isOut) throw this.refusal;
      throw Object.defineProperty(error, 'cause', { value: this.refusal });
    } finally {
      clearTimeout(timer);
    }
  }

  /** What is of the moment is not kept for later. */
  private async sendNow<Data>(payload: PublishInput, stop: AbortSignal): Promise<ChannelMessage<Data>> {
    stop.throwIfAborted();
    const link = this.links.up();
    if (!link) throw new ConnectionError('Not connected');
    const { answer, error } = await send<Data>(link, payload, stop);
    if (error) throw error;
    return answer;
  }

  /** Its key lets it be sent again. */
  private async sendUntilAnswered<Data>(sending: Sending): Promise<ChannelMessage<Data>> {
    const { payload, stop } = sending;
    let isAnswerLost = false;
    for (let attempt = 0; ; attempt++) {
      const link = await this.links.nextUp(stop);
      sending.isOut = true;
      const { answer, error } = await send<Data>(link, payload, stop);
      if (!error) return answer;
      if (error instanceof RateLimitError) this.refusal = error;
      isAnswerLost ||= error instanceof ConnectionError;
      sending.isOut = isAnswerLost;
      const delay = delayAfter(error, attempt);
      if (delay === null) throw error;
      await sleep(delay, stop);
    }
  }
}

function delayAfter(error: GatehouseError, attempt: number): number | null {
  // The link has ended: the next one is waited for. After a 401 it ends, too, and if there is no next one, the connection closes.
  if (error instanceof ConnectionError) return 0;
  return retryDelay(error.status === 401 ? new ConnectionError('The session has ended', error) : error, attempt);
}

function send<Data>(link: Link, payload: PublishInput, stop: AbortSignal): Promise<Outcome<ChannelMessage<Data>>> {
  return new Promise((resolve, reject) => {
    stop.throwIfAborted();
    const abort = () => reject(stop.reason);
    stop.addEventListener('abort', abort, { once: true });
    link.ask<ChannelMessage<Data>>('publish', payload, (outcome) => {
      stop.removeEventListener('abort', abort);
      resolve(outcome);
    });
  });
}

/** As a request has it: dates are strings, bytes are no attachments of their own. */
function toJson(input: PublishInput): PublishInput {
  const text = JSON.stringify(input);
  if (text.length > CHARACTERS_MAX)
    throw new GatehouseError('The message is too large', { status: 413, code: 'message_too_large' });
  return JSON.parse(text) as PublishInput;
}
