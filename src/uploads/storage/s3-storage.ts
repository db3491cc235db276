import type { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import type { S3Config } from '../../config/app-config.js';
import type { HashWorkers } from '../hashing/hash-workers.js';
import {
  type BlobEntry,
  BlobMissingError,
  BlobStorage,
  type BlobWriter,
  type ByteRange,
  type ResumePoint,
  StorageUnusableError,
} from './blob-storage.js';
import { PublishedWriter } from './published-writer.js';
import {
  abortUploads,
  helpersOf,
  IDENTITY,
  keyOfHelper,
  keyOfPublished,
  keyOfUpload,
  namesOf,
  PUBLISHED,
  UNFINISHED,
} from './s3-blob.js';
import { S3Bucket } from './s3-bucket.js';
import { isTemporary, reasonOf, statusOf } from './s3-errors.js';
import { S3Writer } from './s3-writer.js';
import { SpoolFile } from './spool-file.js';

export interface S3StorageOptions {
  /** The largest blob there will be; parts are made large enough for it. */
  readonly maxFileBytes?: number;
  /** How long `open()` waits for a service that does not answer. */
  readonly waitMs?: number;
}

const MIB = 1024 * 1024;
const PART_BYTES = 8 * MIB;
/** S3's own limit for one object. */
const PARTS_MAX = 10_000;
const WAIT_MS = 30_000;
const RETRY_MS = 500;
const PROBE_MS = 2_000;
const ASKED_AT_ONCE = 20;

/**
 * Blobs as objects of one bucket. What is unfinished are parts of multipart uploads, which nobody can read, and the objects that resuming
 * them needs; a bucket's rule for incomplete uploads must leave them in peace for as long as uploads may be resumed.
 */
export class S3Storage extends BlobStorage {
  private readonly bucket: S3Bucket;
  private readonly partBytes: number;
  private readonly waitMs: number;

  constructor(
    private readonly config: S3Config,
    private readonly spoolDirectory: string,
    private readonly hashes: HashWorkers,
    { maxFileBytes = 0, waitMs = WAIT_MS }: S3StorageOptions = {},
  ) {
    super();
    this.bucket = new S3Bucket(config);
    this.partBytes = Math.max(PART_BYTES, Math.ceil(maxFileBytes / PARTS_MAX / MIB) * MIB);
    this.waitMs = waitMs;
  }

  async open(): Promise<void> {
    try {
      await SpoolFile.prepare(this.spoolDirectory);
    } catch (error) {
      throw new StorageUnusableError(
        `DATA_DIR: the folder ${this.spoolDirectory} for bytes on their way to S3 cannot be written: ${reasonOf(error)}`,
        { cause: error },
      );
    }
    await this.reachBucket();
  }

  async close(): Promise<void> {
    this.bucket.close();
  }

  async write(key: string, resume?: ResumePoint): Promise<BlobWriter> {
    const { bucket, spoolDirectory, partBytes } = this;
    const context = { bucket, key, spoolDirectory, partBytes, hash: this.hashes.start() };
    if (!resume || resume.offset === 0) return S3Writer.start(context, resume !== undefined);
    return (await S3Writer.resume(context, resume)) ?? this.resumePublished(key, resume);
  }

  async read(key: string, range?: ByteRange): Promise<Readable> {
    const stream = await this.bucket.get(namesOf(key).published, range);
    if (!stream) throw new BlobMissingError(key);
    return stream;
  }

  stat(key: string): Promise<{ size: number; modifiedAt: Date } | null> {
    return this.bucket.stat(namesOf(key).published);
  }

  async remove(keys: readonly string[]): Promise<void> {
    if (keys.length === 0) return;
    await this.bucket.remove(keys.flatMap((key) => [namesOf(key).published, ...helpersOf(key)]));
    await abortUploads(this.bucket, keys);
  }

  override async findMissing(keys: readonly string[]): Promise<string[]> {
    const missing: string[] = [];
    for (let from = 0; from < keys.length; from += ASKED_AT_ONCE)
      missing.push(...(await super.findMissing(keys.slice(from, from + ASKED_AT_ONCE))));
    return missing;
  }

  /** An unfinished blob may come more than once: for what was sent of it, and for what resuming it needs. */
  async *list(): AsyncIterable<BlobEntry[]> {
    for await (const page of this.bucket.objects(UNFINISHED))
      yield page.map(({ name, ...entry }) => ({ ...entry, key: keyOfHelper(name), isUnfinished: true }));
    for await (const page of this.bucket.uploads(PUBLISHED)) {
      const entryOf = (modifiedAt: Date) => ({ size: 0, modifiedAt, isUnfinished: true });
      yield page.map((upload) => ({ key: keyOfUpload(upload), ...entryOf(upload.startedAt) }));
    }
    for await (const page of this.bucket.objects(PUBLISHED))
      yield page.map(({ name, ...entry }) => ({ ...entry, key: keyOfPublished(name), isUnfinished: false }));
  }

  async readIdentity(): Promise<string | null> {
    return (await this.bucket.getBytes(IDENTITY))?.toString('utf8').trim() ?? null;
  }

  writeIdentity(id: string): Promise<void> {
    return this.bucket.put(IDENTITY, Buffer.from(`${id}\n`));
  }

  probe(): Promise<void> {
    return this.bucket.check(AbortSignal.timeout(PROBE_MS));
  }

  async downloadUrl(key: string, headers: { contentType: string; contentDisposition: string }): Promise<string | null> {
    return this.config.hasPresignedDownloads ? this.bucket.presign(namesOf(key).published, headers) : null;
  }

  /** The writer that made the checkpoint was killed between publishing and saying so, having perhaps written more. */
  private async resumePublished(key: string, resume: ResumePoint): Promise<BlobWriter> {
    const published = await this.stat(key);
    if (!published || published.size < resume.offset) throw new BlobMissingError(key);
    if (published.size === resume.offset) {
      await this.bucket.remove(helpersOf(key));
      return new PublishedWriter(this, key, resume);
    }
    const writer = await this.write(key, { offset: 0, state: null });
    for await (const chunk of await this.read(key, { start: 0, end: resume.offset - 1 })) {
      await writer.write([chunk as Buffer]);
    }
    return writer;
  }

  /** In a composition the service often starts later than we do: where nobody answers, it is asked again for half a minute. */
  private async reachBucket(): Promise<void> {
    const deadline = Date.now() + this.waitMs;
    for (;;) {
      try {
        return await this.bucket.check();
      } catch (error) {
        if (!isTemporary(error) || Date.now() > deadline)
          throw new StorageUnusableError(this.explain(error), { cause: error });
        await delay(RETRY_MS);
      }
    }
  }

  private explain(error: unknown): string {
    const { bucket } = this.config;
    switch (statusOf(error)) {
      case 404:
        return `S3_BUCKET: there is no bucket ${bucket}; make it, or name another one`;
      case 401:
      case 403:
        return `S3_ACCESS_KEY_ID and S3_SECRET_ACCESS_KEY do not give access to the bucket ${bucket}`;
      case 301:
      case 400:
        return `S3_REGION: the bucket ${bucket} is not in the region ${this.config.region}, or S3_ENDPOINT is not its service`;
      default:
        return `S3_ENDPOINT leads to no usable S3 service: ${reasonOf(error)}`;
    }
  }
}
