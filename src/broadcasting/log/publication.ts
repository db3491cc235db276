import type { EntityManager } from 'typeorm';
import type { DatabaseCall } from '../../common/events/domain-events.js';
import type { ChannelMessageResponse } from '../dto/channel-message.response.js';
import { sized } from './message-size.js';

/** A message before it has its place in the log. */
export interface Publication {
  readonly id: string;
  readonly channel: string;
  readonly event: string;
  /** JSON. */
  readonly data: string;
  /** `null`: one of Gatehouse's own events. */
  readonly senderId: string | null;
  /** Of a sender in a channel; what was published with it before is answered again. */
  readonly idempotencyKey: string | null;
}

export interface Published {
  /** False: this is what was published with the key before. */
  readonly isNew: boolean;
  readonly message: ChannelMessageResponse;
  /** Of what the channel keeps. */
  readonly firstSequence: number;
}

export interface PublishedRow {
  ordinal: number;
  is_new: boolean;
  id: string;
  sequence: string;
  epoch: string;
  first_sequence: string;
  event: string | null;
  data: string | null;
  created_at: Date;
}

export const PUBLISH = 'SELECT * FROM publish_messages($1, $2, $3, $4, $5, $6)';

export const publishParameters = (publications: readonly Publication[]): unknown[] => [
  publications.map(({ channel }) => channel),
  publications.map(({ id }) => id),
  publications.map(({ event }) => event),
  publications.map(({ data }) => data),
  publications.map(({ senderId }) => senderId),
  publications.map(({ idempotencyKey }) => idempotencyKey),
];

/** For a feature's own statement. */
export const publishCall = (publication: Publication): DatabaseCall => ({
  name: 'publish_messages',
  values: publishParameters([publication]),
});

/** Within a feature's own transaction, as its last statement: it takes the lock of the channel until the commit. */
export async function publishWithin(tx: EntityManager, publication: Publication): Promise<void> {
  await tx.query(PUBLISH, publishParameters([publication]));
}

/** The results by the order of the publications; `undefined` where there is no such channel. */
export function toPublished(publications: readonly Publication[], rows: PublishedRow[]): (Published | undefined)[] {
  const results = Array.from<Published | undefined>({ length: publications.length });
  for (const row of rows) {
    const { channel, event, data, senderId } = publications[row.ordinal - 1];
    const message = {
      id: row.id,
      channel,
      sequence: Number(row.sequence),
      epoch: row.epoch,
      event: row.event ?? event,
      data: JSON.parse(row.data ?? data),
      sender_id: senderId,
      created_at: row.created_at.toISOString(),
    };
    results[row.ordinal - 1] = {
      isNew: row.is_new,
      firstSequence: Number(row.first_sequence),
      message: sized(message, row.data ?? data),
    };
  }
  return results;
}
