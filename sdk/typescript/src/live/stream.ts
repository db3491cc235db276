import { AuthenticationError, GatehouseError } from '../errors.js';
import { sleep } from '../http/retry.js';
import type { Transport } from '../http/transport.js';
import type { ChannelMessage } from '../types.js';
import { pauseBefore } from './back-off.js';
import { eventsOf, type ServerSentEvent } from './sse.js';
import type { Position, Present, SessionEndReason, StartOptions, StreamEvent } from './types.js';
import { isPassing, isRepeated, resumed, type Subscribed } from './wire.js';

export interface StreamOptions extends StartOptions {
  /** Ends the stream, which then throws the signal's reason. */
  signal?: AbortSignal;
}

const FINAL = new Set(['logged_out', 'account_disabled', 'account_deleted', 'api_key_revoked']);
/** After these nothing is wrong with the server. */
const AT_ONCE = new Set(['token_expired', 'role_changed']);
const RETRY_MS = 2_000;
const RATE_LIMIT_MS = 10_000;
const LONGEST_DELAY_MS = 8_000;
/** A response that lasted for so long was a good one: the next attempt is made soon. */
const GOOD_RESPONSE_MS = 2_000;

/** The reading of one channel as an event stream, over all its responses. */
export class ChannelStream<Data> {
  private position: Position | null;
  private hasBegun = false;
  private begunAt = 0;
  private attempts = 0;
  private retryMs = RETRY_MS;
  private readonly session: number;
  /** Aborted when the stream is over, by whomever. */
  private readonly over = new AbortController();
  private isSignedOut = false;

  constructor(
    private readonly transport: Transport,
    private readonly channel: string,
    private readonly options: StreamOptions,
  ) {
    const { after, epoch } = options;
    this.position = after === undefined ? null : { sequence: after, epoch };
    this.session = transport.session.epoch;
  }

  async *events(): AsyncGenerator<StreamEvent<Data>, void, undefined> {
    const { transport, over } = this;
    const { signal } = this.options;
    signal?.throwIfAborted();
    const abort = () => over.abort(signal?.reason);
    signal?.addEventListener('abort', abort, { once: true });
    const stopListening = transport.session.onChange((event) => {
      if (event === 'refreshed' || transport.usesApiKey) return;
      this.isSignedOut = true;
      over.abort(new AuthenticationError('Signed out', { status: 401, code: 'not_authenticated' }));
    });
    try {
      yield* this.responses();
    } finally {
      signal?.removeEventListener('abort', abort);
      stopListening();
      over.abort();
    }
  }

  /** One response after the other. */
  private async *responses(): AsyncGenerator<StreamEvent<Data>, void, undefined> {
    for (;;) {
      try {
        const reason = yield* this.untilEnd();
        if (reason !== null && isFinal(reason)) return;
        await this.pauseAfter(reason);
      } catch (error) {
        this.options.signal?.throwIfAborted();
        if (!this.isSignedOut || !this.hasBegun) throw error;
        return yield { type: 'ended', reason: 'logged_out' };
      }
    }
  }

  /** One response. @returns what the server has ended it for; null when it said nothing, or broke off */
  private async *untilEnd(): AsyncGenerator<StreamEvent<Data>, SessionEndReason | null, undefined> {
    let reason: SessionEndReason | null = null;
    try {
      for await (const event of this.response()) {
        if (event.type === 'ended') reason = event.reason;
        if (event.type !== 'ended' || isFinal(event.reason)) yield event;
      }
      return reason;
    } catch (error) {
      const isOver = this.over.signal.aborted || !this.hasBegun;
      if (isOver || !(error instanceof GatehouseError && isPassing(error))) throw error;
      return reason;
    }
  }

  private async *response(): AsyncGenerator<StreamEvent<Data>, void, undefined> {
    this.transport.session.assertEpoch(this.session);
    const { channel, position } = this;
    this.begunAt = Infinity;
    const response = await this.transport.response({
      method: 'GET',
      path: '/api/v1/broadcasting/stream',
      query: { channel, after: position?.sequence, epoch: position?.epoch },
      headers: { Accept: 'text/event-stream' },
      signal: this.over.signal,
    });
    for await (const event of eventsOf(response, (milliseconds) => (this.retryMs = milliseconds)))
      yield* this.translate(event);
  }

  private *translate({ name, data }: ServerSentEvent): Generator<StreamEvent<Data>, void, undefined> {
    if (name === 'subscribed') yield* this.subscribed(data as Subscribed);
    else if (name === 'message') yield* this.message(data as ChannelMessage<Data>);
    else if (name === 'presence:joined') yield { type: 'joined', user: (data as { user: Present }).user };
    else if (name === 'presence:left') yield { type: 'left', user: (data as { user: Present }).user };
    else if (name === 'session:ended') yield { type: 'ended', reason: (data as { reason: string }).reason };
    // The channel may not be read any more, and the stream has no other one.
    else if (name === 'unsubscribed') yield { type: 'ended', reason: 'membership_removed' };
  }

  private *subscribed(answer: Subscribed): Generator<StreamEvent<Data>, void, undefined> {
    this.hasBegun = true;
    this.begunAt = Date.now();
    const { from, gap } = resumed(this.position, answer);
    if (gap) yield { type: 'gap', gap };
    this.position = from;
    yield { type: 'subscribed', position: from, members: answer.members ?? null };
  }

  private *message(message: ChannelMessage<Data>): Generator<StreamEvent<Data>, void, undefined> {
    if (isRepeated(message, this.position)) return;
    yield { type: 'message', message };
    // Whoever asks for the next one has handled this one.
    if (message.sequence !== null) this.position = { sequence: message.sequence, epoch: message.epoch };
  }

  private async pauseAfter(reason: SessionEndReason | null): Promise<void> {
    if (Date.now() - this.begunAt >= GOOD_RESPONSE_MS) this.attempts = 0;
    const attempt = this.attempts++;
    if (attempt === 0 && reason !== null && AT_ONCE.has(reason)) return;
    const least = reason === 'rate_limited' ? RATE_LIMIT_MS : this.retryMs * (0.5 + Math.random() / 2);
    await sleep(Math.max(least, pauseBefore(attempt, LONGEST_DELAY_MS)), this.over.signal);
  }
}

const isFinal = (reason: SessionEndReason) => FINAL.has(reason) || reason === 'membership_removed';
