import { BlobMissingError } from './blob-storage.js';
import type { S3Bucket } from './s3-bucket.js';
import { isMissing } from './s3-errors.js';
import type { SpoolFile } from './spool-file.js';

/** The parts of a blob that S3 has, in a multipart upload that begins with the first of them. At most one is on its way. */
export class S3Parts {
  private sending: Promise<void> = Promise.resolve();

  constructor(
    private readonly bucket: S3Bucket,
    private readonly name: string,
    private uploadId: string | null = null,
    private readonly etags: string[] = [],
  ) {}

  get count(): number {
    return this.etags.length;
  }

  /** What `new S3Parts()` goes on with; once settled. */
  get state(): { uploadId: string | null; etags: string[] } {
    return { uploadId: this.uploadId, etags: [...this.etags] };
  }

  /** Waits for the part before, and only begins with this one; a failure comes out at the next call. */
  async send(spool: SpoolFile, signal: AbortSignal, sent?: () => Promise<void>): Promise<void> {
    await this.settled();
    this.uploadId ??= await this.bucket.createUpload(this.name);
    this.sending = this.sendNext(this.uploadId, spool, signal).then(sent);
    this.sending.catch(() => undefined);
  }

  /** Resolves when nothing is on its way. */
  settled(): Promise<void> {
    return this.sending;
  }

  /** Makes the parts an object. @throws BlobMissingError when the upload is gone */
  async complete(): Promise<void> {
    await this.settled();
    const { bucket, name, uploadId } = this;
    if (!uploadId || !(await bucket.completeUpload(name, uploadId, this.etags))) throw new BlobMissingError(name);
  }

  async abort(): Promise<void> {
    if (this.uploadId) await this.bucket.abortUpload(this.name, this.uploadId);
  }

  private async sendNext(uploadId: string, spool: SpoolFile, signal: AbortSignal): Promise<void> {
    try {
      this.etags.push(await this.bucket.sendPart(this.name, uploadId, this.etags.length + 1, spool, signal));
    } catch (error) {
      // Somebody has removed the upload.
      throw isMissing(error) ? new BlobMissingError(this.name) : error;
    }
  }
}
