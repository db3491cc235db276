import type { Source } from './source.js';
import { Intake } from './streams.js';

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
  private readonly intake: Intake;
  private kept = new Blob([]);
  private keptFrom = 0;

  constructor(
    content: ReadableStream<Uint8Array>,
    readonly size: number,
  ) {
    this.intake = new Intake(content);
  }

  async slice(start: number, end: number): Promise<{ value: Blob; done: boolean }> {
    if (start < this.keptFrom) throw new RangeError('The upload would have to begin anew, and the stream cannot');
    this.kept = this.kept.slice(start - this.keptFrom);
    this.keptFrom = start;
    await this.readTo(end);
    return { value: this.kept.slice(0, end - start), done: end >= this.size };
  }

  close(): void {
    void this.intake.cancel();
  }

  private async readTo(end: number): Promise<void> {
    const chunks: Uint8Array<ArrayBuffer>[] = [];
    let read = this.keptFrom + this.kept.size;
    // At the end of the file the stream has to end as well.
    while (read < end || end >= this.size) {
      const chunk = await this.intake.read();
      if (!chunk) break;
      chunks.push(chunk);
      read += chunk.byteLength;
      if (read > this.size) throw new RangeError(`The stream has more than ${this.size} bytes`);
    }
    this.kept = new Blob([this.kept, ...chunks]);
    if (read < end) throw new RangeError(`The stream has ended after ${read} of ${this.size} bytes`);
  }
}
