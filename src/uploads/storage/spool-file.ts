import { randomUUID } from 'node:crypto';
import { type FileHandle, mkdir, open, readdir, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { unlinkIfThere, writeAll } from './files.js';

const SUFFIX = '.spool';
/** What a stream reads at once; with many uploads at the same time, this is what they keep in memory. */
const CHUNK_BYTES = 64 * 1024;

/** Bytes on their way to somewhere else, outside of memory: a file without a name, gone when it is closed or the process ends. */
export class SpoolFile {
  length = 0;

  private constructor(private readonly file: FileHandle) {}

  static async create(directory: string): Promise<SpoolFile> {
    const path = join(directory, `${randomUUID()}${SUFFIX}`);
    const file = await open(path, 'wx+', 0o600);
    await unlink(path);
    return new SpoolFile(file);
  }

  /** Makes the folder, and removes what processes have left there that were killed between two lines of `create()`. */
  static async prepare(directory: string): Promise<void> {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    const left = (await readdir(directory)).filter((name) => name.endsWith(SUFFIX));
    for (const name of left) await unlinkIfThere(join(directory, name));
  }

  get fd(): number {
    return this.file.fd;
  }

  async append(chunks: readonly Buffer[]): Promise<void> {
    this.length += await writeAll(this.file, chunks, this.length);
  }

  /** The first bytes, at most `maxBytes` of them. */
  async head(maxBytes: number): Promise<Buffer> {
    const head = Buffer.alloc(Math.min(maxBytes, this.length));
    const { bytesRead } = await this.file.read(head, 0, head.length, 0);
    return head.subarray(0, bytesRead);
  }

  /** Everything, from the beginning; as often as one likes. */
  stream(): Readable {
    return Readable.from(this.chunks(), { objectMode: false, highWaterMark: CHUNK_BYTES });
  }

  async truncate(length: number): Promise<void> {
    await this.file.truncate(length);
    this.length = length;
  }

  async close(): Promise<void> {
    await this.file.close();
  }

  private async *chunks(): AsyncGenerator<Buffer> {
    for (let position = 0; position < this.length;) {
      const size = Math.min(CHUNK_BYTES, this.length - position);
      const { bytesRead, buffer } = await this.file.read(Buffer.allocUnsafeSlow(size), 0, size, position);
      if (bytesRead === 0) throw new Error(`A spool file ends at ${position}, before ${this.length}`);
      position += bytesRead;
      yield buffer.subarray(0, bytesRead);
    }
  }
}
