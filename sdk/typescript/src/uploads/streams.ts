/** Where it is told how much of a stream has gone, and that it could not be read. */
interface StreamWatch {
  report(sent: number): void;
  fail(error: unknown): void;
}

/** A Blob of memory is one chunk, of which it could be told only that all of it has gone. */
const PIECE_BYTES = 64 * 1024;

/** The chunks of a stream that has to have a certain size. What has been fetched is told as gone when the next one is asked for. */
export async function* counted(
  content: ReadableStream<Uint8Array>,
  size: number,
  watch: StreamWatch,
): AsyncGenerator<Uint8Array<ArrayBuffer>, void, undefined> {
  const reader = content.getReader();
  let sent = 0;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      if (sent + value.byteLength > size) throw new RangeError(`The stream has more than ${size} bytes`);
      for (let at = 0; at < value.byteLength; at += PIECE_BYTES) {
        const piece = value.subarray(at, at + PIECE_BYTES) as Uint8Array<ArrayBuffer>;
        yield piece;
        sent += piece.byteLength;
        watch.report(sent);
      }
    }
    if (sent < size) throw new RangeError(`The stream has ended after ${sent} of ${size} bytes`);
  } catch (error) {
    watch.fail(error);
    throw error;
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}

/** A stream that asks for a chunk only when one is wanted, so that nothing piles up. */
export function streamOf<Chunk>(chunks: AsyncGenerator<Chunk, void, undefined>): ReadableStream<Chunk> {
  return new ReadableStream<Chunk>(
    {
      async pull(controller) {
        const { done, value } = await chunks.next();
        if (done) controller.close();
        else controller.enqueue(value);
      },
      cancel() {
        // A source that gives nothing for long would hold up whoever cancels.
        chunks.return().catch(() => undefined);
      },
    },
    { highWaterMark: 0 },
  );
}
