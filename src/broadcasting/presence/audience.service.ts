import { Injectable, Logger } from '@nestjs/common';
import { parseChannelName } from '../channels/channel-name.js';
import { AudiencesRepository, type ChannelCount } from './audiences.repository.js';
import { NodeService } from './node.service.js';
import { NodesRepository } from './nodes.repository.js';
import { Outage } from '../../common/logging/outage.js';
import { SingleFlight } from './single-flight.js';

export interface BroadcastingStats {
  connections: number;
  nodes: { id: string; name: string; connections: number; started_at: string }[];
  /** The fullest. */
  channels: ChannelCount[];
  occupied_channels: number;
}

const WRITE_MS = 1_000;

/** How many subscribers each channel has, on this node and on all. What this node has is known to the others within a second. */
@Injectable()
export class AudienceService {
  private readonly logger = new Logger(AudienceService.name);
  private readonly counts = new Map<string, number>();
  private readonly writes = new SingleFlight(() => this.write());
  private readonly outage = new Outage(this.logger, {
    begin: 'Subscriber counts could not be written, trying again',
    end: 'Subscriber counts are written again',
  });
  private dirty = new Set<string>();
  private timer: NodeJS.Timeout | null = null;

  constructor(
    private readonly nodes: NodeService,
    private readonly nodesRepository: NodesRepository,
    private readonly repository: AudiencesRepository,
  ) {
    nodes.onRegistered(() => {
      for (const channel of this.counts.keys()) this.writeLater(channel);
    });
  }

  /** What the channel has on this node from now on. */
  set(channel: string, subscribers: number): void {
    if (subscribers > 0) this.counts.set(channel, subscribers);
    else this.counts.delete(channel);
    this.writeLater(channel);
  }

  /** Writes at once what waits to be written: this node's numbers in answers are exact after it. */
  flush(): Promise<void> {
    return this.writes.run();
  }

  /** Over all nodes that are alive. A channel without subscribers is not in it. */
  async countsOf(channels: readonly string[]): Promise<Map<string, number>> {
    const counts = channels.length > 0 ? await this.repository.listCounts(channels) : [];
    return new Map(counts.map(({ channel, subscribers }) => [channel, subscribers]));
  }

  /** Over all nodes that are alive. */
  async stats(topChannels: number): Promise<BroadcastingStats> {
    const [live, channels, occupied] = await Promise.all([
      this.nodesRepository.listLive(),
      this.repository.listFullest(topChannels),
      this.repository.countOccupied(),
    ]);
    const nodes = live.map(({ id, name, connections, startedAt }) => ({
      id,
      name,
      // Its row is as old as the last beat.
      connections: id === this.nodes.id ? this.nodes.connections : connections,
      started_at: startedAt.toISOString(),
    }));
    const connections = nodes.reduce((sum, node) => sum + node.connections, 0);
    return { connections, nodes, channels, occupied_channels: occupied };
  }

  private writeLater(channel?: string): void {
    if (channel !== undefined) this.dirty.add(channel);
    this.timer ??= setTimeout(() => this.writeInBackground(), WRITE_MS).unref();
  }

  private writeInBackground(): void {
    this.timer = null;
    this.writes.run().then(
      () => this.outage.end(),
      (error: unknown) => {
        this.outage.begin(error);
        this.writeLater();
      },
    );
  }

  private async write(): Promise<void> {
    if (this.dirty.size === 0 || this.nodes.isStopped) return;
    await this.nodes.ready();
    if (await this.writeDirty()) return;
    await this.nodes.renew();
    if (!(await this.writeDirty())) throw new Error('this node has no lease');
  }

  /** `false`, and all is still to be written, when this node has no lease. */
  private async writeDirty(): Promise<boolean> {
    const batch = this.dirty;
    this.dirty = new Set();
    let isWritten = false;
    try {
      const audiences = [...batch].map((channel) => ({
        channel,
        kind: parseChannelName(channel)?.kind ?? ('plain' as const),
        subscribers: this.counts.get(channel) ?? 0,
      }));
      isWritten = await this.repository.write(this.nodes.id, audiences);
    } finally {
      if (!isWritten) for (const channel of batch) this.dirty.add(channel);
    }
    return isWritten;
  }
}
