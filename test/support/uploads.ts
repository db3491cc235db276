import { createCipheriv, createHash, randomInt } from 'node:crypto';
import { readdirSync, statSync } from 'node:fs';
import http from 'node:http';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

export const MIB = 1024 * 1024;

export interface Answer {
  status: number;
  headers: http.IncomingHttpHeaders;
  body: any;
}

interface RequestOptions {
  method: string;
  headers?: http.OutgoingHttpHeaders;
}

/** A request whose body is sent piece by piece. */
export class Sending {
  /** `null` when the connection ended without one. */
  readonly answer: Promise<Answer | null>;
  private readonly request: http.ClientRequest;
  private isOver = false;

  constructor(url: string, { method, headers }: RequestOptions) {
    this.request = http.request(url, { method, headers, agent: false });
    this.answer = new Promise<Answer | null>((resolve) => {
      this.request.on('response', (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('error', () => resolve(null));
        response.on('end', () => resolve(toAnswer(response, Buffer.concat(chunks))));
      });
      this.request.on('error', () => resolve(null));
      this.request.on('close', () => resolve(null));
    });
    void this.answer.then(() => (this.isOver = true));
  }

  /** Resolves when the bytes are on their way, or when there is an answer already; tells whether to go on. */
  async write(bytes: Buffer): Promise<boolean> {
    if (this.isOver || this.request.destroyed) return false;
    const written = new Promise<void>((resolve) => this.request.write(bytes, () => resolve()));
    await Promise.race([written, this.answer]);
    return !this.isOver;
  }

  async finish(): Promise<Answer | null> {
    this.request.end();
    return this.answer;
  }

  /** As when the client's process ends. */
  cut(): void {
    this.request.destroy();
  }
}

function toAnswer(response: http.IncomingMessage, bytes: Buffer): Answer {
  const isJson = /json/.test(response.headers['content-type'] ?? '') && bytes.length > 0;
  return {
    status: response.statusCode ?? 0,
    headers: response.headers,
    body: isJson ? JSON.parse(bytes.toString()) : bytes,
  };
}

/** A request with its answer; a connection that ends without one fails. */
export async function call(url: string, options: RequestOptions, body?: Buffer): Promise<Answer> {
  const length = body && !options.headers?.['Transfer-Encoding'] ? { 'Content-Length': body.length } : {};
  const sending = new Sending(url, { ...options, headers: { ...length, ...options.headers } });
  if (body) await sending.write(body);
  const answer = await sending.finish();
  if (!answer) throw new Error(`${options.method} ${url} got no answer`);
  return answer;
}

export interface SentFile {
  name: string;
  content: Buffer;
  type?: string;
  description?: string;
}

interface SendingOptions {
  /** Without a Content-Length. */
  isChunked?: boolean;
  pieceBytes?: number;
  /** Between two pieces. */
  pauseMs?: number;
}

const BOUNDARY = 'boundary-of-a-test-1234567890';

/** What comes before and after the file in the form. */
export function formAround({ name, type, description }: Omit<SentFile, 'content'>): [head: Buffer, tail: Buffer] {
  const described = description === undefined ? '' : `${disposition('description')}\r\n\r\n${description}\r\n`;
  const declared = type ? `\r\nContent-Type: ${type}` : '';
  const head = `${described}${disposition('file')}; filename="${name}"${declared}\r\n\r\n`;
  return [Buffer.from(head), Buffer.from(`\r\n--${BOUNDARY}--\r\n`)];
}

const disposition = (name: string) => `--${BOUNDARY}\r\nContent-Disposition: form-data; name="${name}"`;

/** Begins to send a form with a file; nothing of its body is sent yet. */
export function beginUpload(url: string, auth: object, length?: number): Sending {
  const headers = {
    ...auth,
    'Content-Type': `multipart/form-data; boundary=${BOUNDARY}`,
    ...(length === undefined ? { 'Transfer-Encoding': 'chunked' } : { 'Content-Length': length }),
  };
  return new Sending(url, { method: 'POST', headers });
}

/** Sends a file as a form, in pieces and at a pace. */
export async function sendFile(
  url: string,
  auth: object,
  file: SentFile,
  { isChunked = false, pieceBytes = MIB, pauseMs = 0 }: SendingOptions = {},
): Promise<Answer | null> {
  const [head, tail] = formAround(file);
  const body = Buffer.concat([head, file.content, tail]);
  const sending = beginUpload(url, auth, isChunked ? undefined : body.length);
  for (let from = 0; from < body.length; from += pieceBytes) {
    if (!(await sending.write(body.subarray(from, from + pieceBytes)))) break;
    if (pauseMs > 0) await delay(pauseMs);
  }
  return sending.finish();
}

export const sha256 = (bytes: Buffer): string => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

/** The seed of this run's random choices: SEED of the environment repeats a run. */
export const seedOfRun = (): number => Number(process.env.SEED ?? randomInt(2 ** 31));

/** Random choices that a seed repeats. */
export class Dice {
  private readonly stream;
  constructor(seed: number) {
    this.stream = createCipheriv('aes-128-ctr', createHash('md5').update(String(seed)).digest(), Buffer.alloc(16));
  }

  /** From 0 up to, not including, 1. */
  next(): number {
    return this.stream.update(Buffer.alloc(4)).readUInt32LE() / 2 ** 32;
  }

  /** Both ends included. */
  int(min: number, max: number): number {
    return min + Math.floor(this.next() * (max - min + 1));
  }

  pick<T>(values: readonly T[]): T {
    return values[this.int(0, values.length - 1)];
  }

  bytes(size: number): Buffer {
    return this.stream.update(Buffer.alloc(size));
  }

  /** Letters and digits. */
  text(size: number): Buffer {
    return Buffer.from(
      this.bytes(Math.ceil(size * 0.75))
        .toString('base64')
        .slice(0, size),
    );
  }
}

/** What lies in DATA_DIR/files, by name. */
export function storedFiles(dataDir: string): { published: string[]; unfinished: string[] } {
  const root = join(dataDir, 'files');
  const folders = readdirSync(root).filter((name) => statSync(join(root, name)).isDirectory());
  const published = folders.filter((name) => name !== 'unfinished').flatMap((name) => readdirSync(join(root, name)));
  return { published: published.sort(), unfinished: readdirSync(join(root, 'unfinished')).sort() };
}

export const publishedPath = (dataDir: string, id: string): string => join(dataDir, 'files', id.slice(-2), id);
export const unfinishedPath = (dataDir: string, id: string): string => join(dataDir, 'files', 'unfinished', id);

/** The bytes that a file has by now; -1 when there is none. */
export const sizeOf = (path: string): number => statSync(path, { throwIfNoEntry: false })?.size ?? -1;

/** Waits until a condition holds. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  what: string,
  withinMs = 60_000,
): Promise<void> {
  const deadline = Date.now() + withinMs;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`waited too long for: ${what}`);
    await delay(10);
  }
}

const taken = new Set<number>();

/**
 * Below the ports that systems give to outgoing connections: one of those could take it before its server is up, or while that is down,
 * even the connection that asks whether the server is back.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = 10_000 + Math.floor(Math.random() * 20_000);
    const server = createServer();
    const isFree = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false));
      server.listen(port, '127.0.0.1', () => resolve(true));
    });
    if (isFree) await new Promise((resolve) => server.close(resolve));
    if (isFree && !taken.has(port)) {
      taken.add(port);
      return port;
    }
  }
}

/** A line from a client to a server, which breaks, or takes no more, after so many bytes of the client. */
export class Line {
  private readonly sockets = new Set<Socket>();
  private sent = 0;
  private limit = Infinity;
  private isHeld = false;

  private constructor(
    private readonly server: Server,
    private readonly target: number,
  ) {
    server.on('connection', (client) => this.connect(client));
  }

  static async to(port: number): Promise<Line> {
    const line = new Line(createServer(), port);
    await new Promise<void>((resolve) => line.server.listen(0, '127.0.0.1', resolve));
    return line;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  /** Breaks once, after so many more bytes. */
  breakAfter(bytes: number): void {
    [this.limit, this.isHeld] = [this.sent + bytes, false];
  }

  /** Lets so many more bytes through and keeps what comes then, until it breaks. */
  holdAfter(bytes: number): void {
    [this.limit, this.isHeld] = [this.sent + bytes, true];
  }

  /** Ends every connection; later ones are whole. */
  break(): void {
    this.limit = Infinity;
    this.isHeld = false;
    for (const socket of this.sockets) socket.destroy();
  }

  async close(): Promise<void> {
    this.break();
    await new Promise((resolve) => this.server.close(resolve));
  }

  private connect(client: Socket): void {
    const upstream = connect(this.target, '127.0.0.1');
    const pair = [client, upstream];
    let isAtLimit = false;
    for (const socket of pair) {
      this.sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => {
        this.sockets.delete(socket);
        for (const other of pair) other.destroy();
      });
    }
    upstream.pipe(client);
    client.on('data', (chunk: Buffer) => {
      if (isAtLimit) return;
      const passed = chunk.subarray(0, Math.max(0, this.limit - this.sent));
      isAtLimit = passed.length < chunk.length;
      this.sent += passed.length;
      const isBreaking = isAtLimit && !this.isHeld;
      const isWritable = upstream.write(passed, () => {
        if (isBreaking) this.break();
      });
      if (isAtLimit) client.pause();
      else if (!isWritable) {
        client.pause();
        upstream.once('drain', () => client.resume());
      }
    });
  }
}

/** Plain requests of the tus protocol. */
export class TusCalls {
  constructor(
    private readonly url: string,
    private readonly auth: object,
    private readonly prefix = '/api/v1/uploads/resumable',
  ) {}

  create(length: number, metadata: Record<string, string> = {}, headers: object = {}, body?: Buffer): Promise<Answer> {
    const pairs = Object.entries(metadata).map(([name, value]) => `${name} ${Buffer.from(value).toString('base64')}`);
    const given = pairs.length > 0 ? { 'Upload-Metadata': pairs.join(',') } : {};
    const typed = body ? { 'Content-Type': 'application/offset+octet-stream' } : {};
    return this.call('POST', this.prefix, { 'Upload-Length': length, ...given, ...typed, ...headers }, body);
  }

  head(location: string): Promise<Answer> {
    return this.call('HEAD', location);
  }

  /** How many bytes the server has. */
  async offset(location: string): Promise<number> {
    const { status, headers } = await this.head(location);
    if (status !== 200) throw new Error(`HEAD ${location} is ${status}`);
    return Number(headers['upload-offset']);
  }

  patch(location: string, offset: number, body: Buffer, headers: object = {}): Promise<Answer> {
    return this.call('PATCH', location, { ...this.patchHeaders(offset), ...headers }, body);
  }

  /** A PATCH whose body is still to be sent. */
  beginPatch(location: string, offset: number, length: number): Sending {
    const headers = { 'Tus-Resumable': '1.0.0', ...this.auth, ...this.patchHeaders(offset), 'Content-Length': length };
    return new Sending(`${this.url}${location}`, { method: 'PATCH', headers });
  }

  terminate(location: string): Promise<Answer> {
    return this.call('DELETE', location);
  }

  call(method: string, path: string, headers: object = {}, body?: Buffer): Promise<Answer> {
    const all = { 'Tus-Resumable': '1.0.0', ...this.auth, ...headers };
    return call(`${this.url}${path}`, { method, headers: all }, body);
  }

  private patchHeaders(offset: number) {
    return { 'Upload-Offset': offset, 'Content-Type': 'application/offset+octet-stream' };
  }
}

/** The last part of an upload's address. */
export const idOf = (location: string): string => location.slice(location.lastIndexOf('/') + 1);
