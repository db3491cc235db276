import { Readable } from 'node:stream';
import { finished } from 'node:stream/promises';
import { ZipFile } from 'yazl';

/** From here on a ZIP has other headers for a file, which take its size in advance. */
const ZIP64_BYTES = 0xffff_ffff;

/**
 * A ZIP in the making. Its entries are written one after the other, as fast as the output is read; nothing is kept of them but what
 * the directory at the archive's end tells.
 */
export class ExportArchive {
  private readonly zip = new ZipFile() as ZipFile & { entries: unknown[] };
  /** For the directory. */
  private readonly written: unknown[] = [];
  private failure: Error | null = null;

  /** @param signal ends the entry that is being written */
  constructor(private readonly signal: AbortSignal) {
    this.zip.on('error', (error) => this.fail(error as Error));
  }

  get output(): Readable {
    return this.zip.outputStream as Readable;
  }

  /** Packed. */
  async addText(name: string, text: Iterable<string> | AsyncIterable<string>): Promise<void> {
    await this.add(Readable.from(text, { objectMode: false }), name, {});
  }

  /** As they are: most files are packed already. There must be exactly so many bytes. */
  async addBytes(name: string, bytes: Readable, size: number, mtime: Date): Promise<void> {
    await this.add(bytes, name, { compress: false, size, mtime, forceZip64Format: size >= ZIP64_BYTES });
  }

  /** What the archive itself has failed of, first; `null` while nothing is wrong, or when it is but not wanted any more. */
  get fault(): Error | null {
    return this.failure;
  }

  end(): void {
    this.zip.entries = this.written.concat(this.zip.entries);
    this.zip.end();
  }

  /** Whoever reads the output is told by an error: what has come so far is no archive. */
  fail(error: Error): void {
    if (!this.signal.aborted) this.failure ??= error;
    this.output.destroy(error);
  }

  /** Resolves when all of it has been taken. */
  private async add(bytes: Readable, name: string, options: object): Promise<void> {
    // One that is thrown away may still say that it could not be closed.
    bytes.on('error', () => undefined);
    try {
      this.signal.throwIfAborted();
      this.setWrittenAside();
      this.zip.addReadStream(bytes, name, options);
      await finished(bytes, { signal: this.signal });
    } finally {
      bytes.destroy();
    }
  }

  /**
   * The library goes through all entries before each new one, which with a hundred thousand takes longer than sending them. All but the last
   * are written for certain: the last one's bytes have been taken.
   */
  private setWrittenAside(): void {
    this.written.push(...this.zip.entries.splice(0, this.zip.entries.length - 1));
  }
}
