import { ConnectionError } from '../errors.js';
import { filenameOf } from './content-disposition.js';
import { Intake, streamOf } from './streams.js';

/** A part of a file, by bytes from 0 on, both ends included. */
export interface ByteRange {
  start: number;
  /** The last byte of the file by default. */
  end?: number;
}

/** How a file is downloaded. */
export interface DownloadOptions {
  /** A part of the file only. `status` is 206 then, and `range` says which part it is. */
  range?: ByteRange;
  /** Stops the download, also while the bytes come: reading throws the signal's reason. */
  signal?: AbortSignal;
  /** Milliseconds until the headers have come, in place of the client's. 0: no limit. */
  timeout?: number;
}

/**
 * A file on its way. Read `body`, or use one of the methods, once; what is not wanted is let go by `body.cancel()`. A connection that
 * breaks makes reading throw a ConnectionError: what ends without one is whole.
 */
export class Download {
  /** The bytes as they come. */
  readonly body: ReadableStream<Uint8Array<ArrayBuffer>>;
  /** 200, or 206 for a part. */
  readonly status: number;
  readonly contentType: string;
  /** Bytes that `body` will give; null when the server does not say. */
  readonly size: number | null;
  /** The name that the file came with, never with a path. Null when the server does not say, or may not say it to this page. */
  readonly filename: string | null;
  /** Names these bytes: `"sha256:…"` with its quotes, as in `If-None-Match`. */
  readonly etag: string | null;
  /** Which part of how many bytes it is; null for all of it. */
  readonly range: { start: number; end: number; total: number } | null;

  constructor(response: Response, signal?: AbortSignal) {
    const { headers, status } = response;
    this.status = status;
    this.contentType = headers.get('Content-Type') ?? 'application/octet-stream';
    // Compressed on the way, as by a proxy, it has another length.
    const isEncoded = (headers.get('Content-Encoding') ?? 'identity') !== 'identity';
    const length = headers.get('Content-Length');
    this.size = length === null || isEncoded ? null : Number(length);
    this.filename = filenameOf(headers.get('Content-Disposition'));
    this.etag = headers.get('ETag');
    this.range = status === 206 ? rangeOf(headers.get('Content-Range')) : null;
    const intake = new Intake(response.body ?? new Blob([]).stream());
    this.body = streamOf(chunksOf(intake, this.size, signal), intake);
  }

  /** All of it in memory. */
  async bytes(): Promise<Uint8Array<ArrayBuffer>> {
    return new Uint8Array(await this.read().arrayBuffer());
  }

  /** With its type. Browsers keep a large one on disk. */
  blob(): Promise<Blob> {
    return this.read().blob();
  }

  /** As UTF-8. */
  text(): Promise<string> {
    return this.read().text();
  }

  private read(): Response {
    return new Response(this.body, { headers: { 'Content-Type': this.contentType } });
  }
}

async function* chunksOf(
  intake: Intake,
  size: number | null,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array<ArrayBuffer>, void, undefined> {
  let received = 0;
  try {
    for (let chunk = await intake.read(); chunk; chunk = await intake.read()) {
      received += chunk.byteLength;
      yield chunk;
    }
  } catch (error) {
    signal?.throwIfAborted();
    throw new ConnectionError(
      `The download broke off after ${received}${size === null ? '' : ` of ${size}`} bytes`,
      error,
    );
  } finally {
    await intake.cancel();
  }
  if (size !== null && received < size)
    throw new ConnectionError(`The download ended after ${received} of ${size} bytes`);
}

function rangeOf(header: string | null): Download['range'] {
  const [, start, end, total] = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(header ?? '') ?? [];
  return total === undefined ? null : { start: Number(start), end: Number(end), total: Number(total) };
}

/** `bytes=0-499` */
export function rangeHeader({ start, end }: ByteRange): string {
  const isByte = (position: number) => Number.isSafeInteger(position) && position >= 0;
  if (!isByte(start) || (end !== undefined && (!isByte(end) || end < start)))
    throw new RangeError('A range goes from a byte to the same or a later one');
  return `bytes=${start}-${end ?? ''}`;
}
