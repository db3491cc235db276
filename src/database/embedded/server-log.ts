import fs from 'node:fs';

const MAX_BYTES = 10 * 1024 * 1024;

/** The server's log file: rotated at start when it has grown, one old file is kept. */
export class ServerLog {
  private constructor(
    readonly path: string,
    readonly descriptor: number,
    private readonly start: number,
  ) {}

  static open(path: string): ServerLog {
    const status = fs.statSync(path, { throwIfNoEntry: false });
    if (status && status.size > MAX_BYTES) fs.renameSync(path, `${path}.1`);
    const { O_APPEND, O_CREAT, O_WRONLY, O_NOFOLLOW = 0 } = fs.constants;
    const descriptor = fs.openSync(path, O_APPEND | O_CREAT | O_WRONLY | O_NOFOLLOW, 0o600);
    return new ServerLog(path, descriptor, fs.fstatSync(descriptor).size);
  }

  /** What has been written since it was opened. */
  readNew(): string {
    return fs.readFileSync(this.path).subarray(this.start).toString('utf8');
  }

  close(): void {
    fs.closeSync(this.descriptor);
  }
}
