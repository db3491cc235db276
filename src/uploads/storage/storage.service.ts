import { randomUUID } from 'node:crypto';
import { Injectable, type OnApplicationShutdown, type OnModuleInit } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import { DataSource } from 'typeorm';
import { withTimeout } from '../../common/limits/with-timeout.js';
import { BlobStorage, StorageUnusableError } from './blob-storage.js';

const PROBE_TIMEOUT_MS = 2_000;
const PROBE_REUSE_MS = 2_000;

/**
 * Opens the storage with the program and sees to it that database and storage belong together: both keep the same name. A volume that
 * is not mounted, or the database of another installation, would otherwise look like files without bytes, or bytes without files.
 */
@Injectable()
export class StorageService implements OnModuleInit, OnApplicationShutdown {
  private probed: { result: Promise<void>; at: number } | null = null;

  constructor(
    private readonly storage: BlobStorage,
    @InjectDataSource() private readonly database: DataSource,
  ) {}

  /** @throws StorageUnusableError */
  async onModuleInit(): Promise<void> {
    await this.storage.open();
    const expected = await this.nameInDatabase();
    const found = await this.storage.readIdentity();
    if (found === expected) return;
    if ((await this.hasFiles()) || (await this.hasBlobs())) throw new StorageUnusableError(strangers(expected, found));
    await this.storage.writeIdentity(expected);
  }

  async onApplicationShutdown(): Promise<void> {
    await this.storage.close();
  }

  /** Whether files can be stored and read now; one probe serves all who ask at about the same time. */
  probe(): Promise<void> {
    const now = Date.now();
    if (!this.probed || now - this.probed.at > PROBE_REUSE_MS) {
      const result = withTimeout(this.storage.probe(), PROBE_TIMEOUT_MS);
      result.catch(() => undefined);
      this.probed = { result, at: now };
    }
    return this.probed.result;
  }

  /** What all files take, and what is reserved for those that are coming. */
  async usedBytes(): Promise<number> {
    const [{ bytes }] = await this.database.query<{ bytes: string }[]>('SELECT bytes FROM storage_totals');
    return Number(bytes);
  }

  /** Of several nodes that start on a new database one names its storage. */
  private async nameInDatabase(): Promise<string> {
    await this.database.query('UPDATE storage_totals SET storage_id = $1 WHERE storage_id IS NULL', [randomUUID()]);
    const [{ storage_id }] = await this.database.query<{ storage_id: string }[]>(
      'SELECT storage_id FROM storage_totals',
    );
    return storage_id;
  }

  private async hasFiles(): Promise<boolean> {
    const [{ has_files }] = await this.database.query<{ has_files: boolean }[]>(
      `SELECT EXISTS (SELECT FROM uploads WHERE state = 'ready') AS has_files`,
    );
    return has_files;
  }

  private async hasBlobs(): Promise<boolean> {
    for await (const page of this.storage.list()) if (page.length > 0) return true;
    return false;
  }
}

function strangers(expected: string, found: string | null): string {
  const what =
    found === null
      ? 'The storage has no name, so it is empty or not the one of this database'
      : 'The storage holds the files of another database';
  return `${what}. Mount or name the right one (DATA_DIR, S3_BUCKET), or the database that belongs to it (DATABASE_URL); if they do belong together, write ${expected} into its storage-id`;
}
