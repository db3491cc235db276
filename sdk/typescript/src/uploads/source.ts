import { streamOf } from './streams.js';

/**
 * What can be uploaded: a `Blob` or `File` (of a file on disk in Node.js: `openAsBlob()` of `node:fs`, which is read as it goes), bytes, or
 * a stream, whose `size` has to be told: a `ReadableStream`, a `Readable` of Node.js, or whatever else gives bytes to `for await`.
 */
export type UploadSource =
  Blob | ArrayBuffer | ArrayBufferView | ReadableStream<Uint8Array> | AsyncIterable<Uint8Array>;

/** What is said about a file beside its bytes. */
export interface FileDetails {
  /** What the file is called; when it is left out or empty, the name of a `File`, else `file`. */
  filename?: string;
  /** A MIME type; by default the type of the `Blob`. The server looks at the bytes as well. */
  contentType?: string;
  /** Bytes of a stream. */
  size?: number;
}

/** A file on its way out. */
export interface Source {
  readonly content: Blob | ReadableStream<Uint8Array>;
  readonly size: number;
  readonly filename: string;
  /** Empty when nobody knows. */
  readonly contentType: string;
  /** Of a `File`: milliseconds since 1970. */
  readonly lastModified: number | null;
}

/** @throws TypeError for what is none */
export function sourceOf(given: UploadSource, { filename, contentType, size }: FileDetails): Source {
  const { name, lastModified = null } = (given ?? {}) as Partial<File>;
  const content = contentOf(given);
  return {
    content,
    size: content instanceof Blob ? content.size : assertSize(size),
    filename: filename || (typeof name === 'string' && name) || 'file',
    // A Blob leaves out what no header may have.
    contentType: contentType === undefined ? typeOf(content) : new Blob([], { type: contentType }).type,
    lastModified,
  };
}

function contentOf(given: UploadSource): Source['content'] {
  if (given instanceof Blob) return given;
  if (given instanceof ReadableStream) return assertFree(given);
  if (ArrayBuffer.isView(given) || Object.prototype.toString.call(given) === '[object ArrayBuffer]')
    return new Blob([given as BufferSource]);
  if (typeof (given as Partial<AsyncIterable<Uint8Array>> | null)?.[Symbol.asyncIterator] === 'function')
    return streamFrom(given as AsyncIterable<Uint8Array>);
  throw new TypeError('A file is a Blob, bytes or a stream; of a path in Node.js: await openAsBlob(path)');
}

function assertFree(stream: ReadableStream<Uint8Array>): ReadableStream<Uint8Array> {
  if (stream.locked) throw new TypeError('The stream is being read, or has been, by somebody else');
  return stream;
}

/** As ReadableStream.from(), which is not everywhere, and for streams of Node.js that nobody has begun to read. */
function streamFrom(given: AsyncIterable<Uint8Array> & { destroy?: () => void }): ReadableStream<Uint8Array> {
  return streamOf(given[Symbol.asyncIterator](), { cancel: () => given.destroy?.() });
}

const typeOf = (content: Source['content']): string => (content instanceof Blob ? content.type : '');

function assertSize(size: number | undefined): number {
  if (size !== undefined && Number.isSafeInteger(size) && size >= 0) return size;
  throw new TypeError('A stream is uploaded with its size: { size: <bytes> }');
}
