import type { ChannelName } from '../channels/channel-name.js';
import type { Feed, Joiner } from './feed.js';
import type { Subscriber } from './subscriber.js';

/** One subscriber's reading of one channel, from the moment it is asked for. */
export class Subscription {
  feed: Feed | null = null;
  joiner: Joiner | null = null;
  /** Counted among the present users of the channel. */
  isPresent = false;
  isEnded = false;
  /** Takes part in what is emitted. */
  hasJoined = false;

  constructor(
    readonly subscriber: Subscriber,
    readonly channel: ChannelName,
  ) {}

  /** Is told who comes and goes, while messages may still have to be brought up to the present. */
  joinPresence(): void {
    this.hasJoined = true;
    this.subscriber.join(this.channel.name, 'presence');
  }

  /** Takes part in what the feed delivers from now on. */
  goLive(): void {
    const { feed, joiner } = this;
    if (!feed || !joiner || this.isEnded) return;
    feed.removeJoiner(joiner);
    this.joiner = null;
    this.hasJoined = true;
    this.subscriber.join(this.channel.name, 'messages');
  }
}
