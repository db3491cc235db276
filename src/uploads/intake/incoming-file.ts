import { Writable } from 'node:stream';
import type { BlobWriter } from '../storage/blob-storage.js';
import { byteLength } from '../storage/files.js';
import { FileTooLargeError } from '../uploads.errors.js';
import { detectSignature, resolveType, SIGNATURE_HEAD_BYTES } from './file-type.js';
import { TextCheck } from './text-check.js';

/** The head of a small file is kept; of a larger one it is read again. */
const KEPT_HEAD_BYTES = 64 * 1024;
/** What waits in memory while bytes are being written, of all uploads together about; a sender is held up beyond its share of it. */
const BUFFERS_BYTES = 8 * 1024 * 1024;
const BUFFER_BYTES_MIN = 64 * 1024;
const BUFFER_BYTES_MAX = 512 * 1024;

export interface FileClaims {
  readonly filename: string;
  readonly declaredType: string | undefined;
  readonly isUnnamed?: boolean;
}

export interface IntakeRules {
  readonly maxBytes: number;
  readonly allowedTypes: readonly string[];
  /** Called before bytes are taken, with the size that the file will have then. @throws QuotaExceededError */
  reserve?(size: number): Promise<void>;
  /** Called after bytes were written, with the size that the file has now. */
  onWritten?(size: number): Promise<void>;
}

/** A file on its way into the storage: counted, checked and hashed as it passes. */
export class IncomingFile {
  private keptHead: Buffer[] = [];
  private isHeadChecked = false;
  private taking: Promise<void> = Promise.resolve();

  constructor(
    readonly writer: BlobWriter,
    readonly claims: FileClaims,
    private readonly rules: IntakeRules,
    readonly text = new TextCheck(),
  ) {}

  /** What a browser sends for a field in which no file was chosen. */
  get isNothing(): boolean {
    return this.claims.isUnnamed === true && this.writer.offset === 0;
  }

  /** Takes the bytes of a stream as they come; one that has few beside it in larger pieces. */
  sink(uploadsNow: number): Writable {
    const settle = (work: Promise<void>, done: (error?: Error | null) => void) => {
      this.taking = work;
      work.then(() => done(), done);
    };
    const share = Math.floor(BUFFERS_BYTES / Math.max(1, uploadsNow));
    return new Writable({
      highWaterMark: Math.max(BUFFER_BYTES_MIN, Math.min(BUFFER_BYTES_MAX, share)),
      write: (chunk: Buffer, _encoding, done) => settle(this.take([chunk]), done),
      writev: (items, done) => settle(this.take(items.map(({ chunk }) => chunk as Buffer)), done),
    });
  }

  /** A sink that is destroyed does not wait for the write that it has begun. */
  async settled(): Promise<void> {
    await this.taking.catch(() => undefined);
  }

  /** The type to store, once all bytes have been taken. @throws FileTypeNotAllowedError, FileTypeMismatchError */
  resolveType(): Promise<string> {
    return this.typeOf(this.text.isText());
  }

  private async take(chunks: readonly Buffer[]): Promise<void> {
    const size = this.writer.offset + byteLength(chunks);
    if (size > this.rules.maxBytes) throw new FileTooLargeError(this.rules.maxBytes);
    await this.rules.reserve?.(size);
    await this.writer.write(chunks);
    for (const chunk of chunks) this.text.add(chunk);
    if (size <= KEPT_HEAD_BYTES) this.keptHead.push(...chunks);
    else this.keptHead = [];
    if (!this.isHeadChecked && size >= SIGNATURE_HEAD_BYTES) {
      this.isHeadChecked = true;
      await this.typeOf(this.text.couldBeText);
    }
    await this.rules.onWritten?.(size);
  }

  private async typeOf(isText: boolean): Promise<string> {
    const size = this.writer.offset;
    const isKept = this.keptHead.length > 0;
    const head = isKept ? Buffer.concat(this.keptHead) : await this.writer.head(SIGNATURE_HEAD_BYTES);
    const signature = await detectSignature(head);
    const { declaredType: declared, filename } = this.claims;
    return resolveType({ declared, filename, signature, isText, isEmpty: size === 0 }, this.rules.allowedTypes);
  }
}
