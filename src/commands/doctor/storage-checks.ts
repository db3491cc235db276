import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, statfs } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { DataSource } from 'typeorm';
import { v7 as uuidv7 } from 'uuid';
import type { AppConfig } from '../../config/app-config.js';
import { HashWorkers } from '../../uploads/hashing/hash-workers.js';
import type { BlobStorage } from '../../uploads/storage/blob-storage.js';
import { createStorage } from '../../uploads/storage/create-storage.js';
import { type Finding, ok, problem, reasonOf, warning } from './check.js';
import type { DatabaseLook } from './database-look.js';
import { lookAtFolder } from './places.js';

const MIB = 1024 * 1024;
const FREE_PROBLEM_BYTES = 256 * MIB;
const FREE_WARNING_BYTES = 2048 * MIB;
const PROBE_BYTES = 4096;

/** Whether a file can be stored, read and removed, by doing it; and whether the storage is the one of the database. */
export async function checkStorage(config: AppConfig, look: DatabaseLook): Promise<Finding> {
  const { s3, directory } = config.uploads;
  const place = s3 ? `S3 bucket ${s3.bucket}` : directory;
  const folder = await lookAtFolder(directory);
  if (folder.fault) return problem(`${place}: ${folder.fault}`, adviceFor(config));
  if (!s3 && !folder.isThere) return ok(`none yet: the first start makes ${directory}`);
  const hashes = new HashWorkers();
  const spools = s3 ? await mkdtemp(join(tmpdir(), 'gatehouse-doctor-')) : null;
  const storage = await createStorage(withSpools(config, spools), hashes, { waitMs: 0 });
  try {
    await storage.open();
    await writeAndRemove(storage);
    const isStranger = look.kind === 'reached' && (await isOfAnother(storage, look.database));
    if (isStranger)
      return problem(
        `${place} is not the storage of this database`,
        'Mount or name the right one (DATA_DIR, S3_BUCKET), or the database that belongs to it (DATABASE_URL).',
      );
    return ok(`${place}: a file was written, read and removed`);
  } catch (error) {
    return problem(`${place}: ${reasonOf(error)}`, adviceFor(config));
  } finally {
    await storage.close();
    await hashes.onApplicationShutdown();
    if (spools) await rm(spools, { recursive: true, force: true });
  }
}

/** What is on its way to S3 lies in a folder that a running server takes for its own. */
const withSpools = (config: AppConfig, directory: string | null): AppConfig =>
  directory ? { ...config, uploads: { ...config.uploads, directory } } : config;

const adviceFor = ({ uploads }: AppConfig) =>
  uploads.s3
    ? 'Check the S3_ variables, that the bucket exists, and that the key may read, write and remove in it.'
    : 'Check that DATA_DIR is on a disk that is mounted for writing, and belongs to the user that the server runs as.';

/** Should this be cut short, the server takes the left-over for an upload that was cut short, and removes it. */
async function writeAndRemove(storage: BlobStorage): Promise<void> {
  const key = uuidv7();
  const bytes = randomBytes(PROBE_BYTES);
  const writer = await storage.write(key);
  try {
    await writer.write([bytes]);
    await writer.publish();
    const read = Buffer.concat((await (await storage.read(key)).toArray()) as Buffer[]);
    if (!read.equals(bytes)) throw new Error('what was read is not what was written');
  } finally {
    await writer.close();
    await storage.remove([key]);
  }
}

/** A database that has not been started with yet names no storage. */
async function isOfAnother(storage: BlobStorage, database: DataSource): Promise<boolean> {
  const [{ has_table }] = await database.query<{ has_table: boolean }[]>(
    `SELECT to_regclass('storage_totals') IS NOT NULL AS has_table`,
  );
  if (!has_table) return false;
  const [row] = await database.query<{ storage_id: string | null }[]>('SELECT storage_id FROM storage_totals');
  const expected = row?.storage_id ?? null;
  return expected !== null && (await storage.readIdentity()) !== expected;
}

/** Of the disk that DATA_DIR is on: embedded database, files, or parts of files on their way. */
export async function checkDisk({ dataDir }: AppConfig): Promise<Finding> {
  const { fault } = await lookAtFolder(dataDir);
  if (fault)
    return problem(`DATA_DIR: ${fault}`, 'Name another in DATA_DIR, or let this one belong to the user of the server.');
  const { bsize, bavail } = await statOfExisting(dataDir);
  const free = Number(bsize) * Number(bavail);
  const summary = `${readable(free)} free for ${dataDir}`;
  const advice = 'Make room: without it uploads are refused, and an embedded database stops.';
  if (free < FREE_PROBLEM_BYTES) return problem(summary, advice);
  return free < FREE_WARNING_BYTES ? warning(summary, advice) : ok(summary);
}

async function statOfExisting(path: string): ReturnType<typeof statfs> {
  try {
    return await statfs(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || dirname(path) === path) throw error;
    return statOfExisting(dirname(path));
  }
}

const readable = (bytes: number) =>
  bytes >= 1024 * MIB ? `${(bytes / 1024 / MIB).toFixed(1)} GiB` : `${Math.floor(bytes / MIB)} MiB`;
