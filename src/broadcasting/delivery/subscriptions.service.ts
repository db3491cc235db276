import { Injectable, Logger } from '@nestjs/common';
import { AppConfig } from '../../config/app-config.js';
import { ChannelForbiddenError, InvalidChannelError, TooManySubscriptionsError } from '../broadcasting.errors.js';
import { ChannelAccess } from '../channels/channel-access.service.js';
import { type ChannelName, parseChannelName } from '../channels/channel-name.js';
import { AccessChanges } from '../connections/access-changes.js';
import type { SubscriptionResponse } from '../dto/subscription.response.js';
import { type HistoryPage, MessageLog } from '../log/message-log.js';
import { AudienceService } from '../presence/audience.service.js';
import { PresenceService } from '../presence/presence.service.js';
import type { Feed } from './feed.js';
import { Feeds } from './feeds.js';
import { HistoryLostError, PAGE, Replay } from './replay.js';
import type { Subscriber } from './subscriber.js';
import { Subscription } from './subscription.js';

/** From where a subscriber wants to read. */
export interface SubscribeFrom {
  /** What follows this sequence; without it, what is published from now on. */
  readonly after?: number;
  /** The epoch that the sequence belongs to. */
  readonly epoch?: string;
}

/** The answer, which the subscriber is to have before its first message; `start()` brings those. */
export interface Subscribed {
  readonly answer: SubscriptionResponse;
  start(): void;
}

/** Of a presence channel's members an answer names so many. */
const MEMBERS_MAX = 1_000;

/** Who on this node reads which channels. */
@Injectable()
export class SubscriptionsService {
  private readonly logger = new Logger(SubscriptionsService.name);
  private readonly subscriptions = new Map<Subscriber, Map<string, Subscription>>();

  constructor(
    private readonly access: ChannelAccess,
    private readonly log: MessageLog,
    private readonly feeds: Feeds,
    private readonly presence: PresenceService,
    private readonly audiences: AudienceService,
    private readonly config: AppConfig,
    accessChanges: AccessChanges,
  ) {
    feeds.onReset((channel) => this.endReaders(channel));
    accessChanges.onMembershipLost((userId, channel) => this.expel(userId, channel));
    accessChanges.onResync(() => void this.recheckMembers());
  }

  /**
   * Subscribes, or begins again at another place. Nothing is sent before `start()`.
   * @throws InvalidChannelError, ChannelForbiddenError, TooManySubscriptionsError
   */
  async subscribe(subscriber: Subscriber, name: string, from: SubscribeFrom): Promise<Subscribed> {
    const channel = parseChannelName(name);
    if (!channel) throw new InvalidChannelError();
    const subscription = this.register(subscriber, channel);
    try {
      await this.authorise(subscription);
      await this.enter(subscription);
      const begun = await this.begin(subscription, from);
      if (subscription.isEnded) throw new ChannelForbiddenError();
      return begun;
    } catch (error) {
      this.end(subscription);
      throw error;
    }
  }

  /** `false` when there was no such subscription. */
  unsubscribe(subscriber: Subscriber, channel: string): boolean {
    const subscription = this.subscriptions.get(subscriber)?.get(channel);
    if (subscription) this.end(subscription);
    return subscription !== undefined;
  }

  /** The connection is over. */
  removeAll(subscriber: Subscriber): void {
    for (const subscription of [...(this.subscriptions.get(subscriber)?.values() ?? [])]) this.end(subscription);
  }

  channelsOf(subscriber: Subscriber): string[] {
    return [...(this.subscriptions.get(subscriber)?.keys() ?? [])];
  }

  private register(subscriber: Subscriber, channel: ChannelName): Subscription {
    this.unsubscribe(subscriber, channel.name);
    const own = this.subscriptions.get(subscriber) ?? new Map<string, Subscription>();
    const { subscriptionsMax } = this.config.broadcasting;
    if (own.size >= subscriptionsMax) throw new TooManySubscriptionsError(subscriptionsMax);
    const subscription = new Subscription(subscriber, channel);
    this.subscriptions.set(subscriber, own.set(channel.name, subscription));
    return subscription;
  }

  /** A member who is removed while the database is asked is either refused by its answer, or expelled by the announcement after it. */
  private async authorise({ subscriber, channel }: Subscription): Promise<void> {
    if (!(await this.access.mayRead(subscriber.principal, channel))) throw new ChannelForbiddenError();
  }

  private async enter(subscription: Subscription): Promise<void> {
    const { channel, subscriber } = subscription;
    const feed = await this.feeds.open(channel.name);
    if (subscription.isEnded || !subscriber.isOpen) {
      this.feeds.release(feed);
      throw new ChannelForbiddenError();
    }
    subscription.feed = feed;
    feed.subscribers++;
    this.audiences.set(channel.name, feed.subscribers);
    if (channel.kind !== 'presence') return;
    subscription.isPresent = true;
    try {
      await this.presence.enter(channel.name, subscriber.principal.id);
    } catch (error) {
      subscription.isPresent = false;
      throw error;
    }
  }

  private async begin(subscription: Subscription, { after, epoch }: SubscribeFrom): Promise<Subscribed> {
    const { channel } = subscription;
    const feed = subscription.feed as Feed;
    const members =
      channel.kind === 'presence' ? { members: await this.presence.members(channel.name, MEMBERS_MAX) } : {};
    // What has ended meanwhile has been released: nobody would take the joiner off the feed again.
    if (subscription.isEnded) throw new ChannelForbiddenError();
    subscription.joiner = feed.addJoiner();
    const position = feed.position;
    const isCurrent = after === undefined || (after === position && (epoch ?? feed.epoch) === feed.epoch);
    const head = { channel: channel.name, epoch: feed.epoch };
    if (isCurrent) {
      const answer = { ok: true as const, ...head, sequence: position, recovered: true, ...members };
      return { answer, start: () => void this.replay(subscription, position, null) };
    }
    const page = await this.log.read(channel.name, after, PAGE);
    const recovered = isKept(page, after) && (epoch ?? page.epoch) === page.epoch;
    const answer = {
      ok: true as const,
      ...head,
      epoch: page.epoch,
      sequence: page.lastSequence,
      recovered,
      ...(!recovered && { first_sequence: page.firstSequence }),
      ...members,
    };
    const start = recovered
      ? () => void this.replay(subscription, after, page)
      : () => void this.replay(subscription, page.firstSequence - 1, null);
    return { answer, start };
  }

  private async replay(subscription: Subscription, position: number, first: HistoryPage | null): Promise<void> {
    try {
      await new Replay(this.log, this.feeds, subscription, position).run(first);
    } catch (error) {
      if (!(error instanceof HistoryLostError))
        this.logger.warn(`A subscription has to begin again: ${(error as Error).message}`);
      subscription.subscriber.end('subscription_failed');
    }
  }

  private end(subscription: Subscription): void {
    if (subscription.isEnded) return;
    subscription.isEnded = true;
    const { subscriber, channel, feed, joiner } = subscription;
    const own = this.subscriptions.get(subscriber);
    if (own?.get(channel.name) === subscription) own.delete(channel.name);
    if (own?.size === 0) this.subscriptions.delete(subscriber);
    subscriber.leave(channel.name);
    if (subscription.isPresent) this.presence.leave(channel.name, subscriber.principal.id);
    if (!feed) return;
    if (joiner) {
      feed.removeJoiner(joiner);
      joiner.wake();
    }
    feed.subscribers--;
    this.audiences.set(channel.name, this.feeds.find(channel.name)?.subscribers ?? 0);
    this.feeds.release(feed);
  }

  /** After announcements may have been missed. */
  private async recheckMembers(): Promise<void> {
    const reading = [...this.subscriptions.values()].flatMap((own) => [...own.values()]);
    for (const { subscriber, channel } of reading.filter((subscription) => subscription.channel.kind === 'private')) {
      const mayRead = await this.access.mayRead(subscriber.principal, channel).catch(() => true);
      if (!mayRead) this.expel(subscriber.principal.id, channel.name);
    }
  }

  private expel(userId: string, channel: string): void {
    for (const [subscriber, own] of this.subscriptions) {
      const subscription = own.get(channel);
      if (!subscription || subscriber.principal.id !== userId || subscriber.principal.role === 'admin') continue;
      this.end(subscription);
      subscriber.send('unsubscribed', { channel, reason: 'membership_removed' });
    }
  }

  private endReaders(channel: string): void {
    for (const [subscriber, own] of this.subscriptions) if (own.has(channel)) subscriber.end('subscription_failed');
  }
}

/** Whether everything after `after` is there. */
const isKept = (page: HistoryPage, after: number) => after >= page.firstSequence - 1 && after <= page.lastSequence;
