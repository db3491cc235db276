/** Where it is told how much of a stream has gone, and that it could not be read. */
interface StreamWatch {
  report(sent: number): void;
  fail(error: unknown): void;
}

/** A Blob of memory is one chunk, of which it could be told only that all of it has gone. */
const PIECE_BYTES = 64 * 1024;

/** A stream that is read here and by nobody else, and can be let go of before and while it is read. */
export class Intake {
  private readonly reader: ReadableStreamDefaultReader<Uint8Array>;
  private isOver = false;

  /** @throws TypeError when it is read by somebody else */
  constructor(stream: ReadableStream<Uint8Array>) {
    this.reader = stream.getReader();
  }

  /** Its end says nothing about its size then. */
  get isCancelled(): boolean {
    return this.isOver;
  }

  /** @returns null at its end */
  async read(): Promise<Uint8Array<ArrayBuffer> | null> {
    const { done, value } = await this.reader.read();
    return done ? null : bytesOf(value);
  }

  async cancel(): Promise<void> {
    this.isOver = true;
    await this.reader.cancel().catch(() => undefined);
  }
}

/** By name, since bytes of another realm are of another class. */
function bytesOf(chunk: unknown): Uint8Array<ArrayBuffer> {
  if (Object.prototype.toString.call(chunk) === '[object Uint8Array]') return chunk as Uint8Array<ArrayBuffer>;
  throw new TypeError('The chunks of a stream are Uint8Arrays');
}

/** The chunks of a stream that has to have a certain size. What has been fetched is told as gone when the next one is asked for. */
export async function* counted(
  intake: Intake,
  size: number,
  watch: StreamWatch,
): AsyncGenerator<Uint8Array<ArrayBuffer>, void, undefined> {
  let sent = 0;
  try {
    for (let chunk = await intake.read(); chunk; chunk = await intake.read()) {
      if (sent + chunk.byteLength > size) throw new RangeError(`The stream has more than ${size} bytes`);
      for (let at = 0; at < chunk.byteLength; at += PIECE_BYTES) {
        const piece = chunk.subarray(at, at + PIECE_BYTES);
        yield piece;
        sent += piece.byteLength;
        watch.report(sent);
      }
    }
    if (sent < size && !intake.isCancelled) throw new RangeError(`The stream has ended after ${sent} of ${size} bytes`);
  } catch (error) {
    if (!intake.isCancelled) watch.fail(error);
    throw error;
  } finally {
    await intake.cancel();
  }
}

/** A stream that asks for a chunk only when one is wanted, so that nothing piles up. @param source where the chunks come from */
export function streamOf<Chunk>(chunks: AsyncIterator<Chunk>, source: { cancel(): unknown }): ReadableStream<Chunk> {
  return new ReadableStream<Chunk>(
    {
      async pull(controller) {
        const { done, value } = await chunks.next();
        if (done) controller.close();
        else controller.enqueue(value);
      },
      cancel() {
        // By itself: chunks of which nobody has had one never come to their `finally`, and others only when the source gives something.
        void source.cancel();
        void Promise.resolve(chunks.return?.()).catch(() => undefined);
      },
    },
    { highWaterMark: 0 },
  );
}
