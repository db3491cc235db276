import type { AppConfig } from '../../config/app-config.js';
import type { HashWorkers } from '../hashing/hash-workers.js';
import type { BlobStorage } from './blob-storage.js';
import { LocalStorage } from './local-storage.js';

/** The storage of the configuration, not opened. The SDK of S3 takes a while to load, and most installations do without. */
export async function createStorage(
  { uploads }: AppConfig,
  hashes: HashWorkers,
  options: { waitMs?: number } = {},
): Promise<BlobStorage> {
  if (!uploads.s3) return new LocalStorage(uploads.directory, hashes);
  const { S3Storage } = await import('./s3-storage.js');
  return new S3Storage(uploads.s3, uploads.directory, hashes, { maxFileBytes: uploads.maxFileBytes, ...options });
}
