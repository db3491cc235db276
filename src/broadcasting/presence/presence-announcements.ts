import { setImmediate as nextTurn } from 'node:timers/promises';
import { Injectable, Logger } from '@nestjs/common';
import { DatabaseListener } from '../../database/database-listener.js';
import { LocalAudience } from '../delivery/local-audience.js';
import { NodeService } from './node.service.js';
import { Outage } from '../../common/logging/outage.js';
import { type InChannel, PresenceRepository, type PresentUser } from './presence.repository.js';
import { SingleFlight } from './single-flight.js';

interface PresenceAnnouncement {
  readonly type: 'joined' | 'left';
  readonly channel: string;
  readonly user: PresentUser;
}

interface Roster {
  watchers: number;
  /** Whom this node's readers take to be present; `null` until it has been read. */
  users: Map<string, PresentUser> | null;
}

const TOPIC = 'gatehouse_presence';
/** The second has certainly begun after the resync. */
const BEATS_BEFORE_COMPARISON = 2;

/**
 * Tells this node's readers of presence channels who joins and who leaves, as the database announces it. What was missed while nothing
 * could be heard is found by comparing with the database; what they have been told already is not told again.
 */
@Injectable()
export class PresenceAnnouncements {
  private readonly logger = new Logger(PresenceAnnouncements.name);
  private readonly rosters = new Map<string, Roster>();
  private readonly recordings = new Set<PresenceAnnouncement[]>();
  private readonly reads = new SingleFlight(() => this.read());
  private readonly outage = new Outage(this.logger, {
    begin: 'Who is present could not be read, trying again',
    end: 'Who is present can be read again',
  });
  private beatsToComparison = Infinity;

  constructor(
    private readonly repository: PresenceRepository,
    private readonly nodes: NodeService,
    private readonly audience: LocalAudience,
    listener: DatabaseListener,
  ) {
    listener.on(TOPIC, (payload) => this.hear(JSON.parse(payload) as PresenceAnnouncement));
    listener.onResync(() => (this.beatsToComparison = BEATS_BEFORE_COMPARISON));
    nodes.onBeat(() => {
      this.beatsToComparison--;
      this.readInBackground();
    });
  }

  /** One more on this node reads the channel. */
  watch(channel: string): void {
    const roster = this.rosters.get(channel) ?? { watchers: 0, users: null };
    roster.watchers++;
    this.rosters.set(channel, roster);
    if (!roster.users) this.readInBackground();
  }

  /**
   * Resolves when it has been read who is in the channel, so that nobody who joins from now on is taken for one who was there before. What
   * cannot be read now is compared later.
   */
  async settled(channel: string): Promise<void> {
    if (this.rosters.get(channel)?.users === null) await this.reads.run().catch(() => undefined);
  }

  unwatch(channel: string): void {
    const roster = this.rosters.get(channel);
    if (roster && --roster.watchers === 0) this.rosters.delete(channel);
  }

  /**
   * Who is present by an answer of the database and by what is heard while it is asked: as this node's readers have been told when this
   * resolves. The last thing heard of a user is always right, or will be followed by what is.
   */
  async presentIn(
    channels: readonly string[],
    ask: () => Promise<InChannel<PresentUser>[]>,
  ): Promise<Map<string, Map<string, PresentUser>>> {
    const present = new Map(channels.map((channel) => [channel, new Map<string, PresentUser>()]));
    const heard: PresenceAnnouncement[] = [];
    this.recordings.add(heard);
    try {
      for (const { channel, ...user } of await ask()) present.get(channel)?.set(user.id, user);
    } finally {
      this.recordings.delete(heard);
    }
    for (const { type, channel, user } of heard)
      if (type === 'joined') present.get(channel)?.set(user.id, user);
      else present.get(channel)?.delete(user.id);
    return present;
  }

  private hear(announcement: PresenceAnnouncement): void {
    for (const recording of this.recordings) recording.push(announcement);
    this.tell(announcement);
  }

  private tell({ type, channel, user }: PresenceAnnouncement): void {
    const roster = this.rosters.get(channel);
    // When a node stops, all of its users leave, and its readers too: they need not hear of each other.
    if (!roster || this.nodes.isStopped) return;
    const known = roster.users?.get(user.id);
    if (roster.users) {
      if ((type === 'joined') === (known !== undefined)) return;
      if (type === 'joined') roster.users.set(user.id, user);
      else roster.users.delete(user.id);
    }
    const shown = user.username === null && known ? known : user;
    this.audience.emit(
      channel,
      `presence:${type}`,
      { channel, user: shown },
      { part: 'presence', exceptUserId: user.id },
    );
  }

  private readInBackground(): void {
    this.reads.run().then(
      () => this.outage.end(),
      (error: unknown) => {
        if (!this.nodes.isStopped) this.outage.begin(error);
      },
    );
  }

  private async read(): Promise<void> {
    // Whoever comes in the same turn is read with the first.
    await nextTurn();
    // The database may have crashed: first every node puts back what is its own.
    const isComparing = this.beatsToComparison <= 0 && this.nodes.isSteady;
    const channels = [...this.rosters].filter(([, { users }]) => isComparing || !users).map(([channel]) => channel);
    if (channels.length > 0) {
      const present = await this.presentIn(channels, () => this.repository.listPresent(channels));
      for (const [channel, users] of present) this.take(channel, users);
    }
    if (isComparing && this.beatsToComparison <= 0) this.beatsToComparison = Infinity;
  }

  /** What differs from what the readers know was missed. */
  private take(channel: string, present: Map<string, PresentUser>): void {
    const roster = this.rosters.get(channel);
    if (!roster) return;
    if (!roster.users) {
      roster.users = present;
      return;
    }
    for (const user of [...roster.users.values()])
      if (!present.has(user.id)) this.tell({ type: 'left', channel, user });
    for (const user of present.values()) this.tell({ type: 'joined', channel, user });
  }
}
