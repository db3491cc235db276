import { Column, Entity, PrimaryColumn } from 'typeorm';
import { bigintAsNumber } from '../../database/bigint-column.js';
import type { ChannelKind } from './channel-name.js';

export const PUBLISH_POLICIES = ['admins', 'members'] as const;
/** `members`: whoever may read the channel. Admins publish anywhere. */
export type PublishPolicy = (typeof PUBLISH_POLICIES)[number];

/** A channel that has had a message, a setting or a member. */
@Entity('channels')
export class Channel {
  @PrimaryColumn({ type: 'bigint', generated: 'identity' })
  id!: string;

  @Column('varchar')
  name!: string;

  @Column('varchar')
  kind!: ChannelKind;

  @Column('uuid')
  epoch!: string;

  @Column({ type: 'bigint', transformer: bigintAsNumber })
  lastSequence!: number;

  @Column({ type: 'bigint', transformer: bigintAsNumber })
  firstSequence!: number;

  @Column('varchar')
  publishPolicy!: PublishPolicy;

  /** `null`: as `BROADCAST_RETENTION_SECONDS` says. */
  @Column({ type: 'integer', nullable: true })
  retentionSeconds!: number | null;

  /** `null`: as `BROADCAST_RETENTION_COUNT` says. */
  @Column({ type: 'integer', nullable: true })
  retentionCount!: number | null;

  @Column({ type: 'timestamptz', precision: 3 })
  createdAt!: Date;
}
