import type { Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { OperatorError } from '../../common/errors/operator-error.js';

/** A part of a blob, both ends included, as in HTTP. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

export interface BlobEntry {
  readonly key: string;
  readonly size: number;
  readonly modifiedAt: Date;
  /** Still being written, or left by a writer that was killed. */
  readonly isUnfinished: boolean;
}

/** What a driver needs to go on where a checkpoint was; plain JSON. */
export type ResumeState = Record<string, unknown> | null;

/** Where a writer goes on: so many bytes are there, durably. */
export interface ResumePoint {
  readonly offset: number;
  readonly state: ResumeState;
}

/** Takes the bytes of one blob. The calls of one writer come one after the other. */
export interface BlobWriter {
  /** Bytes taken, from the blob's beginning. */
  readonly offset: number;
  /** Resolves when the next bytes may come; memory stays bounded whatever the size. */
  write(chunks: readonly Buffer[]): Promise<void>;
  /** The first bytes, at most `maxBytes` of them, once they have been written. */
  head(maxBytes: number): Promise<Buffer>;
  /** Makes what was taken so far survive a crash. The answer leads another writer to this point. */
  checkpoint(): Promise<ResumePoint>;
  /** SHA-256 of the whole blob in hex; `null` when this writer has not seen all of it. Asked once, before `publish()`. */
  sha256(): Promise<string | null>;
  /** Makes the blob durable under its key, whole or not at all. Closes the writer. May be repeated by another writer after a crash. */
  publish(): Promise<void>;
  /** Closes the writer and keeps what the last checkpoint made durable. */
  close(): Promise<void>;
  /** Closes the writer and removes what it has written. Never throws for what is already gone. */
  discard(): Promise<void>;
}

/**
 * Where the bytes of files live: local disk or S3. A key is made by the server, names one blob for ever, and the bytes under it never
 * change. Which blobs ought to exist is the database's to say.
 */
export abstract class BlobStorage {
  /** Makes ready what writing needs. @throws StorageUnusableError with a sentence for the operator */
  abstract open(): Promise<void>;
  abstract close(): Promise<void>;
  abstract write(key: string, resume?: ResumePoint): Promise<BlobWriter>;
  /** @throws BlobMissingError */
  abstract read(key: string, range?: ByteRange): Promise<Readable>;
  /**
   * A part of a blob, opened and ready to be sent; what is asked for must be there. The sender leaves the target open.
   * @throws BlobMissingError
   */
  async openToSend(key: string, range: ByteRange): Promise<(target: Writable) => Promise<void>> {
    const bytes = await this.read(key, range);
    return (target) => pipeline(bytes, target, { end: false });
  }

  /** Of a published blob. */
  abstract stat(key: string): Promise<{ size: number; modifiedAt: Date } | null>;
  /** Removes blobs, published or unfinished; those that are not there do not matter. */
  abstract remove(keys: readonly string[]): Promise<void>;
  /** Which of these keys, in their order, have no published blob. */
  async findMissing(keys: readonly string[]): Promise<string[]> {
    const found = await Promise.all(keys.map((key) => this.stat(key)));
    return keys.filter((_key, at) => found[at] === null);
  }

  /** Everything that is there, page by page; what a page holds is all of it that is kept in memory. */
  abstract list(): AsyncIterable<BlobEntry[]>;
  /** The name that this store was given when it was first used, so that one is not taken for another. */
  abstract readIdentity(): Promise<string | null>;
  abstract writeIdentity(id: string): Promise<void>;
  /** Rejects when the store cannot be used. */
  abstract probe(): Promise<void>;
  /** An address at which the store itself hands out the blob, if it does. */
  abstract downloadUrl(
    key: string,
    headers: { contentType: string; contentDisposition: string },
  ): Promise<string | null>;
}

/** There are no bytes under the key. */
export class BlobMissingError extends Error {
  constructor(key: string) {
    super(`The bytes of ${key} are missing`);
  }
}

/** The store cannot be used; the message says what to do. */
export class StorageUnusableError extends OperatorError {}
