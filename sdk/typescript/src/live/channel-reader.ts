import { GatehouseError } from '../errors.js';
import type { ChannelMessage } from '../types.js';
import { pauseBefore } from './back-off.js';
import { Emitter } from './emitter.js';
import { HandlingQueue } from './handling-queue.js';
import type { Link } from './link.js';
import { PresenceList } from './presence.js';
import type { SubscribeOptions, Subscription } from './subscription.js';
import type { Ended, Gap, Position, Present, SubscriptionEvents } from './types.js';
import { isPassing, isRepeated, type Outcome, resumed, type Subscribed } from './wire.js';

const QUEUE_LIMIT = 1_000;
/** A reader that was paused goes on when so much of what may wait is left. */
const RESUME_SHARE = 0.25;
const FIRST_RETRY = 2;
const LONGEST_RETRY_MS = 8_000;

type Item<Data> = { message: ChannelMessage<Data>; gap: null } | { message: null; gap: Gap; from: Position };
/** `away`: there is no link, or the next attempt is waited for; `paused`: the handlers have to catch up first. */
type Phase = 'away' | 'joining' | 'joined' | 'paused' | 'ended';

/** A subscription, over all its links. */
export class ChannelReader<Data> extends Emitter<SubscriptionEvents<Data>> implements Subscription<Data> {
  readonly ready: Promise<Position>;
  readonly finished: Promise<Ended>;
  position: Position | null;
  ended: Ended | null = null;
  private phase: Phase = 'away';
  private link: Link | null = null;
  /** After the last message that was queued: what is handled later is not asked for again. */
  private received: Position | null;
  private readonly queue: HandlingQueue<Item<Data>>;
  private readonly queueLimit: number;
  private readonly presence = new PresenceList((change, user) => this.emit(change, user));
  /** Who came and went before the answer that names those who are present. */
  private early: (() => void)[] = [];
  private retries = 0;
  private retry: ReturnType<typeof setTimeout> | undefined;
  private resolveReady!: (position: Position) => void;
  private rejectReady!: (error: Error) => void;
  private resolveFinished!: (ended: Ended) => void;

  constructor(
    readonly channel: string,
    { after, epoch, queueLimit = QUEUE_LIMIT }: SubscribeOptions,
    private readonly onEnd: (reader: ChannelReader<Data>) => void,
  ) {
    super();
    this.received = after === undefined ? null : { sequence: after, epoch };
    this.position = this.received;
    this.queueLimit = Math.max(queueLimit, 1);
    this.queue = new HandlingQueue({
      handle: (item) => this.handle(item),
      onHandled: (item) => this.handled(item),
      onFailure: (error, item) => this.failed(error, item),
    });
    this.ready = new Promise((resolve, reject) => ([this.resolveReady, this.rejectReady] = [resolve, reject]));
    // Whoever does not wait for it learns of the end from `ended`.
    this.ready.catch(() => undefined);
    this.finished = new Promise((resolve) => (this.resolveFinished = resolve));
  }

  get members(): readonly Present[] {
    return this.presence.all;
  }

  /** There is a link that is up. */
  attach(link: Link): void {
    this.link = link;
    this.retries = 0;
    if (this.queue.length > this.queueLimit * RESUME_SHARE) this.phase = 'paused';
    else this.join();
  }

  detach(): void {
    this.link = null;
    clearTimeout(this.retry);
    this.early = [];
    if (this.phase !== 'ended') this.phase = 'away';
  }

  /** An event of this channel. */
  take(name: string, payload: unknown): void {
    if (name === 'message') this.takeMessage(payload as ChannelMessage<Data>);
    else if (name === 'unsubscribed') this.expelled(payload as { reason: string });
    else this.takePresence(name, payload as { user: Present });
  }

  unsubscribe(): void {
    if (this.phase !== 'ended' && this.phase !== 'away')
      this.link?.ask('unsubscribe', { channel: this.channel }, () => undefined);
    this.end({ reason: 'unsubscribed', error: null });
  }

  /** @param isDrained what waits is handled first */
  end(ended: Ended, isDrained = false): void {
    if (!isDrained) this.queue.stop();
    if (this.phase === 'ended') return;
    this.phase = 'ended';
    clearTimeout(this.retry);
    this.link = null;
    this.onEnd(this);
    this.rejectReady(
      ended.error ?? new GatehouseError('The subscription has ended', { status: 0, code: ended.reason }),
    );
    const conclude = () => {
      this.ended = ended;
      this.emit('ended', ended);
    };
    if (!isDrained) conclude();
    void this.queue.idle.then(() => {
      if (isDrained) conclude();
      this.resolveFinished(ended);
    });
  }

  private join(): void {
    const { link, received, channel } = this;
    if (!link) return;
    this.phase = 'joining';
    const from = { after: received?.sequence, epoch: received?.epoch };
    link.ask<Subscribed>('subscribe', { channel, ...from }, (outcome) => {
      if (this.link === link && this.phase === 'joining') this.answered(outcome);
    });
  }

  private answered({ answer, error }: Outcome<Subscribed>): void {
    if (!error) return this.joined(answer);
    this.phase = 'away';
    // Then the link is over, or will be in a moment, and the next one begins anew.
    if (error.status === 0 || error.status === 401) return;
    if (!isPassing(error)) return this.end({ reason: 'refused', error });
    this.retry = setTimeout(() => this.join(), pauseBefore(FIRST_RETRY + this.retries++, LONGEST_RETRY_MS));
  }

  private joined(answer: Subscribed): void {
    this.phase = 'joined';
    this.retries = 0;
    const { from, gap } = resumed(this.received, answer);
    this.received = from;
    if (gap) this.queue.push({ message: null, gap, from });
    // An epoch that was not known is now; the sequence is where it was.
    else if (!this.position?.epoch) this.position = { ...from, ...this.position, epoch: from.epoch };
    if (answer.members) this.presence.replace(answer.members);
    for (const apply of this.early.splice(0)) apply();
    this.resolveReady(from);
  }

  private takeMessage(message: ChannelMessage<Data>): void {
    // What comes before the answer belongs to an earlier subscription; it comes again.
    if (this.phase !== 'joined' || isRepeated(message, this.received)) return;
    const isFull = this.queue.length >= this.queueLimit;
    if (message.sequence === null) {
      if (!isFull) this.queue.push({ message, gap: null });
      return;
    }
    if (isFull) return this.pause();
    this.received = { sequence: message.sequence, epoch: message.epoch };
    this.queue.push({ message, gap: null });
  }

  /** Whoever is present stays so: to leave the channel would tell the others. What comes is dropped, and comes again. */
  private pause(): void {
    this.phase = 'paused';
    if (this.channel.startsWith('presence-')) return;
    this.link?.ask('unsubscribe', { channel: this.channel }, () => undefined);
  }

  private takePresence(name: string, { user }: { user: Present }): void {
    if (this.phase === 'away' || this.phase === 'ended') return;
    const apply = () => (name === 'presence:joined' ? this.presence.joined(user) : this.presence.left(user));
    if (this.phase === 'joining') this.early.push(apply);
    else apply();
  }

  private expelled({ reason }: { reason: string }): void {
    if (this.phase === 'joined') this.end({ reason, error: null }, true);
  }

  private async handle(item: Item<Data>): Promise<void> {
    if (item.message) for (const listener of this.listenersOf('message')) await listener(item.message);
    else for (const listener of this.listenersOf('gap')) await listener(item.gap);
  }

  private handled(item: Item<Data>): void {
    if (!item.message) this.position = item.from;
    else if (item.message.sequence !== null)
      this.position = { sequence: item.message.sequence, epoch: item.message.epoch };
    const isLow = this.queue.length <= this.queueLimit * RESUME_SHARE;
    if (this.phase === 'paused' && isLow) this.join();
  }

  private failed(error: unknown, item: Item<Data>): void {
    if (this.listenersOf('error').length === 0) void Promise.reject(error);
    else this.emit('error', error, item.message ?? item.gap);
  }
}
