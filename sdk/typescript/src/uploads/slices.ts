import type { Source } from './source.js';

/** What of a stream is kept in memory until the server has it. */
const PIECE_BYTES = 8 * 1024 * 1024;

/** A file as tus-js-client reads it, the same in all runtimes. */
export interface Slices {
  readonly size: number;
  /** The largest part to ask for. */
  readonly pieceSize: number;
  slice(start: number, end: number): Promise<{ value: Blob; done: boolean }>;
  close(): void;
}

export function slicesOf({ content, size }: Source): Slices {
  if (!(content instanceof Blob)) return new StreamSlices(content, size);
  return {
    size,
    pieceSize: Infinity,
    slice: (start, end) => Promise.resolve({ value: content.slice(start, end), done: end >= size }),
    close: () => undefined,
  };
}

/** Of a stream the current part can be sent again, what came before it cannot. */
class StreamSlices implements Slices {
  readonly pieceSize = PIECE_BYTES;
  private readonly reader: ReadableStreamDefaultReader<Uint8Array>;
  private kept = new Blob([]);
  private keptFrom = 0;

  constructor(
    content: ReadableStream<Uint8Array>,
    readonly size: number,
  ) {
    this.reader = content.getReader();
  }

  async slice(start: number, end: number): Promise<{ value: Blob; done: boolean }> {
    if (start < this.keptFrom) throw new RangeError('The upload would have to begin anew, and the stream cannot');
    this.kept = this.kept.slice(start - this.keptFrom);
    this.keptFrom = start;
    await this.readTo(end);
    return { value: this.kept.slice(0, end - start), done: end >= this.size };
  }

  close(): void {
    this.reader.cancel().catch(() => undefined);
  }

  private async readTo(end: number): Promise<void> {
    const chunks: Uint8Array[] = [];
    let read = this.keptFrom + this.kept.size;
    // At the end of the file the stream has to end as well.
    while (read < end || end >= this.size) {
      const { done, value } = await this.reader.read();
      if (done) break;
      chunks.push(value);
      read += value.byteLength;
      if (read > this.size) throw new RangeError(`The stream has more than ${this.size} bytes`);
    }
    this.kept = new Blob([this.kept, ...(chunks as BlobPart[])]);
    if (read < end) throw new RangeError(`The stream has ended after ${read} of ${this.size} bytes`);
  }
}
