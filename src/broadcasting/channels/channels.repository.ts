import { Injectable } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import { type EntityManager, Repository } from 'typeorm';
import type { Role } from '../../common/auth/role.js';
import type { PageWindow } from '../../common/http/page.js';
import { type ChannelName, roleChannel, userChannel } from './channel-name.js';
import { Channel, type PublishPolicy } from './channel.entity.js';

export interface ChannelSettings {
  readonly publishPolicy?: PublishPolicy;
  readonly retentionSeconds?: number | null;
  readonly retentionCount?: number | null;
}

/** A user in a private-<name> channel. */
export interface Membership {
  readonly userId: string;
  readonly channel: string;
}

/** Whose list of channels. */
export interface Reader {
  readonly id: string;
  readonly role: Role;
}

/** More than any channel has of messages. */
const EPOCH_LEAP = 1_000_000_000;

@Injectable()
export class ChannelsRepository {
  constructor(@InjectRepository(Channel) private readonly rows: Repository<Channel>) {}

  find(name: string): Promise<Channel | null> {
    return this.rows.findOneBy({ name });
  }

  async findPublishPolicy(name: string): Promise<PublishPolicy | null> {
    const channel = await this.rows.findOne({ where: { name }, select: { id: true, publishPolicy: true } });
    return channel?.publishPolicy ?? null;
  }

  /** The epoch that a channel takes when it comes into being. */
  async nextEpoch(): Promise<string> {
    const [{ epoch }] = await this.rows.query<{ epoch: string }[]>('SELECT epoch FROM broadcast_log');
    return epoch;
  }

  async epochOf(name: string): Promise<string> {
    const channel = await this.rows.findOne({ where: { name }, select: { id: true, epoch: true } });
    return channel?.epoch ?? this.nextEpoch();
  }

  /** Sequences leap besides, so that a position of before is recognised by those, too, who do not tell its epoch. */
  async renewEpochs(): Promise<void> {
    await this.rows.manager.transaction(async (tx) => {
      await tx.query('SET LOCAL statement_timeout = 0');
      await tx.query('UPDATE broadcast_log SET epoch = gen_random_uuid()');
      await tx.query(
        `UPDATE channels SET epoch = gen_random_uuid(), first_sequence = first_sequence + $1, last_sequence = last_sequence + $1`,
        [EPOCH_LEAP],
      );
      await tx.query('UPDATE messages SET sequence = sequence + $1', [EPOCH_LEAP]);
    });
  }

  async isMember(name: string, userId: string): Promise<boolean> {
    const found = await this.rows.query<unknown[]>(
      'SELECT 1 FROM channel_members m JOIN channels c ON c.id = m.channel_id WHERE c.name = $1 AND m.user_id = $2',
      [name, userId],
    );
    return found.length > 0;
  }

  /** Those of the memberships that there are. */
  findMemberships(wanted: readonly Membership[]): Promise<Membership[]> {
    return this.rows.query<Membership[]>(
      `SELECT w.user_id AS "userId", w.channel FROM unnest($1::uuid[], $2::text[]) w (user_id, channel)
       JOIN channels c ON c.name = w.channel JOIN channel_members m ON m.channel_id = c.id AND m.user_id = w.user_id`,
      [wanted.map(({ userId }) => userId), wanted.map(({ channel }) => channel)],
    );
  }

  /** Makes the channel if need be; `null` for the channel of a user who does not exist. */
  async configure({ name }: ChannelName, settings: ChannelSettings): Promise<Channel | null> {
    await this.rows.query('SELECT create_channels(ARRAY[$1])', [name]);
    const given = Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== undefined));
    if (Object.keys(given).length > 0) await this.rows.update({ name }, given);
    return this.find(name);
  }

  within(tx: EntityManager): ChannelsRepository {
    return new ChannelsRepository(tx.getRepository(Channel));
  }

  transaction<T>(work: (channels: ChannelsRepository, tx: EntityManager) => Promise<T>): Promise<T> {
    return this.rows.manager.transaction((tx) => work(this.within(tx), tx));
  }

  /** Does nothing to a channel that there is. */
  async create(name: string): Promise<void> {
    await this.rows.query('SELECT create_channels(ARRAY[$1])', [name]);
  }

  /** To a channel that there is. */
  async addMember(name: string, userId: string): Promise<'added' | 'present' | 'no_user'> {
    const [{ known, added }] = await this.rows.query<{ known: boolean; added: boolean }[]>(
      `WITH person AS (SELECT id FROM users WHERE id = $2 FOR KEY SHARE),
            added AS (
              INSERT INTO channel_members (channel_id, user_id, created_at)
              SELECT c.id, p.id, now() FROM channels c, person p WHERE c.name = $1
              ON CONFLICT DO NOTHING RETURNING user_id)
       SELECT EXISTS (SELECT FROM person) AS known, EXISTS (SELECT FROM added) AS added`,
      [name, userId],
    );
    if (!known) return 'no_user';
    return added ? 'added' : 'present';
  }

  /** Whether the user was a member. */
  async removeMember(name: string, userId: string): Promise<boolean> {
    const [, affected] = await this.rows.query<[unknown, number]>(
      'DELETE FROM channel_members m USING channels c WHERE c.id = m.channel_id AND c.name = $1 AND m.user_id = $2',
      [name, userId],
    );
    return affected > 0;
  }

  async listMembers(name: string, { skip, limit }: PageWindow): Promise<{ ids: string[]; total: number }> {
    const [{ ids, total }] = await this.rows.query<{ ids: string[]; total: string }[]>(
      `WITH channel AS (SELECT id FROM channels WHERE name = $1)
       SELECT (SELECT count(*) FROM channel_members WHERE channel_id = (SELECT id FROM channel)) AS total,
              ARRAY(SELECT user_id FROM channel_members WHERE channel_id = (SELECT id FROM channel) ORDER BY user_id OFFSET $2 LIMIT $3) AS ids`,
      [name, skip, limit],
    );
    return { ids, total: Number(total) };
  }

  /**
   * The channels that the reader may read, by name: those that have been used, and plain and presence channels that somebody is
   * subscribed to. Every part comes from an index in the order of names; totals are kept counts where channels may be many.
   */
  async listReadable(reader: Reader, { skip, limit }: PageWindow): Promise<{ names: string[]; total: number }> {
    const isAdmin = reader.role === 'admin';
    const open = isAdmin ? ['plain', 'presence', 'private', 'private-role'] : ['plain', 'presence'];
    const own = isAdmin ? [userChannel(reader.id)] : [userChannel(reader.id), roleChannel(reader.role)];
    const occupied = `
      SELECT DISTINCT a.channel FROM channel_audiences a WHERE a.kind IN ('plain', 'presence')
        AND NOT EXISTS (SELECT 1 FROM channels c WHERE c.name = a.channel)`;
    const memberOf = `
      SELECT c.name FROM channel_members m JOIN channels c ON c.id = m.channel_id WHERE m.user_id = $3 AND NOT $4::boolean`;
    const usedOf = (kind: string) =>
      `(SELECT name FROM channels WHERE kind = '${kind}' ORDER BY name LIMIT $5::bigint + $6::bigint)`;
    const [{ names, total }] = await this.rows.query<{ names: string[]; total: string }[]>(
      `WITH occupied AS MATERIALIZED (${occupied}), apart AS MATERIALIZED (
         SELECT channel AS name FROM occupied UNION ALL SELECT name FROM channels WHERE name = ANY ($1) UNION ALL ${memberOf})
       SELECT (SELECT coalesce(sum(channels), 0) FROM channel_counts WHERE kind = ANY ($2)) + (SELECT count(*) FROM apart) AS total,
              ARRAY(SELECT name FROM (${open.map(usedOf).join(' UNION ALL ')} UNION ALL SELECT name FROM apart) n
                    ORDER BY name OFFSET $5 LIMIT $6) AS names`,
      [own, open, reader.id, isAdmin, skip, limit],
    );
    return { names, total: Number(total) };
  }

  /** Those of the names that have been used. */
  findAll(names: readonly string[]): Promise<Channel[]> {
    return this.rows.createQueryBuilder('c').where('c.name = ANY (:names)', { names }).getMany();
  }
}
