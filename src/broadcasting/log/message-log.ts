import { Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import { DataSource } from 'typeorm';
import { ChannelMessageResponse } from '../dto/channel-message.response.js';
import { sized } from './message-size.js';

/** What of a channel is kept: `firstSequence` to `lastSequence`, nothing when the first is past the last. */
export interface ChannelHead {
  readonly epoch: string;
  readonly firstSequence: number;
  readonly lastSequence: number;
}

export interface HistoryPage extends ChannelHead {
  readonly messages: ChannelMessageResponse[];
}

/** Where a reader of a channel is. */
export interface Position {
  readonly channel: string;
  readonly sequence: number;
  readonly epoch: string;
}

interface HeadRow {
  epoch: string;
  first_sequence: string;
  last_sequence: string;
}

interface MessageRow {
  id: string;
  channel: string;
  sequence: string;
  epoch: string;
  event: string;
  data: string;
  sender_id: string | null;
  created_at: Date;
}

const MESSAGE = 'm.id, c.name AS channel, m.sequence, c.epoch, m.event, m.data, m.sender_id, m.created_at';
/** Stops after `bytes`, but not before the first message, so that a page of large messages fits into memory. */
const KEPT_AFTER = (position: string, limit: string, bytes: string) => `
  SELECT * FROM (
    SELECT *, sum(octet_length(data)) OVER (ORDER BY sequence) - octet_length(data) AS bytes_before FROM messages
    WHERE channel_id = c.id AND sequence > greatest(${position}, c.first_sequence - 1) ORDER BY sequence LIMIT ${limit}) page
  WHERE bytes_before < ${bytes}`;

/** What one look at the log brings at most, of each channel. */
export interface PageSize {
  readonly messages: number;
  readonly bytes: number;
}

/** Reads the log. Messages come in the form in which they are sent, so that nothing converts them on the way to many readers. */
@Injectable()
export class MessageLog {
  constructor(@InjectDataSource() private readonly database: DataSource) {}

  /** A channel that nobody has published to yet is empty. */
  async head(channel: string): Promise<ChannelHead> {
    const [row] = await this.database.query<HeadRow[]>(
      `SELECT coalesce(c.epoch, l.epoch) AS epoch, coalesce(c.first_sequence, 1) AS first_sequence, coalesce(c.last_sequence, 0) AS last_sequence
       FROM broadcast_log l LEFT JOIN channels c ON c.name = $1`,
      [channel],
    );
    return toHead(row);
  }

  /** What is kept after `after`, and what was kept at the same moment. */
  async read(channel: string, after: number, size: PageSize): Promise<HistoryPage> {
    const rows = await this.database.query<(HeadRow & (MessageRow | { id: null }))[]>(
      `SELECT coalesce(c.epoch, l.epoch) AS epoch, coalesce(c.first_sequence, 1) AS first_sequence, coalesce(c.last_sequence, 0) AS last_sequence,
              m.id, c.name AS channel, m.sequence, m.event, m.data, m.sender_id, m.created_at
       FROM broadcast_log l LEFT JOIN channels c ON c.name = $1 LEFT JOIN LATERAL (${KEPT_AFTER('$2', '$3', '$4')}) m ON true
       ORDER BY m.sequence`,
      [channel, after, size.messages, size.bytes],
    );
    return { ...toHead(rows[0]), messages: rows.filter((row) => row.id !== null).map(toMessage) };
  }

  /** What follows each position, in the order of each channel, and the last sequence of the channels that something follows in. */
  async readAfter(
    positions: readonly Position[],
    size: PageSize,
  ): Promise<{ messages: ChannelMessageResponse[]; lastSequences: Map<string, number> }> {
    const rows = await this.database.query<(MessageRow & { last_sequence: string })[]>(
      `SELECT ${MESSAGE}, c.last_sequence
       FROM unnest($1::text[], $2::bigint[]) p (channel, sequence) JOIN channels c ON c.name = p.channel
       CROSS JOIN LATERAL (${KEPT_AFTER('p.sequence', '$3', '$4')}) m ORDER BY m.channel_id, m.sequence`,
      [positions.map(({ channel }) => channel), positions.map(({ sequence }) => sequence), size.messages, size.bytes],
    );
    return {
      messages: rows.map(toMessage),
      lastSequences: new Map(rows.map((row) => [row.channel, Number(row.last_sequence)])),
    };
  }

  /** The channels of these that are elsewhere than the positions say. */
  async findMoved(positions: readonly Position[]): Promise<(ChannelHead & { channel: string })[]> {
    const rows = await this.database.query<(HeadRow & { channel: string })[]>(
      `SELECT c.name AS channel, c.epoch, c.first_sequence, c.last_sequence
       FROM unnest($1::text[], $2::bigint[], $3::uuid[]) p (channel, sequence, epoch) JOIN channels c ON c.name = p.channel
       WHERE c.last_sequence <> p.sequence OR c.epoch <> p.epoch`,
      [
        positions.map(({ channel }) => channel),
        positions.map(({ sequence }) => sequence),
        positions.map(({ epoch }) => epoch),
      ],
    );
    return rows.map((row) => ({ channel: row.channel, ...toHead(row) }));
  }
}

const toHead = (row: HeadRow): ChannelHead => ({
  epoch: row.epoch,
  firstSequence: Number(row.first_sequence),
  lastSequence: Number(row.last_sequence),
});

const toMessage = (row: MessageRow): ChannelMessageResponse =>
  sized(
    {
      id: row.id,
      channel: row.channel,
      sequence: Number(row.sequence),
      epoch: row.epoch,
      event: row.event,
      data: JSON.parse(row.data),
      sender_id: row.sender_id,
      created_at: row.created_at.toISOString(),
    },
    row.data,
  );
