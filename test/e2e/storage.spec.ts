import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { open, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { isNativeError } from 'node:util/types';
import { v7 as uuidv7 } from 'uuid';
import { ServiceUnavailableError } from '../../src/common/errors/errors.js';
import type { S3Config } from '../../src/config/app-config.js';
import { HashWorkers } from '../../src/uploads/hashing/hash-workers.js';
import {
  BlobMissingError,
  type BlobEntry,
  type BlobStorage,
  type BlobWriter,
  type ResumePoint,
  StorageUnusableError,
} from '../../src/uploads/storage/blob-storage.js';
import { LocalStorage } from '../../src/uploads/storage/local-storage.js';
import { S3Storage } from '../../src/uploads/storage/s3-storage.js';
import { createBucket, hasS3Server, type S3Server, startS3Server } from '../support/s3-server.js';
import { until } from '../support/uploads.js';

const MIB = 1024 * 1024;
const CHUNK = 200_000;
const HEADERS = { contentType: 'text/plain; charset=utf-8', contentDisposition: `attachment; filename="a b.txt"` };
const SECRET = 'not-the-secret-that-the-server-knows';

type Interference<T = void> = (incoming: IncomingMessage, answer: ServerResponse) => T;

// Jest gives tests an Error of their own. The S3 client takes the errors of Node's sockets for something else then, and hides them.
Object.defineProperty(Error, Symbol.hasInstance, {
  value(this: unknown, candidate: unknown) {
    return (this === Error && isNativeError(candidate)) || Function.prototype[Symbol.hasInstance].call(this, candidate);
  },
});

const hashes = new HashWorkers();
let folder: string;
let server: S3Server | null = null;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'gatehouse-storage-'));
  server = await startS3Server();
});
afterAll(async () => {
  await server?.stop();
  await hashes.onApplicationShutdown();
  rmSync(folder, { recursive: true, force: true });
});

const newFolder = () => mkdtempSync(join(folder, 'store-'));

async function s3Config(changes: Partial<S3Config> = {}): Promise<S3Config> {
  if (!server) throw new Error('no S3 server');
  const bucket = `bucket-${randomBytes(6).toString('hex')}`;
  await createBucket(server, bucket);
  const { endpoint, accessKeyId, secretAccessKey } = server;
  const keys = { endpoint, accessKeyId, secretAccessKey, region: 'us-east-1', bucket };
  return { ...keys, forcePathStyle: true, hasPresignedDownloads: true, ...changes };
}

async function s3Storage(changes: Partial<S3Config> = {}): Promise<S3Storage> {
  return new S3Storage(await s3Config(changes), newFolder(), hashes);
}

/** In chunks, as from the network. */
async function put(writer: BlobWriter, bytes: Buffer): Promise<void> {
  for (let from = 0; from < bytes.length; from += 2 * CHUNK)
    await writer.write([bytes.subarray(from, from + CHUNK), bytes.subarray(from + CHUNK, from + 2 * CHUNK)]);
}

async function store(storage: BlobStorage, bytes: Buffer, key = uuidv7()): Promise<string> {
  const writer = await storage.write(key);
  await put(writer, bytes);
  await writer.publish();
  return key;
}

const collect = async (stream: Readable) => Buffer.concat((await stream.toArray()) as Buffer[]);
const load = async (storage: BlobStorage, key: string) => collect(await storage.read(key));
const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');
/** A failed comparison of megabytes would be printed. */
const expectBytes = (found: Buffer, expected: Buffer) =>
  expect({ size: found.length, sha256: sha256(found) }).toEqual({ size: expected.length, sha256: sha256(expected) });
/** As the database keeps it. */
const kept = (point: ResumePoint) => JSON.parse(JSON.stringify(point)) as ResumePoint;

async function entries(storage: BlobStorage): Promise<BlobEntry[]> {
  const all: BlobEntry[] = [];
  for await (const page of storage.list()) all.push(...page);
  return all;
}

const drivers = [
  { name: 'local', isHere: true, create: async (): Promise<BlobStorage> => new LocalStorage(newFolder(), hashes) },
  { name: 'S3', isHere: hasS3Server(), create: (): Promise<BlobStorage> => s3Storage() },
];
if (!hasS3Server()) {
  // eslint-disable-next-line no-console
  console.warn('S3 is not tested: install radosgw, ceph-mon, ceph-osd and ceph-common');
}

for (const { name, isHere, create } of drivers) {
  (isHere ? describe : describe.skip)(`storage: ${name}`, () => {
    const random = randomBytes(20 * MIB + 3);
    let storage: BlobStorage;

    beforeEach(async () => {
      storage = await create();
      await storage.open();
    });
    afterEach(() => storage.close());

    describe('writing and reading', () => {
      it.each([0, 1, 65_536, 65_537, 8 * MIB, 8 * MIB + 1, random.length])('%i bytes', async (size) => {
        const bytes = random.subarray(0, size);
        const key = uuidv7();
        const writer = await storage.write(key);
        await put(writer, bytes);
        expect(writer.offset).toBe(size);
        expect(await writer.sha256()).toBe(sha256(bytes));
        await writer.publish();
        expectBytes(await load(storage, key), bytes);
        expect((await storage.stat(key))?.size).toBe(size);
        expect(await entries(storage)).toMatchObject([{ key, size, isUnfinished: false }]);
      });

      it('takes many small writes, empty ones, and one that is larger than two parts', async () => {
        const key = uuidv7();
        const writer = await storage.write(key);
        for (let from = 0; from < 3000; from += 3) await writer.write([random.subarray(from, from + 3)]);
        await writer.write([]);
        await writer.write([Buffer.alloc(0), random.subarray(3000, 3001), Buffer.alloc(0)]);
        await writer.write([random.subarray(3001)]);
        expect(await writer.sha256()).toBe(sha256(random));
        await writer.publish();
        expectBytes(await load(storage, key), random);
      });

      it('reads ranges', async () => {
        const key = await store(storage, random);
        const last = random.length - 1;
        for (const [start, end] of [
          [0, 0],
          [0, 99],
          [5 * MIB, 12 * MIB],
          [8 * MIB - 1, 8 * MIB],
          [last - 9, last],
          [last, last],
        ])
          expectBytes(await collect(await storage.read(key, { start, end })), random.subarray(start, end + 1));
      });

      it('writes blobs side by side', async () => {
        const sizes = [3 * MIB, 9 * MIB, 17 * MIB, 100];
        const keys = await Promise.all(sizes.map((size) => store(storage, random.subarray(size / 100, size))));
        for (const [at, key] of keys.entries())
          expectBytes(await load(storage, key), random.subarray(sizes[at] / 100, sizes[at]));
      });

      it('shows nothing before publishing', async () => {
        const key = uuidv7();
        const writer = await storage.write(key);
        await put(writer, random);
        await writer.checkpoint();
        await expect(storage.read(key)).rejects.toThrow(BlobMissingError);
        expect(await storage.stat(key)).toBeNull();
        expect(await storage.findMissing([key])).toEqual([key]);
        await writer.discard();
      });

      it('has nothing under a key that was never written', async () => {
        await expect(storage.read(uuidv7())).rejects.toThrow(BlobMissingError);
        await expect(storage.read(uuidv7(), { start: 0, end: 9 })).rejects.toThrow(BlobMissingError);
        expect(await storage.stat(uuidv7())).toBeNull();
      });

      it('ends a read that nobody wants to the end', async () => {
        const stream = await storage.read(await store(storage, random));
        await once(stream, 'readable');
        expect((stream.read() as Buffer).length).toBeGreaterThan(0);
        stream.destroy();
        await once(stream, 'close');
        expect(stream.readableEnded).toBe(false);
      });
    });

    describe('head', () => {
      it('gives the first bytes, however many there are', async () => {
        const writer = await storage.write(uuidv7());
        expect(await writer.head(4096)).toEqual(Buffer.alloc(0));
        await writer.write([random.subarray(0, 10)]);
        expect(await writer.head(4096)).toEqual(random.subarray(0, 10));
        expect(await writer.head(4)).toEqual(random.subarray(0, 4));
        await put(writer, random.subarray(10));
        expectBytes(await writer.head(MIB), random.subarray(0, MIB));
        await writer.discard();
      });

      it.each([100, 8 * MIB, 17 * MIB])('still knows them when another writer goes on at %i', async (offset) => {
        const key = uuidv7();
        const first = await storage.write(key);
        await put(first, random.subarray(0, offset));
        const point = kept(await first.checkpoint());
        await first.close();
        const second = await storage.write(key, point);
        const size = Math.min(MIB, offset);
        expectBytes(await second.head(MIB), random.subarray(0, size));
        await put(second, random.subarray(offset));
        expectBytes(await second.head(MIB), random.subarray(0, MIB));
        await second.discard();
      });
    });

    describe('resuming', () => {
      const offsets = [0, 1, 5 * MIB - 1, 5 * MIB, 8 * MIB, 8 * MIB + 1, 16 * MIB, random.length];

      it.each(offsets)('goes on at %i; what came after the checkpoint is gone', async (offset) => {
        const key = uuidv7();
        const first = await storage.write(key);
        await put(first, random.subarray(0, offset));
        const point = kept(await first.checkpoint());
        expect(point.offset).toBe(offset);
        await put(first, Buffer.alloc(9 * MIB, 'x'));
        await first.close();

        const second = await storage.write(key, point);
        expect(second.offset).toBe(offset);
        await put(second, random.subarray(offset));
        expect([sha256(random), null]).toContain(await second.sha256());
        await second.publish();
        expectBytes(await load(storage, key), random);
        expect((await entries(storage)).map(({ size, isUnfinished }) => ({ size, isUnfinished }))).toEqual([
          { size: random.length, isUnfinished: false },
        ]);
      });

      it('goes on many times, with checkpoints in between', async () => {
        const key = uuidv7();
        let point: ResumePoint = { offset: 0, state: null };
        while (point.offset < random.length) {
          const writer = await storage.write(key, point);
          await put(writer, random.subarray(point.offset, point.offset + 1_700_000));
          await writer.checkpoint();
          await put(writer, random.subarray(writer.offset, writer.offset + 1_300_000));
          point = kept(await writer.checkpoint());
          await writer.close();
        }
        const last = await storage.write(key, point);
        await last.publish();
        expectBytes(await load(storage, key), random);
      });

      it.each([
        [3 * MIB, 7 * MIB],
        [3 * MIB, 4 * MIB],
        [9 * MIB, 10 * MIB],
      ])('goes on at %i when the checkpoint at %i was never recorded', async (recorded, lost) => {
        const key = uuidv7();
        const before = await storage.write(key);
        await put(before, random.subarray(0, MIB));
        await before.checkpoint();
        await put(before, random.subarray(MIB, recorded));
        const point = kept(await before.checkpoint());
        await put(before, Buffer.alloc(lost, 'x'));
        await before.checkpoint();
        await before.close();

        const after = await storage.write(key, point);
        await put(after, random.subarray(recorded));
        await after.publish();
        expectBytes(await load(storage, key), random);
      });

      it.each([1000, 12 * MIB])('repeats the publishing of %i bytes after a crash', async (size) => {
        const bytes = random.subarray(0, size);
        const key = uuidv7();
        const writer = await storage.write(key);
        await put(writer, bytes.subarray(0, size / 4));
        const early = kept(await writer.checkpoint());
        await put(writer, bytes.subarray(size / 4));
        const late = kept(await writer.checkpoint());
        await writer.publish();

        const again = await storage.write(key, late);
        expect(again.offset).toBe(size);
        expectBytes(await again.head(1000), bytes.subarray(0, 1000));
        await again.publish();
        expectBytes(await load(storage, key), bytes);

        const further = await storage.write(key, early);
        expect(further.offset).toBe(size / 4);
        await put(further, bytes.subarray(size / 4));
        await further.publish();
        expectBytes(await load(storage, key), bytes);
        expect(await entries(storage)).toHaveLength(1);
      });

      it('publishes only once what two writers have finished', async () => {
        const key = uuidv7();
        const first = await storage.write(key);
        await put(first, random);
        const point = kept(await first.checkpoint());
        const second = await storage.write(key, point);
        await first.publish();
        await second.publish();
        expectBytes(await load(storage, key), random);
      });

      it.each([1000, 9 * MIB])('refuses to go on at %i when the bytes are gone', async (size) => {
        const key = uuidv7();
        const writer = await storage.write(key);
        await put(writer, random.subarray(0, size));
        const point = kept(await writer.checkpoint());
        await writer.close();
        await storage.remove([key]);
        await expect(storage.write(key, point)).rejects.toThrow(BlobMissingError);
      });

      it.each([1000, 9 * MIB])('does not call %i bytes published that somebody has removed', async (size) => {
        const key = uuidv7();
        const first = await storage.write(key);
        await put(first, random.subarray(0, size));
        const writer = await storage.write(key, kept(await first.checkpoint()));
        await storage.remove([key]);
        const published = await writer.publish().then(
          () => true,
          (error: unknown) => error,
        );
        // S3 takes a blob of one part from the spool, which nobody can remove.
        if (published === true) expect((await storage.stat(key))?.size).toBe(size);
        else expect(published).toBeInstanceOf(BlobMissingError);
        await first.close();
        await writer.close();
      });
    });

    describe('removing', () => {
      it.each([0, 1000, 8 * MIB, 17 * MIB])('leaves nothing of %i bytes that are discarded', async (size) => {
        const writer = await storage.write(uuidv7());
        await put(writer, random.subarray(0, size));
        await writer.discard();
        await writer.discard();
        expect(await entries(storage)).toEqual([]);
      });

      it.each([1000, 17 * MIB])('leaves nothing of %i bytes that are discarded by another writer', async (size) => {
        const key = uuidv7();
        const writer = await storage.write(key);
        await put(writer, random.subarray(0, size / 2));
        await writer.checkpoint();
        await put(writer, random.subarray(size / 2, size));
        const point = kept(await writer.checkpoint());
        await writer.close();
        const other = await storage.write(key, point);
        await other.discard();
        expect(await entries(storage)).toEqual([]);
      });

      it('lists what a killed writer has left, and removes it', async () => {
        const [small, large] = [uuidv7(), uuidv7()];
        for (const [key, size] of [
          [small, 1000],
          [large, 17 * MIB],
        ] as const) {
          const writer = await storage.write(key);
          await put(writer, random.subarray(0, size));
          await writer.checkpoint();
          await writer.close();
        }
        const left = await entries(storage);
        expect(new Set(left.map(({ key }) => key))).toEqual(new Set([small, large]));
        expect(left.every(({ isUnfinished }) => isUnfinished)).toBe(true);
        await storage.remove([small, large]);
        expect(await entries(storage)).toEqual([]);
      });

      it('tells when each was changed last', async () => {
        const start = Date.now();
        const published = await store(storage, random.subarray(0, 9));
        const writer = await storage.write(uuidv7());
        await put(writer, random.subarray(0, 9 * MIB));
        await writer.checkpoint();
        const found = await entries(storage);
        expect(new Set(found.map(({ key }) => key)).size).toBe(2);
        const times = [...found, await storage.stat(published)].map((entry) => entry?.modifiedAt.getTime() ?? 0);
        // S3's times have whole seconds.
        expect(Math.min(...times)).toBeGreaterThan(start - 2000);
        await writer.discard();
      });

      it('removes published blobs beside unfinished and missing ones, and no others', async () => {
        const [gone, stays] = [
          await store(storage, random.subarray(0, 9)),
          await store(storage, random.subarray(9, 20)),
        ];
        const unfinished = uuidv7();
        const writer = await storage.write(unfinished);
        await put(writer, random.subarray(0, 9 * MIB));
        await writer.checkpoint();
        await writer.close();
        await storage.remove([]);
        await storage.remove([gone, uuidv7(), unfinished]);
        await storage.remove([gone, uuidv7(), unfinished]);
        expect((await entries(storage)).map(({ key }) => key)).toEqual([stays]);
        expect(await storage.findMissing([gone, stays, unfinished])).toEqual([gone, unfinished]);
        await expect(storage.read(gone)).rejects.toThrow(BlobMissingError);
        expect(await load(storage, stays)).toEqual(random.subarray(9, 20));
      });

      it('lists page by page, and removes more than fit one request', async () => {
        // The same ending: all in one folder of the local driver.
        const keys = Array.from({ length: 1010 }, () => `${uuidv7().slice(0, -2)}aa`);
        for (let from = 0; from < keys.length; from += 20)
          await Promise.all(keys.slice(from, from + 20).map((key) => store(storage, Buffer.from('x'), key)));
        const sizes: number[] = [];
        const found: string[] = [];
        for await (const page of storage.list()) {
          sizes.push(page.length);
          found.push(...page.map(({ key }) => key));
        }
        expect(Math.max(...sizes)).toBeLessThanOrEqual(1000);
        expect(found.sort()).toEqual([...keys].sort());
        expect(await storage.findMissing([...keys, 'no-such-key'])).toEqual(['no-such-key']);
        await storage.remove(keys);
        expect(await entries(storage)).toEqual([]);
      });
    });

    it('keeps its name', async () => {
      expect(await storage.readIdentity()).toBeNull();
      await storage.writeIdentity('one');
      await storage.writeIdentity('two');
      expect(await storage.readIdentity()).toBe('two');
      expect(await entries(storage)).toEqual([]);
      await storage.open();
      const isReached = () =>
        storage.probe().then(
          () => true,
          () => false,
        );
      await until(isReached, 'a probe that is answered in time');
    });
  });
}

describe('storage: local', () => {
  const bytes = randomBytes(100_000);
  let directory: string;
  let storage: LocalStorage;

  beforeEach(async () => {
    directory = newFolder();
    storage = new LocalStorage(directory, hashes);
    await storage.open();
  });

  it('has whole files under their final names only', async () => {
    const key = uuidv7();
    const writer = await storage.write(key);
    await writer.write([bytes]);
    expect(await entries(storage)).toMatchObject([{ key, size: bytes.length, isUnfinished: true }]);
    await writer.publish();
    expect((await entries(storage))[0].isUnfinished).toBe(false);
    expect(readdirSync(join(directory, 'unfinished'))).toEqual([]);
  });

  it('does not go on with a file that is shorter than its checkpoint', async () => {
    const key = uuidv7();
    const writer = await storage.write(key);
    await writer.write([bytes]);
    const point = await writer.checkpoint();
    await writer.close();
    const file = await open(join(directory, 'unfinished', key), 'r+');
    await file.truncate(bytes.length - 1);
    await file.close();
    await expect(storage.write(key, point)).rejects.toThrow(BlobMissingError);
  });

  it('tells the operator when the folder cannot be made', async () => {
    const path = join(directory, 'a-file');
    await writeFile(path, '');
    const failure = new LocalStorage(join(path, 'files'), hashes).open();
    await expect(failure).rejects.toThrow(StorageUnusableError);
    await expect(failure).rejects.toThrow(join(path, 'files'));
  });

  it('has no addresses of its own, and is not usable when its folder is gone', async () => {
    expect(await storage.downloadUrl()).toBeNull();
    rmSync(directory, { recursive: true });
    await expect(storage.probe()).rejects.toThrow();
  });
});

(hasS3Server() ? describe : describe.skip)('storage: S3', () => {
  const bytes = randomBytes(17 * MIB);

  /** Stands in front of the real server. What `interfere` says it has dealt with goes no further. */
  async function proxy(interfere: Interference<boolean>): Promise<{ endpoint: string; front: Server }> {
    const target = new URL(server?.endpoint ?? '');
    const front = createServer((incoming, answer) => {
      if (interfere(incoming, answer)) return;
      const { method, url, headers } = incoming;
      const onward = request({ hostname: target.hostname, port: target.port, method, path: url, headers }, (reply) => {
        answer.writeHead(reply.statusCode ?? 500, reply.headers);
        reply.pipe(answer);
      });
      onward.on('error', () => answer.destroy());
      answer.on('close', () => onward.destroy());
      incoming.pipe(onward);
    }).listen(0, '127.0.0.1');
    await once(front, 'listening');
    return { endpoint: `http://127.0.0.1:${(front.address() as AddressInfo).port}`, front };
  }

  async function close(front: Server): Promise<void> {
    front.closeAllConnections();
    front.close();
    await once(front, 'close');
  }

  describe('presigned downloads', () => {
    it('are handed out by the store, as the file that they are', async () => {
      const storage = await s3Storage();
      await storage.open();
      const key = await store(storage, bytes);
      const url = (await storage.downloadUrl(key, HEADERS)) ?? '';
      const answer = await fetch(url);
      expect(answer.status).toBe(200);
      expect(Object.fromEntries(answer.headers)).toMatchObject({
        'content-type': HEADERS.contentType,
        'content-disposition': HEADERS.contentDisposition,
        'cache-control': 'private, no-cache',
      });
      expectBytes(Buffer.from(await answer.arrayBuffer()), bytes);
      expect(new URL(url).searchParams.get('X-Amz-Expires')).toBe('300');

      const wrong = new URL(url);
      wrong.searchParams.set('response-content-type', 'text/html');
      expect((await fetch(wrong)).status).toBe(403);
      const other = new URL(url);
      other.pathname = other.pathname.replace(key, uuidv7());
      expect((await fetch(other)).status).toBe(403);
      await storage.close();
    });

    it('are not, unless wanted', async () => {
      const storage = await s3Storage({ hasPresignedDownloads: false });
      expect(await storage.downloadUrl(uuidv7(), HEADERS)).toBeNull();
      await storage.close();
    });
  });

  describe('a store that cannot be used', () => {
    const refusal = async (changes: Partial<S3Config>): Promise<Error> => {
      const storage = new S3Storage(await s3Config(changes), newFolder(), hashes, { waitMs: 0 });
      const error = await storage.open().then(
        () => new Error('it was opened'),
        (failure: Error) => failure,
      );
      await expect(storage.probe()).rejects.toThrow();
      await storage.close();
      return error;
    };

    it.each([
      ['S3_BUCKET', { bucket: 'there-is-no-such-bucket' }],
      ['S3_SECRET_ACCESS_KEY', { secretAccessKey: SECRET }],
      ['S3_ACCESS_KEY_ID', { accessKeyId: 'nobody' }],
      ['S3_ENDPOINT', { endpoint: 'http://127.0.0.1:9', secretAccessKey: SECRET }],
      ['S3_ENDPOINT', { endpoint: 'http://no-such-host.invalid' }],
    ])('names %s', async (variable, changes) => {
      const error = await refusal(changes);
      expect(error).toBeInstanceOf(StorageUnusableError);
      expect(error.message).toContain(variable);
      expect(error.message).not.toContain(SECRET);
    });

    it('names the folder that bytes wait in', async () => {
      const path = join(newFolder(), 'a-file');
      await writeFile(path, '');
      const storage = new S3Storage(await s3Config(), path, hashes);
      await expect(storage.open()).rejects.toThrow(/DATA_DIR.*a-file/);
    });

    it('is waited for when it starts later', async () => {
      let refused = 0;
      const { endpoint, front } = await proxy((incoming) => {
        if (refused++ > 4) return false;
        incoming.socket.destroy();
        return true;
      });
      const storage = await s3Storage({ endpoint });
      await storage.open();
      expect(refused).toBeGreaterThan(4);
      await storage.close();
      await close(front);
    });
  });

  describe('an outage', () => {
    it('is told as such when it lasts', async () => {
      const storage = await s3Storage({ endpoint: 'http://127.0.0.1:9' });
      await expect(storage.stat(uuidv7())).rejects.toThrow(ServiceUnavailableError);
      await expect(storage.read(uuidv7())).rejects.toThrow(ServiceUnavailableError);
      const spools = newFolder();
      const writer = await new S3Storage(await s3Config({ endpoint: 'http://127.0.0.1:9' }), spools, hashes).write(
        uuidv7(),
      );
      await put(writer, bytes.subarray(0, 1000));
      await expect(writer.publish()).rejects.toThrow(ServiceUnavailableError);
      await writer.discard();
      await storage.close();
    });

    it.each<[string, Interference]>([
      ['an error', (incoming, answer) => void answer.writeHead(503).end(() => incoming.resume())],
      ['a broken connection', (incoming) => void incoming.once('data', () => incoming.socket.destroy())],
    ])('of one request is not noticed: %s', async (_kind, fail) => {
      const failed: string[] = [];
      const { endpoint, front } = await proxy((incoming, answer) => {
        const what = incoming.method === 'PUT' ? `${incoming.url}` : '';
        if (!what || failed.includes(what)) return false;
        failed.push(what);
        fail(incoming, answer);
        return true;
      });
      const storage = await s3Storage({ endpoint });
      for (const size of [1000, bytes.length]) {
        const key = await store(storage, bytes.subarray(0, size));
        expectBytes(await load(storage, key), bytes.subarray(0, size));
      }
      expect(failed).toHaveLength(4);
      await storage.close();
      await close(front);
    });

    it('ends an upload of which a part cannot be sent', async () => {
      const { endpoint, front } = await proxy((incoming, answer) => {
        if (!incoming.url?.includes('partNumber=2')) return false;
        incoming.resume().once('end', () => answer.writeHead(500).end());
        return true;
      });
      const storage = await s3Storage({ endpoint });
      const writer = await storage.write(uuidv7());
      await put(writer, bytes);
      await expect(writer.checkpoint()).rejects.toThrow(ServiceUnavailableError);
      await writer.discard();
      expect(await entries(storage)).toEqual([]);
      await storage.close();
      await close(front);
    });
  });

  it('ends the request when a download is given up', async () => {
    const ended: Promise<unknown>[] = [];
    const { endpoint, front } = await proxy((incoming, answer) => {
      if (incoming.method === 'GET') ended.push(once(answer, 'close').then(() => answer.writableFinished));
      return false;
    });
    const storage = await s3Storage({ endpoint });
    const stream = await storage.read(await store(storage, bytes));
    await once(stream, 'readable');
    stream.destroy();
    expect(await Promise.all(ended)).toEqual([false]);
    await storage.close();
    await close(front);
  });

  it('leaves no file in the folder that bytes wait in', async () => {
    const spools = newFolder();
    const left = join(spools, `${uuidv7()}.spool`);
    await writeFile(left, 'from a process that was killed');
    const storage = new S3Storage(await s3Config(), spools, hashes);
    await storage.open();
    const writer = await storage.write(uuidv7());
    await put(writer, bytes);
    expect(readdirSync(spools)).toEqual([]);
    await writer.discard();
    await storage.close();
  });

  it('makes parts large enough for the largest file', async () => {
    const storage = new S3Storage(await s3Config(), newFolder(), hashes, { maxFileBytes: 90_000 * MIB });
    await storage.open();
    const writer = await storage.write(uuidv7());
    await put(writer, bytes);
    expect((await writer.checkpoint()).state).toMatchObject({ partBytes: 9 * MIB, tail: { size: 8 * MIB } });
    await writer.discard();
    await storage.close();
  });
});
