import { setImmediate as nextTurn } from 'node:timers/promises';
import { Injectable, Logger, type OnApplicationBootstrap, type OnApplicationShutdown } from '@nestjs/common';
import { Outage } from '../../common/logging/outage.js';
import { DatabaseListener } from '../../database/database-listener.js';
import type { ChannelMessageResponse } from '../dto/channel-message.response.js';
import { MESSAGES_TOPIC, readAnnouncement } from '../log/announcer.js';
import { MessageLog } from '../log/message-log.js';
import { sizeOf } from '../log/message-size.js';
import { Publisher } from '../log/publisher.js';
import { NodeService } from '../presence/node.service.js';
import { Feed } from './feed.js';
import { LocalAudience } from './local-audience.js';

/** A missed notification is made up for after so long at most. */
const COMPARE_MS = 1_000;
/** Of one look at the log: so many channels, and so much of each. */
const CHANNELS_MAX = 20;
const PAGE = { messages: 50, bytes: 256 * 1024 };
const POSITIONS_MAX = 5_000;
/** Delivered in one turn of the event loop. */
const BURST_MAX = 256 * 1024;

/** Told when a channel's history no longer joins what has been delivered; whoever reads it has to begin anew. */
type ResetListener = (channel: string) => void;

/**
 * Brings the log to this node's audience, channel by channel and in order. What is published here is delivered from memory when it is
 * next; everything else is read from the log, on a notification from another node or because a comparison of sequences shows it.
 */
@Injectable()
export class Feeds implements OnApplicationBootstrap, OnApplicationShutdown {
  private readonly logger = new Logger(Feeds.name);
  private readonly feeds = new Map<string, Feed>();
  private readonly opening = new Map<string, Promise<Feed>>();
  /** Channels that have moved while their position was being asked for. */
  private readonly movedMeanwhile = new Set<string>();
  /** Feeds whose channel has, or may have, more than was delivered. */
  private readonly behind = new Set<Feed>();
  private readonly resetListeners: ResetListener[] = [];
  private isPumping = false;
  private comparing: Promise<void> | null = null;
  private timer: NodeJS.Timeout | null = null;
  private readonly outage = new Outage(this.logger, {
    begin: 'Messages wait until the log can be read',
    end: 'The log can be read again',
  });

  constructor(
    private readonly log: MessageLog,
    private readonly audience: LocalAudience,
    private readonly node: NodeService,
    listener: DatabaseListener,
    publisher: Publisher,
  ) {
    publisher.onCommit(({ message }) => this.offer(message));
    listener.on(MESSAGES_TOPIC, (payload) => this.hear(payload));
    listener.onResync(() => void this.compare());
  }

  onApplicationBootstrap(): void {
    this.timer = setInterval(() => void this.compare(), COMPARE_MS).unref();
  }

  async onApplicationShutdown(): Promise<void> {
    if (this.timer) clearInterval(this.timer);
    await this.comparing;
  }

  onReset(listener: ResetListener): void {
    this.resetListeners.push(listener);
  }

  find(channel: string): Feed | undefined {
    return this.feeds.get(channel);
  }

  /** Each call is followed by a `release()`. */
  async open(channel: string): Promise<Feed> {
    const feed = this.feeds.get(channel) ?? (await this.begin(channel));
    // Its last user may have gone between the answer of the log and this line.
    if (feed.isEnded) return this.open(channel);
    feed.subscribers++;
    return feed;
  }

  release(feed: Feed): void {
    feed.subscribers--;
    if (feed.subscribers === 0) this.close(feed);
  }

  /** The channel may have more than was delivered. */
  check(channel: string): void {
    const feed = this.feeds.get(channel);
    if (feed) {
      this.behind.add(feed);
      void this.pump();
    } else if (this.opening.has(channel)) this.movedMeanwhile.add(channel);
  }

  /** What this node has published it has delivered already. */
  private hear(payload: string): void {
    const { sender, channels } = readAnnouncement(payload);
    if (sender !== this.node.id) for (const channel of channels) this.check(channel);
  }

  private begin(channel: string): Promise<Feed> {
    let opening = this.opening.get(channel);
    if (!opening) {
      opening = this.log.head(channel).then((head) => {
        const feed = Feed.from(channel, head, this.audience);
        this.feeds.set(channel, feed);
        if (this.movedMeanwhile.delete(channel)) this.check(channel);
        return feed;
      });
      this.opening.set(channel, opening);
      const forget = () => {
        this.opening.delete(channel);
        this.movedMeanwhile.delete(channel);
      };
      opening.then(forget, forget);
    }
    return opening;
  }

  private close(feed: Feed): void {
    feed.end();
    this.behind.delete(feed);
    if (this.feeds.get(feed.channel) === feed) this.feeds.delete(feed.channel);
  }

  private offer(message: ChannelMessageResponse): void {
    if (!this.feeds.get(message.channel)?.deliver(message)) this.check(message.channel);
  }

  /** One look at the log at a time, for many channels together. */
  private async pump(): Promise<void> {
    if (this.isPumping) return;
    this.isPumping = true;
    try {
      while (this.behind.size > 0) await this.catchUp([...this.behind].slice(0, CHANNELS_MAX));
      this.outage.end();
    } catch (error) {
      this.outage.begin(error);
    } finally {
      this.isPumping = false;
    }
  }

  private async catchUp(feeds: readonly Feed[]): Promise<void> {
    // Taken off before the look: what comes after it is a reason for another one.
    for (const feed of feeds) this.behind.delete(feed);
    let found: Awaited<ReturnType<MessageLog['readAfter']>>;
    try {
      found = await this.log.readAfter(feeds.map(positionOf), PAGE);
    } catch (error) {
      for (const feed of feeds) if (!feed.isEnded) this.behind.add(feed);
      throw error;
    }
    let size = 0;
    for (const message of found.messages) {
      const feed = this.feeds.get(message.channel);
      if (!feed) continue;
      if (!feed.deliver(message)) this.reset(feed);
      size += sizeOf(message);
      if (size < BURST_MAX) continue;
      // Readers get their chance to take it.
      size = 0;
      await nextTurn();
    }
    for (const feed of feeds)
      if (!feed.isEnded && feed.position < (found.lastSequences.get(feed.channel) ?? 0)) this.behind.add(feed);
  }

  /** Finds the channels that have moved without our being told. */
  private compare(): Promise<void> {
    this.comparing ??= this.findMoved().finally(() => (this.comparing = null));
    return this.comparing;
  }

  private async findMoved(): Promise<void> {
    try {
      const feeds = [...this.feeds.values()];
      for (let at = 0; at < feeds.length; at += POSITIONS_MAX) {
        const moved = await this.log.findMoved(feeds.slice(at, at + POSITIONS_MAX).map(positionOf));
        for (const { channel, epoch, firstSequence, lastSequence } of moved) {
          const feed = this.feeds.get(channel);
          if (!feed) continue;
          // Nothing may be left to be read that would show the gap.
          if (feed.epoch !== epoch || firstSequence > feed.position + 1) this.reset(feed);
          else if (lastSequence > feed.position) this.behind.add(feed);
        }
      }
      if (this.behind.size > 0) void this.pump();
      this.outage.end();
    } catch (error) {
      this.outage.begin(error);
    }
  }

  /** Part of what was to be delivered is gone, or sequences have begun anew: nobody is to go on as if nothing had happened. */
  private reset(feed: Feed): void {
    if (feed.isEnded) return;
    this.logger.warn(`Channel ${feed.channel} has lost what follows ${feed.position}; its readers begin anew`);
    this.close(feed);
    for (const listener of this.resetListeners) listener(feed.channel);
  }
}

const positionOf = ({ channel, position, epoch }: Feed) => ({ channel, sequence: position, epoch });
