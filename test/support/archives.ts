import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { fromBuffer, type Entry } from 'yauzl';

export interface ReadArchive {
  /** In their order. */
  names: string[];
  entries: Map<string, { entry: Entry; bytes: Buffer }>;
  json(name: string): any;
  text(name: string): string;
}

/** Reads a ZIP as strictly as yauzl does: names that could leave the folder, and wrong sizes, are errors. */
export async function readArchive(zip: Buffer): Promise<ReadArchive> {
  const entries: ReadArchive['entries'] = new Map();
  await new Promise<void>((resolve, reject) => {
    fromBuffer(zip, { lazyEntries: true, strictFileNames: true }, (error, file) => {
      if (error || !file) return reject(error ?? new Error('no archive'));
      file.on('error', reject);
      file.on('end', () => resolve());
      file.on('entry', (entry: Entry) => {
        file.openReadStream(entry, (failure, stream) => {
          if (failure || !stream) return reject(failure ?? new Error('no entry'));
          const chunks: Buffer[] = [];
          stream.on('data', (chunk: Buffer) => chunks.push(chunk));
          stream.on('error', reject);
          stream.on('end', () => {
            entries.set(entry.fileName, { entry, bytes: Buffer.concat(chunks) });
            file.readEntry();
          });
        });
      });
      file.readEntry();
    });
  });
  const text = (name: string) => entries.get(name)?.bytes.toString('utf8') ?? '';
  return { names: [...entries.keys()], entries, text, json: (name) => JSON.parse(text(name)) };
}

/** What other programs find wrong with it: `unzip -t`, and Python's zipfile; those that are not there find nothing. */
export async function faultsFoundByOthers(zip: Buffer): Promise<string[]> {
  const directory = mkdtempSync(join(tmpdir(), 'gatehouse-zip-'));
  const path = join(directory, 'export.zip');
  writeFileSync(path, zip);
  const script =
    'import sys, zipfile; bad = zipfile.ZipFile(sys.argv[1]).testzip(); sys.exit(f"bad: {bad}" if bad else 0)';
  try {
    const found = await Promise.all([faultOf('unzip', ['-tqq', path]), faultOf('python3', ['-c', script, path])]);
    return found.filter((fault) => fault !== null);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

async function faultOf(program: string, args: string[]): Promise<string | null> {
  try {
    await promisify(execFile)(program, args);
    return null;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT' ? null : `${program}: ${(error as Error).message}`;
  }
}

/** An answer that nobody reads until somebody does. */
export class HeldAnswer {
  private constructor(
    private readonly request: http.ClientRequest,
    readonly response: http.IncomingMessage,
  ) {}

  static open(url: string, headers: http.OutgoingHttpHeaders): Promise<HeldAnswer> {
    return new Promise((resolve, reject) => {
      const request = http.get(url, { headers, agent: false }, (response) => {
        response.pause();
        resolve(new HeldAnswer(request, response));
      });
      request.on('error', reject);
    });
  }

  /** All of it, and whether it came to its end. */
  async read(): Promise<{ bytes: Buffer; isWhole: boolean }> {
    const chunks: Buffer[] = [];
    this.response.on('data', (chunk: Buffer) => chunks.push(chunk));
    this.response.resume();
    await new Promise<void>((resolve) => {
      this.response.on('error', () => resolve());
      this.response.on('close', () => resolve());
    });
    return { bytes: Buffer.concat(chunks), isWhole: this.response.complete };
  }

  /** As when the client's process ends. */
  cut(): void {
    this.request.destroy();
  }
}
