/** How far an upload is. */
export interface UploadProgress {
  /** Bytes of the file that have been handed to the network. */
  sent: number;
  /** Bytes of the file. */
  total: number;
}

/** Tells how far an upload is, and stops it: by the caller's signal, or because the file cannot be read any more. */
export class UploadWatch {
  readonly signal: AbortSignal;
  private readonly fault = new AbortController();
  private sent = -1;

  constructor(
    private readonly total: number,
    private readonly onProgress: ((progress: UploadProgress) => void) | undefined,
    signal: AbortSignal | undefined,
  ) {
    signal?.throwIfAborted();
    this.signal = signal ? AbortSignal.any([signal, this.fault.signal]) : this.fault.signal;
  }

  /** Whether anybody wants to know. */
  get isWatched(): boolean {
    return this.onProgress !== undefined;
  }

  /** Never tells less than before: what has to be sent a second time is not told again. */
  report(sent: number): void {
    const progress = { sent: Math.min(Math.max(sent, 0), this.total), total: this.total };
    if (progress.sent <= this.sent) return;
    this.sent = progress.sent;
    try {
      this.onProgress?.(progress);
    } catch (error) {
      this.fail(error);
    }
  }

  /** Ends the upload, which then throws this error. */
  fail(error: unknown): void {
    this.fault.abort(error);
  }
}
