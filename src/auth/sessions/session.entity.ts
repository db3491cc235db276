import { Column, Entity, ForeignKey, PrimaryColumn } from 'typeorm';

/** A signed-in device. The row's being there is the session's being alive. */
@Entity('sessions')
export class Session {
  @PrimaryColumn('uuid')
  id!: string;

  @ForeignKey('User', { onDelete: 'CASCADE', name: 'FK_sessions_user_id' })
  @Column('uuid')
  userId!: string;

  /** The number of the refresh token that is current. */
  @Column('integer')
  refreshCounter!: number;

  /** When the current refresh token took the place of the one before. */
  @Column({ type: 'timestamptz', precision: 3 })
  rotatedAt!: Date;

  @Column({ type: 'timestamptz', precision: 3 })
  createdAt!: Date;

  @Column({ type: 'timestamptz', precision: 3 })
  lastUsedAt!: Date;

  /** Unless it is refreshed before. */
  @Column({ type: 'timestamptz', precision: 3 })
  expiresAt!: Date;

  /** However often it is refreshed. */
  @Column({ type: 'timestamptz', precision: 3 })
  endsAt!: Date;

  @Column('varchar')
  ipAddress!: string;

  @Column({ type: 'varchar', nullable: true })
  userAgent!: string | null;
}
