import { setImmediate as nextTurn } from 'node:timers/promises';
import { Injectable, Logger } from '@nestjs/common';
import { ServiceUnavailableError } from '../../common/errors/errors.js';
import { NodeService } from './node.service.js';
import { Outage } from '../../common/logging/outage.js';
import { PresenceAnnouncements } from './presence-announcements.js';
import { type Member, type PresenceKey, PresenceRepository, type PresentUser } from './presence.repository.js';
import { SingleFlight } from './single-flight.js';

/** A user in a channel on this node. */
interface Presence extends PresenceKey {
  connections: number;
  /** Whether the database has it. Not known while a statement is under way, and after one that failed. */
  recorded: 'yes' | 'no' | 'unknown';
  /** The first connections, until it is recorded; while there are any, no others are counted. */
  waiters: { resolve: () => void; reject: (error: unknown) => void }[];
}

/**
 * Who is in which presence channel. A user's connections are counted here, and only the first and the last of this node reach the
 * database, many at a time; there a presence is one row, however many nodes the user is on.
 */
@Injectable()
export class PresenceService {
  private readonly logger = new Logger(PresenceService.name);
  private readonly presences = new Map<string, Presence>();
  private readonly dirty = new Set<Presence>();
  private readonly writes = new SingleFlight(() => this.write());
  private readonly outage = new Outage(this.logger, {
    begin: 'Presences could not be written, trying again',
    end: 'Presences are written again',
  });
  private registration = 0;

  constructor(
    private readonly repository: PresenceRepository,
    private readonly announcements: PresenceAnnouncements,
    private readonly nodes: NodeService,
  ) {
    nodes.onRegistered(() => this.recordAgain());
    nodes.onBeat(() => {
      if (this.dirty.size > 0) void this.writes.run();
    });
  }

  /**
   * One more connection of the user reads the channel; resolves when that is recorded, and whoever joins later is announced. When it
   * rejects the connection is not counted, and is not to leave. It may leave before this resolves.
   */
  async enter(channel: string, userId: string): Promise<void> {
    if (this.nodes.isStopped) throw new ServiceUnavailableError('The server is shutting down');
    const presence = this.presenceOf(channel, userId);
    presence.connections++;
    if (presence.connections === 1) this.announcements.watch(channel);
    await Promise.all([this.recorded(presence), this.announcements.settled(channel)]);
  }

  private async recorded(presence: Presence): Promise<void> {
    // Where others have been let in already, a lost registration is the background's to repair.
    const isLetIn = presence.connections > 1 && presence.waiters.length === 0;
    if (presence.recorded === 'yes' || isLetIn) return;
    await new Promise<void>((resolve, reject) => {
      presence.waiters.push({ resolve, reject });
      this.writeSoon(presence);
    });
  }

  /** One connection less; is written in the background. */
  leave(channel: string, userId: string): void {
    const presence = this.presences.get(keyOf(channel, userId));
    if (!presence || presence.connections === 0) return;
    presence.connections--;
    if (presence.connections > 0) return;
    this.announcements.unwatch(channel);
    if (!this.nodes.isStopped) this.writeSoon(presence);
  }

  /** Resolves when what was called before has been written, or has been found impossible to write now. */
  flush(): Promise<void> {
    return this.writes.run();
  }

  /** Who is present, by username. What this node emits after it resolves goes on from there. */
  async members(channel: string, limit?: number): Promise<Member[]> {
    return (await this.membersOf([channel], limit)).get(channel) as Member[];
  }

  /** Of each channel at most `limit` members. */
  async membersOf(channels: readonly string[], limit?: number): Promise<Map<string, Member[]>> {
    const present = await this.announcements.presentIn(channels, () =>
      this.repository.listMembers(channels, limit ?? null),
    );
    return new Map([...present].map(([channel, users]) => [channel, byUsername(users.values()).slice(0, limit)]));
  }

  /** How many users are present. */
  count(channel: string): Promise<number> {
    return this.repository.count(channel);
  }

  private presenceOf(channel: string, userId: string): Presence {
    const key = keyOf(channel, userId);
    const known = this.presences.get(key);
    if (known) return known;
    const presence: Presence = { channel, userId, connections: 0, recorded: 'no', waiters: [] };
    this.presences.set(key, presence);
    return presence;
  }

  private writeSoon(presence: Presence): void {
    this.dirty.add(presence);
    void this.writes.run();
  }

  /** The database has nothing of this node. Answers that are still to come are of no use: they may be of before. */
  private recordAgain(): void {
    this.registration++;
    for (const presence of this.presences.values()) {
      presence.recorded = 'unknown';
      this.dirty.add(presence);
    }
    if (this.dirty.size > 0) void this.writes.run();
  }

  /** Never fails: what could not be written stays dirty until the next call, or the next beat. */
  private async write(): Promise<void> {
    // Whoever comes in the same turn is written with the first.
    await nextTurn();
    const batch = [...this.dirty];
    this.dirty.clear();
    const outcomes = await Promise.allSettled([
      this.writeEntering(batch.filter(({ connections, recorded }) => connections > 0 && recorded !== 'yes')),
      this.writeLeaving(batch.filter(({ connections, recorded }) => connections === 0 && recorded !== 'no')),
    ]);
    const failure = outcomes.find((outcome) => outcome.status === 'rejected');
    if (!failure) this.outage.end();
    else if (!this.nodes.isStopped) this.outage.begin(failure.reason);
    for (const presence of batch) this.settle(presence);
  }

  private async writeEntering(entering: Presence[]): Promise<void> {
    if (entering.length === 0) return;
    try {
      await this.nodes.ready();
      if (await this.record(entering)) return;
      await this.nodes.renew();
      if (!(await this.record(entering))) throw new ServiceUnavailableError('This node has no lease');
    } catch (error) {
      for (const presence of entering) this.refuse(presence, error);
      throw error;
    }
  }

  /** `false` when this node has no lease. */
  private async record(entering: Presence[]): Promise<boolean> {
    const { registration } = this;
    for (const presence of entering) presence.recorded = 'unknown';
    if (!(await this.repository.enter(this.nodes.id, entering))) return false;
    if (registration === this.registration) for (const presence of entering) presence.recorded = 'yes';
    return true;
  }

  private async writeLeaving(leaving: Presence[]): Promise<void> {
    if (leaving.length === 0 || this.nodes.isStopped) return;
    for (const presence of leaving) presence.recorded = 'unknown';
    try {
      await this.repository.leave(this.nodes.id, leaving);
      for (const presence of leaving) presence.recorded = 'no';
    } catch (error) {
      for (const presence of leaving) this.dirty.add(presence);
      throw error;
    }
  }

  /** It may be recorded all the same, when only the answer was lost: if nobody is left it is to leave. */
  private refuse(presence: Presence, error: unknown): void {
    this.dirty.add(presence);
    if (presence.waiters.length === 0) return;
    if (presence.connections > 0) this.announcements.unwatch(presence.channel);
    presence.connections = 0;
    for (const { reject } of presence.waiters.splice(0)) reject(error);
  }

  private settle(presence: Presence): void {
    const { connections, recorded, waiters } = presence;
    if (connections === 0 || recorded === 'yes') for (const { resolve } of waiters.splice(0)) resolve();
    const key = keyOf(presence.channel, presence.userId);
    if (connections === 0 && recorded === 'no' && this.presences.get(key) === presence) this.presences.delete(key);
  }
}

/** No channel's name has a space. */
const keyOf = (channel: string, userId: string) => `${channel} ${userId}`;

/** As the database sorts them. Who has been deleted meanwhile is no member. */
const byUsername = (users: Iterable<PresentUser>): Member[] =>
  [...users]
    .filter((user): user is Member => user.username !== null)
    .sort((a, b) => (a.username.toLowerCase() < b.username.toLowerCase() ? -1 : 1));
