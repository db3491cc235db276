import type { ChannelMessageResponse } from '../dto/channel-message.response.js';
import type { HistoryPage, MessageLog } from '../log/message-log.js';
import { sizeOf } from '../log/message-size.js';
import type { Feeds } from './feeds.js';
import type { Subscription } from './subscription.js';

/** Of one look at the log. */
export const PAGE = { messages: 100, bytes: 512 * 1024 };

/** So much is sent before the subscriber is waited for. */
const UNSETTLED_MAX = 64 * 1024;

/** Part of the history that was being read has been removed meanwhile. */
export class HistoryLostError extends Error {}

/**
 * Sends what is kept after `sequence` and lets the subscriber take part in the feed where that ends, in one turn of the event loop: replay
 * and live meet without a gap, a repetition or another order. It waits for the reader all along, so that a slow reader's
 * replay does not pile up here.
 */
export class Replay {
  /** What was sent since the subscriber was last waited for; it may be busy with other channels when this begins. */
  private unsettled = Infinity;

  constructor(
    private readonly log: MessageLog,
    private readonly feeds: Feeds,
    private readonly subscription: Subscription,
    /** Of the last message that was sent. */
    private position: number,
  ) {}

  /** @param first what has been read already @throws HistoryLostError */
  async run(first: HistoryPage | null): Promise<void> {
    for (let page = first; ; page = await this.read()) {
      for (const message of page?.messages ?? []) {
        if (this.unsettled > UNSETTLED_MAX) await this.settle();
        this.send(message);
      }
      if ((page?.messages.length ?? 0) < PAGE.messages && (await this.meet())) return;
      if (this.isOver) return;
    }
  }

  /** The end of the log is reached: what the feed has delivered meanwhile is next, unless it was too much to keep. */
  private async meet(): Promise<boolean> {
    const { feed, joiner, channel } = this.subscription;
    // It may have ended while the log was being read, and the subscriber may have begun anew since.
    if (!feed || !joiner || this.isOver) return true;
    while (feed.position < this.position) {
      // The log has shown more than the feed has delivered yet.
      const advance = joiner.nextAdvance();
      this.feeds.check(channel.name);
      await advance;
      if (this.isOver) return true;
    }
    const delivered = joiner.takeAfter(this.position, feed.position);
    if (!delivered) return false;
    for (const message of delivered) this.send(message);
    this.subscription.goLive();
    return true;
  }

  private send(message: ChannelMessageResponse): void {
    if (this.isOver) return;
    if (message.sequence !== this.position + 1) throw new HistoryLostError();
    this.subscription.subscriber.send('message', message);
    this.position++;
    this.unsettled += sizeOf(message);
  }

  private async settle(): Promise<void> {
    this.unsettled = 0;
    await this.subscription.subscriber.drained();
  }

  private read(): Promise<HistoryPage> {
    return this.log.read(this.subscription.channel.name, this.position, PAGE);
  }

  private get isOver(): boolean {
    const { isEnded, feed, subscriber } = this.subscription;
    return isEnded || !subscriber.isOpen || !feed || feed.isEnded;
  }
}
