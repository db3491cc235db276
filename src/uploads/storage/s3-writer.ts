import type { FileHash } from '../hashing/file-hash.js';
import { BlobMissingError, type BlobWriter, type ResumePoint } from './blob-storage.js';
import { abortUploads, type BlobNames, helpersOf, namesOf } from './s3-blob.js';
import type { S3Bucket } from './s3-bucket.js';
import { orUnavailable } from './s3-errors.js';
import { S3Parts } from './s3-parts.js';
import { SpoolFile } from './spool-file.js';

/** What goes on where a checkpoint was. All parts have the same size, as some stores want it. */
interface S3ResumeState {
  readonly uploadId: string | null;
  readonly etags: readonly string[];
  readonly partBytes: number;
  /** The bytes after the parts: the first `size` of one of the two tail objects. */
  readonly tail: { readonly slot: 0 | 1; readonly size: number } | null;
}

export interface S3WriterContext {
  readonly bucket: S3Bucket;
  readonly key: string;
  readonly spoolDirectory: string;
  readonly partBytes: number;
  /** `null`: not all bytes come this way. */
  readonly hash: FileHash | null;
}

/** So much of a blob's beginning stays at hand when it has been sent. */
const HEAD_BYTES = 1024 * 1024;

/**
 * Spools into a local file of one part, which is sent while the next one fills: memory stays the same whatever comes. A blob of one part
 * is one object; of a larger one the parts become an object at once, when it is published.
 */
export class S3Writer implements BlobWriter {
  offset = 0;
  private readonly names: BlobNames;
  private readonly aborter = new AbortController();
  private readonly spools: Set<SpoolFile>;
  private tail: { slot: 0 | 1; size: number; partsBefore: number } | null = null;
  private isHeadStored = false;
  private isClosed = false;

  private constructor(
    private readonly context: S3WriterContext,
    private readonly parts: S3Parts,
    /** What is no whole part yet, or a whole one that nothing has followed so far. */
    private spool: SpoolFile,
    /** The spool of the first part, for its head; `null` when another writer has sent it. */
    private readonly first: SpoolFile | null,
    /** There may be more in S3 than the parts that this writer has sent. */
    private hasLeftovers: boolean,
  ) {
    this.names = namesOf(context.key);
    this.spools = new Set([spool]);
  }

  static async start(context: S3WriterContext, isResumed: boolean): Promise<S3Writer> {
    const spool = await SpoolFile.create(context.spoolDirectory);
    const parts = new S3Parts(context.bucket, namesOf(context.key).published);
    return new S3Writer(context, parts, spool, spool, isResumed);
  }

  /** `null` when what the checkpoint left is not there any more: it has been published or removed since. */
  static async resume(context: S3WriterContext, { offset, state }: ResumePoint): Promise<S3Writer | null> {
    const { uploadId, etags, partBytes, tail } = state as unknown as S3ResumeState;
    const { bucket, key } = context;
    const names = namesOf(key);
    if (uploadId && !(await bucket.hasUpload(names.published, uploadId))) return null;
    const spool = await SpoolFile.create(context.spoolDirectory);
    const parts = new S3Parts(bucket, names.published, uploadId, [...etags]);
    const hasFirst = parts.count === 0;
    const hash = hasFirst ? context.hash : null;
    const writer = new S3Writer({ ...context, partBytes, hash }, parts, spool, hasFirst ? spool : null, true);
    writer.offset = parts.count * partBytes;
    writer.isHeadStored = !hasFirst;
    writer.tail = tail && { ...tail, partsBefore: parts.count };
    try {
      if (tail && !(await writer.takeTail(tail))) {
        await writer.close();
        return null;
      }
      if (writer.offset !== offset) throw new BlobMissingError(key);
      return writer;
    } catch (error) {
      await writer.close();
      throw error;
    }
  }

  async write(chunks: readonly Buffer[]): Promise<void> {
    for (let rest = chunks; rest.length > 0;) {
      if (this.spool.length === this.context.partBytes) await this.sendSpool();
      const [now, later] = splitAt(rest, this.context.partBytes - this.spool.length);
      await this.take(now);
      rest = later;
    }
  }

  /** At most 1 MiB. */
  async head(maxBytes: number): Promise<Buffer> {
    const size = Math.min(maxBytes, HEAD_BYTES, this.offset);
    if (this.first) return this.first.head(size);
    const head = await this.context.bucket.getBytes(this.names.head, { start: 0, end: size - 1 });
    if (!head) throw new BlobMissingError(this.names.head);
    return head;
  }

  /** Whole parts are sent as such. What is left becomes an object of its own, and is read back by the writer that goes on. */
  async checkpoint(): Promise<ResumePoint> {
    this.hasLeftovers = true;
    if (this.spool.length === this.context.partBytes) await this.sendSpool();
    await this.parts.settled();
    await this.storeHead();
    await this.storeTail();
    const tail = this.tail && { slot: this.tail.slot, size: this.tail.size };
    const state: S3ResumeState = { ...this.parts.state, partBytes: this.context.partBytes, tail };
    return { offset: this.offset, state: { ...state } };
  }

  async sha256(): Promise<string | null> {
    return this.context.hash ? this.context.hash.digest() : null;
  }

  async publish(): Promise<void> {
    const { bucket } = this.context;
    if (this.spool === this.first) await bucket.putSpool(this.names.published, this.spool, this.aborter.signal);
    else await this.publishParts();
    await this.close();
    // The blob is published; what stays of its helpers takes room until it is removed, and harms nobody.
    if (this.hasLeftovers) await this.removeLeftovers().catch(() => undefined);
  }

  async close(): Promise<void> {
    if (this.isClosed) return;
    this.isClosed = true;
    this.aborter.abort();
    await this.parts.settled().catch(() => undefined);
    // A descriptor that is closed is given to the next file, and the worker would hash that.
    await this.context.hash?.abandon();
    for (const spool of this.spools) await spool.close();
  }

  async discard(): Promise<void> {
    await this.close();
    await this.parts.abort();
    if (this.hasLeftovers) await this.removeLeftovers();
  }

  private async publishParts(): Promise<void> {
    try {
      if (this.spool.length > 0) await this.parts.send(this.spool, this.aborter.signal);
      await this.parts.complete();
    } catch (error) {
      if (!(error instanceof BlobMissingError)) throw error;
      // Published by a writer that was killed before it could say so; or somebody has removed the bytes.
      if ((await this.context.bucket.stat(this.names.published))?.size !== this.offset) throw error;
    }
  }

  private async take(chunks: readonly Buffer[]): Promise<void> {
    const position = this.spool.length;
    await this.spool.append(chunks);
    this.context.hash?.add(chunks, this.spool.fd, position);
    this.offset += this.spool.length - position;
  }

  private async takeTail({ slot, size }: { slot: 0 | 1; size: number }): Promise<boolean> {
    const stream = await this.context.bucket.get(this.names.tails[slot], { start: 0, end: size - 1 });
    if (!stream) return false;
    const taking = async () => {
      for await (const chunk of stream) await this.take([chunk as Buffer]);
    };
    await orUnavailable(taking());
    return true;
  }

  /** The full spool is sent while the next one fills. */
  private async sendSpool(): Promise<void> {
    await this.context.hash?.settled();
    const full = this.spool;
    const next = await SpoolFile.create(this.context.spoolDirectory);
    this.spools.add(next);
    await this.parts.send(full, this.aborter.signal, () => this.release(full));
    this.spool = next;
  }

  private async release(sent: SpoolFile): Promise<void> {
    if (sent === this.first) return sent.truncate(HEAD_BYTES);
    this.spools.delete(sent);
    await sent.close();
  }

  /** S3 gives out nothing of parts that are no object yet, and the next writer may be asked for the head. */
  private async storeHead(): Promise<void> {
    if (this.isHeadStored || !this.first || this.parts.count === 0) return;
    await this.context.bucket.put(this.names.head, await this.first.head(HEAD_BYTES));
    this.isHeadStored = true;
  }

  private async storeTail(): Promise<void> {
    const { tail, spool } = this;
    const size = spool.length;
    const partsBefore = this.parts.count;
    const isSamePart = tail?.partsBefore === partsBefore;
    if (isSamePart && tail.size === size) return;
    this.tail = null;
    if (size === 0) return;
    const slot = !tail ? 0 : isSamePart ? tail.slot : otherSlot(tail.slot);
    await this.context.bucket.putSpool(this.names.tails[slot], spool, this.aborter.signal);
    this.tail = { slot, size, partsBefore };
  }

  private async removeLeftovers(): Promise<void> {
    const { bucket, key } = this.context;
    await bucket.remove(helpersOf(key));
    await abortUploads(bucket, [key]);
  }
}

const otherSlot = (slot: 0 | 1): 0 | 1 => (slot === 0 ? 1 : 0);

function splitAt(chunks: readonly Buffer[], bytes: number): [Buffer[], Buffer[]] {
  const [before, after]: [Buffer[], Buffer[]] = [[], []];
  let room = bytes;
  for (const chunk of chunks) {
    const fits = Math.min(room, chunk.length);
    if (fits > 0) before.push(chunk.subarray(0, fits));
    if (fits < chunk.length) after.push(chunk.subarray(fits));
    room -= fits;
  }
  return [before, after];
}
