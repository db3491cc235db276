import { Column, Entity, PrimaryColumn } from 'typeorm';
import { bigintAsNumber } from '../database/bigint-column.js';
import type { Account } from '../common/auth/principal.js';
import type { Role } from '../common/auth/role.js';

@Entity('users')
export class User implements Account {
  @PrimaryColumn('uuid')
  id!: string;

  @Column('varchar')
  email!: string;

  @Column('varchar')
  username!: string;

  @Column({ type: 'varchar', nullable: true })
  fullName!: string | null;

  @Column({ type: 'varchar', nullable: true })
  firstName!: string | null;

  @Column({ type: 'varchar', nullable: true })
  lastName!: string | null;

  @Column({ type: 'varchar', nullable: true })
  bio!: string | null;

  @Column({ type: 'varchar', nullable: true })
  phoneNumber!: string | null;

  @Column('varchar')
  role!: Role;

  @Column('boolean')
  isActive!: boolean;

  @Column('boolean')
  isVerified!: boolean;

  @Column('boolean')
  hasSecondFactor!: boolean;

  @Column({ type: 'varchar', select: false })
  passwordHash!: string;

  @Column({ type: 'integer', insert: false, update: false })
  totalUploads!: number;

  @Column({ type: 'bigint', insert: false, update: false, transformer: bigintAsNumber })
  totalStorageUsed!: number;

  @Column({ type: 'timestamptz', precision: 3, nullable: true })
  lastLogin!: Date | null;

  @Column({ type: 'timestamptz', precision: 3 })
  createdAt!: Date;

  @Column({ type: 'timestamptz', precision: 3 })
  updatedAt!: Date;
}
