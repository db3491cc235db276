import { Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import { DataSource } from 'typeorm';
import type { ChannelKind } from '../channels/channel-name.js';

export interface Audience {
  readonly channel: string;
  readonly kind: ChannelKind;
  readonly subscribers: number;
}

export interface ChannelCount {
  readonly channel: string;
  readonly subscribers: number;
}

const LIVE = 'channel_audiences a JOIN broadcast_nodes n ON n.id = a.node_id AND n.lease_until > now()';

/** Subscribers by node and channel. */
@Injectable()
export class AudiencesRepository {
  constructor(@InjectDataSource() private readonly database: DataSource) {}

  /** `false`, and nothing is written, when the node has no lease. An audience of 0 is removed. */
  async write(nodeId: string, audiences: readonly Audience[]): Promise<boolean> {
    const [{ has_lease }] = await this.database.query<{ has_lease: boolean }[]>(
      `WITH node AS MATERIALIZED (SELECT id FROM broadcast_nodes WHERE id = $1 AND lease_until > now() FOR KEY SHARE),
       input AS (SELECT * FROM unnest($2::text[], $3::text[], $4::integer[]) AS i (channel, kind, subscribers)),
       removed AS (
         DELETE FROM channel_audiences a USING node n, input i WHERE a.node_id = n.id AND a.channel = i.channel AND i.subscribers = 0),
       written AS (
         INSERT INTO channel_audiences AS a (node_id, channel, kind, subscribers)
         SELECT n.id, i.channel, i.kind, i.subscribers FROM node n, input i WHERE i.subscribers > 0
         ON CONFLICT (channel, node_id) DO UPDATE SET subscribers = excluded.subscribers)
       SELECT EXISTS (SELECT FROM node) AS has_lease, set_config('synchronous_commit', 'off', true)`,
      [
        nodeId,
        audiences.map(({ channel }) => channel),
        audiences.map(({ kind }) => kind),
        audiences.map(({ subscribers }) => subscribers),
      ],
    );
    return has_lease;
  }

  listCounts(channels: readonly string[]): Promise<ChannelCount[]> {
    return this.database.query<ChannelCount[]>(
      `SELECT a.channel, sum(a.subscribers)::integer AS subscribers FROM ${LIVE} WHERE a.channel = ANY ($1) GROUP BY a.channel`,
      [channels],
    );
  }

  listFullest(max: number): Promise<ChannelCount[]> {
    return this.database.query<ChannelCount[]>(
      `SELECT a.channel, sum(a.subscribers)::integer AS subscribers FROM ${LIVE}
       GROUP BY a.channel ORDER BY sum(a.subscribers) DESC, a.channel LIMIT $1`,
      [max],
    );
  }

  async countOccupied(): Promise<number> {
    const [{ count }] = await this.database.query<{ count: number }[]>(
      `SELECT count(DISTINCT a.channel)::integer AS count FROM ${LIVE}`,
    );
    return count;
  }
}
