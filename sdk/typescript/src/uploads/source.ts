/**
 * What can be uploaded: a `Blob` or `File` (of a file on disk in Node.js: `openAsBlob()` of `node:fs`, which is read as it goes), bytes, or
 * a stream, whose `size` has to be told.
 */
export type UploadSource = Blob | ArrayBuffer | ArrayBufferView | ReadableStream<Uint8Array>;

/** What is said about a file beside its bytes. */
export interface FileDetails {
  /** What the file is called; by default the name of a `File`, else `file`. */
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
    filename: filename ?? (typeof name === 'string' && name !== '' ? name : 'file'),
    // A Blob leaves out what no header may have.
    contentType: contentType === undefined ? typeOf(content) : new Blob([], { type: contentType }).type,
    lastModified,
  };
}

function contentOf(given: UploadSource): Source['content'] {
  if (given instanceof Blob || given instanceof ReadableStream) return given;
  if (ArrayBuffer.isView(given) || Object.prototype.toString.call(given) === '[object ArrayBuffer]')
    return new Blob([given as BufferSource]);
  throw new TypeError('A file is a Blob, bytes or a ReadableStream; of a path in Node.js: await openAsBlob(path)');
}

const typeOf = (content: Source['content']): string => (content instanceof Blob ? content.type : '');

function assertSize(size: number | undefined): number {
  if (size !== undefined && Number.isSafeInteger(size) && size >= 0) return size;
  throw new TypeError('A stream is uploaded with its size: { size: <bytes> }');
}
