import { Column, Entity, ForeignKey, PrimaryColumn } from 'typeorm';
import { bigintAsNumber } from '../database/bigint-column.js';

/** A file that is whole and durable. A pending upload has a row, too, but is nobody's file yet: see `ReservationsRepository`. */
@Entity('uploads')
export class StoredFile {
  /** Also the key of its blob. */
  @PrimaryColumn('uuid')
  id!: string;

  @Column('uuid')
  @ForeignKey('users')
  ownerId!: string;

  @Column('varchar')
  state!: 'pending' | 'ready';

  /** What the owner calls it. */
  @Column('varchar')
  filename!: string;

  /** What it was called when it came, and is called when it is downloaded. */
  @Column('varchar')
  originalFilename!: string;

  @Column('varchar')
  contentType!: string;

  @Column({ type: 'bigint', transformer: bigintAsNumber })
  fileSize!: number;

  @Column('bytea')
  sha256!: Buffer;

  @Column({ type: 'varchar', nullable: true })
  description!: string | null;

  @Column({ type: 'timestamptz', precision: 3 })
  uploadDate!: Date;

  @Column({ type: 'timestamptz', precision: 3 })
  updatedAt!: Date;
}

/** The hash as the API tells it. */
export const fileHash = ({ sha256 }: Pick<StoredFile, 'sha256'>): string => `sha256:${sha256.toString('hex')}`;
