import { RateLimitError } from '../errors.js';
import { path } from '../http/path.js';
import { retryDelay, sleep } from '../http/retry.js';
import type { Transport } from '../http/transport.js';
import type { StoredFile } from '../types.js';
import { formBody } from './bodies.js';
import { loadTus, ResumableUpload, type Tus } from './resumable.js';
import type { UploadStorage } from './resume.js';
import { type FileDetails, type Source, sourceOf, type UploadSource } from './source.js';
import { unreadable } from './unreadable.js';
import { type UploadProgress, UploadWatch } from './watch.js';

const RESUMABLE_ABOVE = 8 * 1024 * 1024;

/** How a file is uploaded. */
export interface UploadOptions extends FileDetails {
  /** At most 1000 characters. `null` and `''`: none. */
  description?: string | null;
  /**
   * Told as the bytes go: `sent` never falls, and is `total` in the end. Browsers tell it of XMLHttpRequest, which is used then in place of
   * a `fetch` of your own. An error that it throws ends the upload.
   */
  onProgress?: (progress: UploadProgress) => void;
  /**
   * Whether the upload goes on where it was when a connection breaks or the server restarts, which takes the package `tus-js-client`. By
   * default files above `resumableAbove` do where the package is installed. With `true` the package has to be there.
   */
  resumable?: boolean;
  /** Bytes; 8 MiB by default. */
  resumableAbove?: number;
  /**
   * Where a resumable upload of a `File` is kept in mind, so that `create()` goes on with it in a later page or process, as with
   * `localStorageUploads()`. With it a signal only interrupts the upload.
   */
  resume?: UploadStorage;
  /** Gives the upload up: the call throws the signal's reason, and the server forgets what has come. */
  signal?: AbortSignal;
}

/** Sends a file in one request or by tus. */
export async function upload(
  transport: Transport,
  file: UploadSource,
  options: UploadOptions = {},
): Promise<StoredFile> {
  const source = sourceOf(file, options);
  const watch = new UploadWatch(source.size, options.onProgress, options.signal);
  const description = options.description || undefined;
  const { resume, resumable = source.size > (options.resumableAbove ?? RESUMABLE_ABOVE) } = options;
  const tus = resumable ? await loadTus() : null;
  if (options.resumable && !tus)
    throw new Error('Resumable uploads need the package tus-js-client: npm install tus-js-client');
  if (tus)
    return resumed(transport, tus, new ResumableUpload(transport, source, { description, resume }, watch), watch);
  const stored = await sent(transport, source, description, watch);
  watch.report(source.size);
  return stored;
}

/** In one request. It is sent again only when it was refused for coming too soon: then nothing has been made of it. */
async function sent(
  transport: Transport,
  source: Source,
  description: string | undefined,
  watch: UploadWatch,
): Promise<StoredFile> {
  const { signal } = watch;
  const body = await formBody(source, description, watch);
  const attempts = source.content instanceof Blob ? transport.maxRetries : 0;
  for (let attempt = 0; ; attempt++) {
    try {
      return await transport.json({ method: 'POST', path: '/api/v1/uploads', ...body, signal, timeout: 0 });
    } catch (error) {
      const delay = error instanceof RateLimitError && attempt < attempts ? retryDelay(error, attempt) : null;
      if (delay === null) throw unreadable(error) ?? error;
      await sleep(delay, signal);
    }
  }
}

async function resumed(
  transport: Transport,
  tus: Tus,
  running: ResumableUpload,
  { signal }: UploadWatch,
): Promise<StoredFile> {
  const id = await running.run(tus);
  // Changes nothing, and answers with the file also for keys that may upload and not read.
  const stored = await transport.json<StoredFile>({
    method: 'PATCH',
    path: path`/api/v1/uploads/${id}`,
    json: {},
    signal,
  });
  await running.forget();
  return stored;
}
