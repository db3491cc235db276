import { Injectable, Logger } from '@nestjs/common';
import { AppConfig } from '../../config/app-config.js';
import { ChannelForbiddenError, InvalidChannelError, TooManySubscriptionsError } from '../broadcasting.errors.js';
import { ChannelAccess } from '../channels/channel-access.service.js';
import { type ChannelName, parseChannelName } from '../channels/channel-name.js';
import { AccessChanges } from '../connections/access-changes.js';
import { LiveConnections } from '../connections/live-connections.js';
import type { SubscriptionResponse } from '../dto/subscription.response.js';
import { type HistoryPage, MessageLog } from '../log/message-log.js';
import { AudienceService } from '../presence/audience.service.js';
import { PresenceService } from '../presence/presence.service.js';
import type { Feed } from './feed.js';
import { Feeds } from './feeds.js';
import { HistoryLostError, PAGE, Replay } from './replay.js';
import { SharedHistory } from './shared-history.js';
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
  private readonly subscriptions = new Map<Subscriber, Set<Subscription>>();

  constructor(
    private readonly access: ChannelAccess,
    private readonly log: MessageLog,
    private readonly history: SharedHistory,
    private readonly feeds: Feeds,
    private readonly presence: PresenceService,
    private readonly audiences: AudienceService,
    private readonly config: AppConfig,
    private readonly connections: LiveConnections,
    accessChanges: AccessChanges,
  ) {
    feeds.onReset((channel) => this.endReaders(channel));
    accessChanges.onMembershipLost((userId, channel) => this.expel(userId, channel));
    accessChanges.onResync(() => this.recheckMembers());
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

  unsubscribe(subscriber: Subscriber, channel: string): void {
    for (const subscription of this.findAll(subscriber, channel)) this.end(subscription);
  }

  /** The connection is over. */
  removeAll(subscriber: Subscriber): void {
    for (const subscription of [...(this.subscriptions.get(subscriber) ?? [])]) this.end(subscription);
  }

  /** One that the subscriber has already goes on until the new one can begin. */
  private register(subscriber: Subscriber, channel: ChannelName): Subscription {
    const own = this.subscriptions.get(subscriber) ?? new Set();
    const { subscriptionsMax } = this.config.broadcasting;
    const channels = new Set([...own].map((subscription) => subscription.channel.name));
    if (channels.size >= subscriptionsMax && !channels.has(channel.name))
      throw new TooManySubscriptionsError(subscriptionsMax);
    const subscription = new Subscription(subscriber, channel);
    this.subscriptions.set(subscriber, own.add(subscription));
    return subscription;
  }

  private findAll(subscriber: Subscriber, channel: string): Subscription[] {
    return [...(this.subscriptions.get(subscriber) ?? [])].filter((own) => own.channel.name === channel);
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
    this.audiences.set(channel.name, feed.subscribers);
    if (channel.kind !== 'presence') return;
    await this.presence.enter(channel.name, subscriber.principal.id);
    if (subscription.isEnded) this.presence.leave(channel.name, subscriber.principal.id);
    else subscription.isPresent = true;
  }

  private async begin(subscription: Subscription, { after, epoch }: SubscribeFrom): Promise<Subscribed> {
    const { channel, subscriber } = subscription;
    const feed = subscription.feed as Feed;
    const isCurrent = after === undefined || (after === feed.position && (epoch ?? feed.epoch) === feed.epoch);
    const page = isCurrent ? null : await this.history.read(channel.name, after, PAGE);
    const members = channel.kind === 'presence' ? await this.presence.members(channel.name, MEMBERS_MAX) : undefined;
    if (subscription.isEnded) throw new ChannelForbiddenError();
    // From here to the answer nothing is waited for: what comes after the answer goes on from it.
    for (const other of this.findAll(subscriber, channel.name)) if (other !== subscription) this.end(other);
    subscription.joiner = feed.addJoiner();
    if (members) subscription.joinPresence();
    const recovered = !page || (isKept(page, after as number) && (epoch ?? page.epoch) === page.epoch);
    const answer = {
      ok: true as const,
      channel: channel.name,
      epoch: page?.epoch ?? feed.epoch,
      sequence: page?.lastSequence ?? feed.position,
      recovered,
      ...(!recovered && { first_sequence: page.firstSequence }),
      ...(members && { members }),
    };
    const position = recovered ? (after ?? feed.position) : page.firstSequence - 1;
    return { answer, start: () => void this.replay(subscription, position, recovered ? page : null) };
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
    own?.delete(subscription);
    if (own?.size === 0) this.subscriptions.delete(subscriber);
    if (subscription.hasJoined) subscriber.leave(channel.name);
    if (subscription.isPresent) this.presence.leave(channel.name, subscriber.principal.id);
    if (!feed) return;
    if (joiner) {
      feed.removeJoiner(joiner);
      joiner.wake();
    }
    this.feeds.release(feed);
    this.audiences.set(channel.name, this.feeds.find(channel.name)?.subscribers ?? 0);
  }

  /** After announcements may have been missed. */
  private async recheckMembers(): Promise<void> {
    const reading = [...this.subscriptions.values()]
      .flatMap((own) => [...own])
      .filter(({ channel, subscriber }) => channel.kind === 'private' && subscriber.principal.role !== 'admin')
      .map(({ channel, subscriber }) => ({ channel: channel.name, userId: subscriber.principal.id }));
    for (const { userId, channel } of await this.access.withoutMembership(reading)) this.expel(userId, channel);
  }

  private expel(userId: string, channel: string): void {
    for (const subscriber of this.connections.ofUser(userId)) {
      const lost = this.findAll(subscriber, channel);
      if (lost.length === 0 || subscriber.principal.role === 'admin') continue;
      for (const subscription of lost) this.end(subscription);
      subscriber.send('unsubscribed', { channel, reason: 'membership_removed' });
    }
  }

  private endReaders(channel: string): void {
    for (const subscriber of [...this.subscriptions.keys()])
      if (this.findAll(subscriber, channel).length > 0) subscriber.end('subscription_failed');
  }
}

/** Whether everything after `after` is there. */
const isKept = (page: HistoryPage, after: number) => after >= page.firstSequence - 1 && after <= page.lastSequence;
