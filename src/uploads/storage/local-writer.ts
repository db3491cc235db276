import { type FileHandle, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { FileHash } from '../hashing/file-hash.js';
import { BlobMissingError, type BlobWriter, type ResumePoint } from './blob-storage.js';
import { isErrno, statIfThere, syncDirectory, unlinkIfThere, writeAll } from './files.js';

export interface BlobPaths {
  readonly unfinished: string;
  readonly published: string;
}

/** Writes beside and renames into place: data, then the name, each on the disk before the next step. */
export class LocalWriter implements BlobWriter {
  private isNameDurable = false;
  private isClosed = false;

  constructor(
    private readonly paths: BlobPaths,
    private readonly file: FileHandle,
    public offset: number,
    private readonly hash: FileHash,
    private readonly isResumed = false,
  ) {}

  /** Goes on at `offset`. What an interrupted writer left beyond it may be anything, and goes. */
  static async resume(paths: BlobPaths, file: FileHandle, offset: number, hash: FileHash): Promise<LocalWriter> {
    try {
      const { size } = await file.stat();
      // Growing the file would fill it with zeros, and call them the user's bytes.
      if (size < offset) throw new BlobMissingError(paths.unfinished);
      await file.truncate(offset);
    } catch (error) {
      await file.close();
      throw error;
    }
    return new LocalWriter(paths, file, offset, hash, offset > 0);
  }

  async write(chunks: readonly Buffer[]): Promise<void> {
    const position = this.offset;
    const size = await writeAll(this.file, chunks, position);
    if (!this.isResumed) this.hash.add(chunks, this.file.fd, position);
    this.offset += size;
  }

  async head(maxBytes: number): Promise<Buffer> {
    const head = Buffer.alloc(Math.min(maxBytes, this.offset));
    const { bytesRead } = await this.file.read(head, 0, head.length, 0);
    return head.subarray(0, bytesRead);
  }

  async checkpoint(): Promise<ResumePoint> {
    const { offset } = this;
    await this.file.datasync();
    if (!this.isNameDurable) await syncDirectory(dirname(this.paths.unfinished));
    this.isNameDurable = true;
    return { offset, state: null };
  }

  /** Of an upload in many requests only the last one hashes, and all of it: the bytes of the others are not read for each. */
  sha256(): Promise<string> {
    if (this.isResumed) this.hash.addWritten(this.file.fd, 0, this.offset);
    return this.hash.digest();
  }

  async publish(): Promise<void> {
    await this.file.datasync();
    await this.close();
    try {
      await rename(this.paths.unfinished, this.paths.published);
    } catch (error) {
      if (!isErrno(error, 'ENOENT')) throw error;
      // Published by a writer that was killed before it could say so; or somebody has removed the bytes.
      if ((await statIfThere(this.paths.published))?.size !== this.offset)
        throw new BlobMissingError(this.paths.unfinished);
    }
    await syncDirectory(dirname(this.paths.published));
  }

  async close(): Promise<void> {
    if (this.isClosed) return;
    this.isClosed = true;
    // A descriptor that is closed is given to the next file, and the worker would hash that.
    await this.hash.abandon();
    await this.file.close();
  }

  async discard(): Promise<void> {
    await this.close();
    await unlinkIfThere(this.paths.unfinished);
  }
}
