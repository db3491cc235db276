import type { FileHandle } from 'node:fs/promises';
import { Readable } from 'node:stream';
import type { ByteRange } from './blob-storage.js';

/** Four times what a stream of Node's reads at once. */
const CHUNK_BYTES = 256 * 1024;

/** The bytes of an open file, in large chunks. Closes the file at its end. */
export class FileReader extends Readable {
  private position: number;
  private readonly end: number;

  constructor(
    private readonly file: FileHandle,
    private readonly range?: ByteRange,
  ) {
    super({ highWaterMark: CHUNK_BYTES });
    this.position = range?.start ?? 0;
    this.end = range ? range.end + 1 : Number.MAX_SAFE_INTEGER;
  }

  override _read(): void {
    void this.readNext();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.file.close().then(
      () => done(error),
      (failure: Error) => done(error ?? failure),
    );
  }

  private async readNext(): Promise<void> {
    try {
      const length = Math.min(CHUNK_BYTES, this.end - this.position);
      if (length <= 0) return void this.push(null);
      const { bytesRead, buffer } = await this.file.read(Buffer.allocUnsafeSlow(length), 0, length, this.position);
      this.position += bytesRead;
      // Ending quietly would leave a client waiting for the length that it was told.
      if (bytesRead === 0 && this.range) throw new Error(`The file ends at ${this.position}, before ${this.end}`);
      this.push(bytesRead === 0 ? null : buffer.subarray(0, bytesRead));
    } catch (error) {
      this.destroy(error as Error);
    }
  }
}
