import { randomUUID } from 'node:crypto';
import { type FileHandle, mkdir, open, readdir, readFile, rename, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import type { HashWorkers } from '../hashing/hash-workers.js';
import {
  BlobMissingError,
  BlobStorage,
  type BlobEntry,
  type BlobWriter,
  type ByteRange,
  type ResumePoint,
  StorageUnusableError,
} from './blob-storage.js';
import { FileReader } from './file-reader.js';
import { isErrno, statIfThere, syncDirectory, unlinkIfThere } from './files.js';
import { type BlobPaths, LocalWriter } from './local-writer.js';
import { sendFile } from './send-file.js';

const UNFINISHED = 'unfinished';
const IDENTITY = 'storage-id';
/** Folders by the last two digits of the key, so that none grows too large; the first digits of an id are its time. */
const SHARDS = Array.from({ length: 256 }, (_, number) => number.toString(16).padStart(2, '0'));
const PAGE = 500;
/** An nginx that sends the files is a member of our group. */
const FOLDER_MODE = 0o750;
const FILE_MODE = 0o640;

/** Blobs as files below one folder, on one file system, so that publishing is a rename. */
export class LocalStorage extends BlobStorage {
  constructor(
    private readonly directory: string,
    private readonly hashes: HashWorkers,
  ) {
    super();
  }

  /** All folders are made, durably, before the first file needs one. */
  async open(): Promise<void> {
    try {
      for (const name of ['', UNFINISHED, ...SHARDS])
        await mkdir(join(this.directory, name), { recursive: true, mode: FOLDER_MODE });
      await syncDirectory(this.directory);
    } catch (error) {
      throw new StorageUnusableError(
        `The files' folder ${this.directory} cannot be written: ${(error as Error).message}`,
        { cause: error },
      );
    }
  }

  async close(): Promise<void> {}

  async write(key: string, resume?: ResumePoint): Promise<BlobWriter> {
    const paths = this.pathsOf(key);
    const hash = this.hashes.start();
    if (!resume || resume.offset === 0)
      return new LocalWriter(paths, await open(paths.unfinished, 'w+', FILE_MODE), 0, hash);
    return LocalWriter.resume(paths, await this.openToResume(key, paths), resume.offset, hash);
  }

  async read(key: string, range?: ByteRange): Promise<Readable> {
    return new FileReader(await this.openPublished(key), range);
  }

  override async openToSend(key: string, range: ByteRange): Promise<(target: Writable) => Promise<void>> {
    const file = await this.openPublished(key);
    return (target) => sendFile(file, range, target);
  }

  async stat(key: string): Promise<{ size: number; modifiedAt: Date } | null> {
    const found = await statIfThere(this.pathsOf(key).published);
    return found && { size: found.size, modifiedAt: found.mtime };
  }

  /** A folder that is away has not lost its files: then this rejects, and what is to be removed stays to be removed. */
  async remove(keys: readonly string[]): Promise<void> {
    await stat(join(this.directory, UNFINISHED));
    for (const key of keys) {
      const { unfinished, published } = this.pathsOf(key);
      await unlinkIfThere(unfinished);
      await unlinkIfThere(published);
    }
  }

  async *list(): AsyncIterable<BlobEntry[]> {
    for (const folder of [UNFINISHED, ...SHARDS]) {
      const names = await readdir(join(this.directory, folder));
      for (let from = 0; from < names.length; from += PAGE) {
        const page = await Promise.all(names.slice(from, from + PAGE).map((name) => this.entryOf(folder, name)));
        yield page.filter((entry) => entry !== null);
      }
    }
  }

  async readIdentity(): Promise<string | null> {
    try {
      return (await readFile(join(this.directory, IDENTITY), 'utf8')).trim();
    } catch (error) {
      if (isErrno(error, 'ENOENT')) return null;
      throw error;
    }
  }

  async writeIdentity(id: string): Promise<void> {
    const path = join(this.directory, IDENTITY);
    // Several processes may start on one folder at the same time, and all of them write the same.
    const unfinished = `${path}.${randomUUID()}.new`;
    await writeFile(unfinished, `${id}\n`, { mode: FILE_MODE, flush: true });
    await rename(unfinished, path);
    await syncDirectory(this.directory);
  }

  async probe(): Promise<void> {
    await stat(join(this.directory, IDENTITY));
  }

  async downloadUrl(): Promise<string | null> {
    return null;
  }

  /** Where a published blob lies, from the folder on: `ab/01a2…ab`. */
  static relativePath(key: string): string {
    return join(key.slice(-2), key);
  }

  private pathsOf(key: string): BlobPaths {
    return {
      unfinished: join(this.directory, UNFINISHED, key),
      published: join(this.directory, LocalStorage.relativePath(key)),
    };
  }

  private async openPublished(key: string): Promise<FileHandle> {
    try {
      return await open(this.pathsOf(key).published, 'r');
    } catch (error) {
      throw isErrno(error, 'ENOENT') ? new BlobMissingError(key) : error;
    }
  }

  /** A writer that was killed between publishing and saying so has moved the file already. */
  private async openToResume(key: string, paths: BlobPaths): Promise<FileHandle> {
    for (const path of [paths.unfinished, paths.published]) {
      try {
        return await open(path, 'r+');
      } catch (error) {
        if (!isErrno(error, 'ENOENT')) throw error;
      }
    }
    throw new BlobMissingError(key);
  }

  private async entryOf(folder: string, key: string): Promise<BlobEntry | null> {
    const found = await statIfThere(join(this.directory, folder, key));
    return found && { key, size: found.size, modifiedAt: found.mtime, isUnfinished: folder === UNFINISHED };
  }
}
