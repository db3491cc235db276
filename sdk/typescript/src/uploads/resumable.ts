import type { Upload } from 'tus-js-client';
import { GatehouseError } from '../errors.js';
import { backOff, retryDelay } from '../http/retry.js';
import type { Transport } from '../http/transport.js';
import { keyOf, type UploadStorage } from './resume.js';
import { type Slices, slicesOf } from './slices.js';
import type { Source } from './source.js';
import { idOf, TusHttp } from './tus-http.js';
import type { UploadWatch } from './watch.js';

const PATH = '/api/v1/uploads/resumable';
/** With the pauses between them some two minutes; each byte that arrives gives all of them again. */
const ATTEMPTS_MAX = 30;
/** It came too slowly, at another offset than the server has, or while another request was being ended. */
const PASSING = [408, 409, 423];
/** So long a server has to hear that an upload is given up. */
const TERMINATION_MS = 10_000;

/** What `import('tus-js-client')` gives. */
export interface Tus {
  Upload: new (file: Blob, options: object) => object;
}

/** What is said about the file beside its bytes, and where it is kept how to go on. */
interface ResumableOptions {
  description?: string;
  resume?: UploadStorage;
}

/** @returns null when it is not installed */
export async function loadTus(): Promise<Tus | null> {
  // Its build for pages without a bundler, by a script element.
  const { tus } = globalThis as { tus?: Tus };
  if (typeof tus?.Upload === 'function') return tus;
  try {
    return (await import('tus-js-client')) as Tus;
  } catch {
    return null;
  }
}

/** One upload by the tus protocol. */
export class ResumableUpload {
  private readonly endpoint: string;
  private readonly http: TusHttp;
  private readonly slices: Slices;

  constructor(
    private readonly transport: Transport,
    private readonly source: Source,
    private readonly options: ResumableOptions,
    private readonly watch: UploadWatch,
  ) {
    this.endpoint = transport.url(PATH);
    this.http = new TusHttp(transport, this.endpoint, watch);
    this.slices = slicesOf(source);
  }

  /** @returns the id of the file */
  async run(tus: Tus): Promise<string> {
    const { resume } = this.options;
    const key = resume ? keyOf(this.transport.baseURL, this.source) : '';
    const begun = await resume?.get(key);
    let upload: Upload | null = null;
    try {
      await new Promise<void>((resolve, reject) => {
        const settings = { ...this.settings(), onSuccess: () => resolve(), onError: reject };
        const onUploadUrlAvailable = () => void this.keep(key, idOf(upload?.url ?? ''));
        const uploadUrl = begun ? `${this.endpoint}/${encodeURIComponent(begun)}` : null;
        upload = new tus.Upload(new Blob([]), { ...settings, uploadUrl, onUploadUrlAvailable }) as Upload;
        this.watch.signal.addEventListener('abort', () => reject(this.watch.signal.reason), { once: true });
        upload.start();
      });
      this.watch.report(this.source.size);
      return idOf((upload as Upload | null)?.url ?? '');
    } catch (error) {
      const failure = this.explained(error);
      await this.stop(upload, failure);
      throw failure;
    } finally {
      this.slices.close();
    }
  }

  /** The file is there. */
  async forget(): Promise<void> {
    if (this.options.resume) await this.keep(keyOf(this.transport.baseURL, this.source), null);
  }

  private settings(): object {
    const { filename, contentType: filetype } = this.source;
    const { description } = this.options;
    return {
      endpoint: this.endpoint,
      httpStack: this.http,
      fileReader: { openFile: () => Promise.resolve(this.slices) },
      // Where it is kept how to go on is our matter.
      fingerprint: () => Promise.resolve(null),
      storeFingerprintForResuming: false,
      chunkSize: this.slices.pieceSize,
      metadata: { filename, ...(filetype && { filetype }), ...(description && { description }) },
      retryDelays: new Array<number>(ATTEMPTS_MAX).fill(0),
      onProgress: (sent: number) => this.watch.report(sent),
      onShouldRetry: (_error: unknown, attempt: number, { retryDelays }: { retryDelays: number[] }) => {
        const delay = this.pauseBefore(attempt);
        if (delay !== null) retryDelays[attempt] = delay;
        return delay !== null;
      },
    };
  }

  private pauseBefore(attempt: number): number | null {
    const { error } = this.http;
    const isPassing = error instanceof GatehouseError && PASSING.includes(error.status);
    return isPassing ? backOff(attempt) : retryDelay(error, attempt);
  }

  private async keep(key: string, id: string | null): Promise<void> {
    try {
      await this.options.resume?.set(key, id);
    } catch {
      // Storage that is full: a later process begins anew, and the upload in hand goes on.
    }
  }

  /** What nobody is to go on with frees its space on the server at once; what failed there, the server has ended or cannot be told. */
  private async stop(upload: Upload | null, failure: unknown): Promise<void> {
    await upload?.abort();
    if (!upload?.url || this.options.resume || failure instanceof GatehouseError) return;
    try {
      await this.transport.json({
        method: 'DELETE',
        path: upload.url,
        headers: { 'Tus-Resumable': '1.0.0' },
        signal: AbortSignal.timeout(TERMINATION_MS),
      });
    } catch {
      // It expires by itself.
    }
  }

  /** The error of the client in place of what tus-js-client makes of it. */
  private explained(error: unknown): unknown {
    const { signal } = this.watch;
    if (signal.aborted) return signal.reason;
    if (this.http.error !== null) return this.http.error;
    // Told without its text about the request, which would name the address of the upload.
    const { causingError } = error as { causingError?: unknown };
    return causingError ?? error;
  }
}
