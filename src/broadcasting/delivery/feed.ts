import type { ChannelMessageResponse } from '../dto/channel-message.response.js';
import type { ChannelHead } from '../log/message-log.js';
import { sizeOf } from '../log/message-size.js';
import type { LocalAudience } from './local-audience.js';

/** What may wait for one who is still reading what was before; beyond it is read from the log again. */
const PENDING_MAX = 500;
const PENDING_SIZE_MAX = 128 * 1024;

/**
 * Keeps what a feed delivers while a newcomer is still being brought up to it, so that what is read from the log and what is live meet
 * without a gap or a repetition.
 */
export class Joiner {
  private pending: ChannelMessageResponse[] = [];
  private size = 0;
  private isOverflown = false;
  private advanced: () => void = () => undefined;

  /** @param position what the feed had delivered before the first message that is kept here */
  constructor(private position: number) {}

  push(message: ChannelMessageResponse): void {
    this.size += sizeOf(message);
    if (this.pending.length < PENDING_MAX && this.size < PENDING_SIZE_MAX) this.pending.push(message);
    else this.isOverflown = true;
    this.advanced();
  }

  /** What the feed has delivered after `sequence`; `null` when some of it is not here and is to be read from the log. */
  takeAfter(sequence: number, feedPosition: number): ChannelMessageResponse[] | null {
    if (!this.isOverflown && sequence >= this.position)
      return this.pending.filter((message) => (message.sequence ?? 0) > sequence);
    if (this.isOverflown) {
      this.pending = [];
      this.size = 0;
      this.isOverflown = false;
      this.position = feedPosition;
    }
    return null;
  }

  /** Resolves when the feed has delivered something more, or has ended. */
  nextAdvance(): Promise<void> {
    return new Promise((resolve) => (this.advanced = resolve));
  }

  wake(): void {
    this.advanced();
  }
}

/** One channel on this node: how far it has been delivered to everybody who has joined. */
export class Feed {
  private readonly joiners = new Set<Joiner>();
  /** Those who hold it open. */
  subscribers = 0;
  isEnded = false;

  private constructor(
    readonly channel: string,
    readonly epoch: string,
    /** The sequence of the last message delivered. */
    public position: number,
    private readonly audience: LocalAudience,
  ) {}

  static from(channel: string, head: ChannelHead, audience: LocalAudience): Feed {
    return new Feed(channel, head.epoch, head.lastSequence, audience);
  }

  /** Delivers what comes next; `false` for a message that does not follow, which is to be read from the log first. */
  deliver(message: ChannelMessageResponse): boolean {
    const sequence = message.sequence ?? 0;
    if (this.isEnded || sequence <= this.position) return true;
    if (sequence !== this.position + 1 || message.epoch !== this.epoch) return false;
    this.position = sequence;
    if (this.subscribers > 0) this.audience.emit(this.channel, 'message', message);
    for (const joiner of this.joiners) joiner.push(message);
    return true;
  }

  /** From now on the newcomer misses nothing. */
  addJoiner(): Joiner {
    const joiner = new Joiner(this.position);
    this.joiners.add(joiner);
    return joiner;
  }

  removeJoiner(joiner: Joiner): void {
    this.joiners.delete(joiner);
  }

  end(): void {
    this.isEnded = true;
    for (const joiner of this.joiners) joiner.wake();
  }
}
