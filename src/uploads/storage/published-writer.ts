import type { BlobStorage, BlobWriter, ResumePoint } from './blob-storage.js';

/** Goes on where a writer was killed after it had published and before it could say so: there is nothing left to do. */
export class PublishedWriter implements BlobWriter {
  constructor(
    private readonly storage: BlobStorage,
    private readonly key: string,
    private readonly point: ResumePoint,
  ) {}

  get offset(): number {
    return this.point.offset;
  }

  async write(chunks: readonly Buffer[]): Promise<void> {
    if (chunks.some(({ length }) => length > 0)) throw new Error(`${this.key} is published already`);
  }

  async head(maxBytes: number): Promise<Buffer> {
    const range = { start: 0, end: Math.min(maxBytes, this.offset) - 1 };
    return Buffer.concat((await (await this.storage.read(this.key, range)).toArray()) as Buffer[]);
  }

  async checkpoint(): Promise<ResumePoint> {
    return this.point;
  }

  async sha256(): Promise<null> {
    return null;
  }

  async publish(): Promise<void> {}

  async close(): Promise<void> {}

  async discard(): Promise<void> {}
}
