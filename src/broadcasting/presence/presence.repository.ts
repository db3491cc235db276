import { Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import { DataSource } from 'typeorm';

/** A user as presence shows one. */
export interface Member {
  readonly id: string;
  readonly username: string;
  readonly full_name: string | null;
}

/** Of a user who was deleted while present only the id may be known. */
export interface PresentUser {
  readonly id: string;
  readonly username: string | null;
  readonly full_name: string | null;
}

export interface PresenceKey {
  readonly channel: string;
  readonly userId: string;
}

export type InChannel<User> = User & { readonly channel: string };

const USER = 'u.username, display_name(u.full_name, u.first_name, u.last_name) AS full_name';
const LIVE_NODES = 'ARRAY(SELECT id FROM broadcast_nodes WHERE lease_until > now())';

/** Users in presence channels. The database announces who joins and who leaves, in the commit that makes it so. */
@Injectable()
export class PresenceRepository {
  constructor(@InjectDataSource() private readonly database: DataSource) {}

  /**
   * The users are on this node from now on; those who were nowhere have joined. Idempotent. A user who does not exist is left out.
   * `false`, and nothing is written, when the node has no lease.
   */
  async enter(nodeId: string, keys: readonly PresenceKey[]): Promise<boolean> {
    const [{ has_lease }] = await this.database.query<{ has_lease: boolean }[]>(
      `WITH node AS MATERIALIZED (SELECT id FROM broadcast_nodes WHERE id = $1 AND lease_until > now() FOR KEY SHARE),
       entered AS (
         INSERT INTO presence_members AS p (channel, user_id, nodes)
         SELECT i.channel, i.user_id, ARRAY[n.id]
         FROM node n, unnest($2::text[], $3::uuid[]) AS i (channel, user_id) JOIN users u ON u.id = i.user_id
         ORDER BY i.channel COLLATE "C", i.user_id
         ON CONFLICT (channel, user_id) DO UPDATE SET nodes = p.nodes || excluded.nodes WHERE NOT p.nodes @> excluded.nodes)
       SELECT EXISTS (SELECT FROM node) AS has_lease, set_config('synchronous_commit', 'off', true)`,
      [nodeId, ...columnsOf(keys)],
    );
    return has_lease;
  }

  /** The users are not on this node any more; those who are on no other have left. Idempotent. */
  async leave(nodeId: string, keys: readonly PresenceKey[]): Promise<void> {
    await this.database.query('SELECT leave_presences(ARRAY[$1::uuid], $2::text[], $3::uuid[])', [
      nodeId,
      ...columnsOf(keys),
    ]);
  }

  /** Users on nodes that are alive: of each channel the first `limit` by username. */
  listMembers(channels: readonly string[], limit: number | null): Promise<InChannel<Member>[]> {
    return this.database.query<InChannel<Member>[]>(
      `SELECT c.channel, m.id, m.username, m.full_name
       FROM unnest($1::text[]) AS c (channel) CROSS JOIN LATERAL (
         SELECT u.id, ${USER} FROM presence_members p JOIN users u ON u.id = p.user_id
         WHERE p.channel = c.channel AND p.nodes && ${LIVE_NODES} ORDER BY lower(u.username) COLLATE "C" LIMIT $2) m`,
      [channels, limit],
    );
  }

  async count(channel: string): Promise<number> {
    const [{ count }] = await this.database.query<{ count: number }[]>(
      `SELECT count(*)::integer AS count FROM presence_members p JOIN users u ON u.id = p.user_id
       WHERE p.channel = $1 AND p.nodes && ${LIVE_NODES}`,
      [channel],
    );
    return count;
  }

  /** Whose end has not been announced, on whatever node. */
  listPresent(channels: readonly string[]): Promise<InChannel<PresentUser>[]> {
    return this.database.query<InChannel<PresentUser>[]>(
      `SELECT p.channel, p.user_id AS id, ${USER} FROM presence_members p LEFT JOIN users u ON u.id = p.user_id WHERE p.channel = ANY ($1)`,
      [channels],
    );
  }
}

const columnsOf = (keys: readonly PresenceKey[]) => [
  keys.map(({ channel }) => channel),
  keys.map(({ userId }) => userId),
];
