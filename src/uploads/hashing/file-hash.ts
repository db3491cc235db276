import { createHash } from 'node:crypto';
import { byteLength } from '../storage/files.js';
import type { HashLane } from './hash-workers.js';

/** A file this small is hashed in place: a tenth of a millisecond, which sending it elsewhere would cost as well. */
const IN_PLACE_MAX = 64 * 1024;

/** Then it is another file's turn: a gigabyte that is hashed at once keeps the others of its worker waiting for so long only. */
const TURN_BYTES_MAX = 8 * 1024 * 1024;

/**
 * The SHA-256 of bytes that are being written to a file. The writer says what it has written; a worker reads it again from the kernel's
 * cache, in steps that grow with how far it is behind.
 */
export class FileHash {
  private inPlace = createHash('sha256');
  private lane: HashLane | null = null;
  private length = 0;
  /** What the worker has not been told of yet; always one stretch of one file. */
  private pending: { fd: number; from: number; to: number } | null = null;
  private working: Promise<void> | null = null;
  private failure: unknown = null;
  private isAbandoned = false;

  constructor(private readonly openLane: () => HashLane) {}

  /** The chunks have been written to the file from `position` on; the first `IN_PLACE_MAX` bytes of all stay in one file. */
  add(chunks: readonly Buffer[], fd: number, position: number): void {
    const size = byteLength(chunks);
    if (!this.lane && this.length + size <= IN_PLACE_MAX) for (const chunk of chunks) this.inPlace.update(chunk);
    else this.addWritten(fd, this.lane ? position : position - this.length, position + size);
    this.length += size;
  }

  /** The bytes `from` up to `to` are in the file, from an earlier writer. */
  addWritten(fd: number, from: number, to: number): void {
    // A write that was under way when the upload was given up: its file may be another by now.
    if (this.isAbandoned) return;
    this.lane ??= this.openLane();
    if (this.pending) this.pending.to = to;
    else this.pending = { fd, from, to };
    this.working ??= this.work(this.lane);
  }

  /** Resolves when the file is not needed any more for what was added so far. */
  async settled(): Promise<void> {
    await this.working;
    if (this.failure) throw this.failure as Error;
  }

  /** Hex; ends the hash. */
  async digest(): Promise<string> {
    await this.settled();
    return this.lane ? this.lane.digest() : this.inPlace.digest('hex');
  }

  /** Gives the hash up. Afterwards nobody reads the file. */
  async abandon(): Promise<void> {
    this.isAbandoned = true;
    this.pending = null;
    await this.working;
    this.lane?.forget();
  }

  private async work(lane: HashLane): Promise<void> {
    try {
      for (let next = this.pending; next && !this.failure; next = this.pending) {
        const to = Math.min(next.to, next.from + TURN_BYTES_MAX);
        this.pending = to < next.to ? { ...next, from: to } : null;
        await lane.take(next.fd, next.from, to);
      }
    } catch (error) {
      this.failure = error;
    } finally {
      this.working = null;
    }
  }
}
