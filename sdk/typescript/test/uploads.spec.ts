import { createReadStream, openAsBlob, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import type { ReadableStream as NodeWebStream } from 'node:stream/web';
import { Dice, MIB, sha256, storedFiles } from '../../../test/support/uploads.js';
import {
  AuthenticationError,
  ConnectionError,
  type Gatehouse,
  NotFoundError,
  PermissionDeniedError,
  RateLimitError,
  type UploadProgress,
} from '../src/index.js';
import { counted, Intake, streamOf as streamOfChunks } from '../src/uploads/streams.js';
import { all, failureOf, fault, json, LocalServer, reset, TestServer } from './support.js';

const seeded = new Dice(21);
const dice = {
  text: (size: number) => seeded.text(size) as Buffer<ArrayBuffer>,
  bytes: (size: number) => seeded.bytes(size) as Buffer<ArrayBuffer>,
};

/** A stream of so many pieces. */
const streamOf = (...pieces: (string | Buffer)[]) =>
  new ReadableStream<Uint8Array>({
    start(controller) {
      for (const piece of pieces) controller.enqueue(new Uint8Array(Buffer.from(piece)));
      controller.close();
    },
  });

describe('uploads', () => {
  let server: TestServer;
  let api: Gatehouse;

  beforeAll(async () => {
    server = await TestServer.start({ MAX_FILE_SIZE: String(4 * MIB), USER_QUOTA: String(6 * MIB) });
  });
  beforeEach(async () => {
    ({ api } = await server.user());
  });
  afterAll(() => server.stop());

  const textOf = async (id: string) => (await api.uploads.download(id)).text();

  describe('create()', () => {
    it('uploads a File with its name and type', async () => {
      const file = new File(['a,b\n1,2\n'], 'naïve "table".csv', { type: 'text/csv' });
      const stored = await api.uploads.create(file, { description: 'Zwei Spalten\nund "mehr"' });
      expect(stored).toMatchObject({
        filename: 'naïve "table".csv',
        content_type: 'text/csv',
        file_size: 8,
        file_hash: sha256(Buffer.from('a,b\n1,2\n')),
      });
      expect(stored.description).toMatch(/^Zwei Spalten\r?\nund "mehr"$/);
      expect(await textOf(stored.id)).toBe('a,b\n1,2\n');
    });

    it('uploads bytes, views of bytes, and what has no name', async () => {
      const bytes = new Uint8Array([104, 101, 108, 108, 111]);
      for (const [source, text] of [
        [bytes, 'hello'],
        [bytes.buffer, 'hello'],
        [bytes.subarray(1, 3), 'el'],
        [new DataView(bytes.buffer, 2), 'llo'],
        [Buffer.from('hello'), 'hello'],
        [new Blob(['hello']), 'hello'],
      ] as const) {
        const stored = await api.uploads.create(source);
        expect([stored.filename, await textOf(stored.id)]).toEqual(['file', text]);
      }
      const named = await api.uploads.create(bytes, { filename: 'greeting.txt', contentType: 'text/plain' });
      expect(named).toMatchObject({ filename: 'greeting.txt', content_type: 'text/plain' });
    });

    it('uploads an empty file', async () => {
      const seen: UploadProgress[] = [];
      const onProgress = (progress: UploadProgress) => void seen.push(progress);
      const stored = await api.uploads.create(new File([], 'empty.txt'), { onProgress });
      expect([stored.file_size, seen]).toEqual([0, [{ sent: 0, total: 0 }]]);
    });

    it('uploads a file on disk', async () => {
      const path = join(server.dataDir, 'on-disk.txt');
      const content = dice.text(1_000_000);
      writeFileSync(path, content);
      const stored = await api.uploads.create(await openAsBlob(path), { filename: 'on-disk.txt' });
      expect([stored.file_hash, stored.filename]).toEqual([sha256(content), 'on-disk.txt']);
    });

    it('uploads a stream of known size, and tells what is wrong with one of another', async () => {
      const stored = await api.uploads.create(streamOf('one ', 'two'), {
        size: 7,
        filename: 'a"b.txt',
        description: 'd',
      });
      expect(stored).toMatchObject({ filename: 'a"b.txt', file_size: 7, description: 'd' });
      expect(await textOf(stored.id)).toBe('one two');
      const short = await failureOf(api.uploads.create(streamOf('one'), { size: 7 }));
      expect([short.name, short.message]).toEqual(['RangeError', 'The stream has ended after 3 of 7 bytes']);
      const long = await failureOf(api.uploads.create(streamOf('one', 'two'), { size: 5 }));
      expect([long.name, long.message]).toEqual(['RangeError', 'The stream has more than 5 bytes']);
      const broken = new Error('the disk is gone');
      const failing = new ReadableStream<Uint8Array>({ pull: () => Promise.reject(broken) });
      expect(await failureOf(api.uploads.create(failing, { size: 5 }))).toBe(broken);
      expect((await api.uploads.list()).total).toBe(1);
    });

    it('uploads streams of Node.js and whatever gives bytes one after the other', async () => {
      const path = join(server.dataDir, 'streamed.txt');
      writeFileSync(path, 'one two');
      const web: NodeWebStream<Uint8Array> = Readable.toWeb(createReadStream(path));
      const generator = async function* () {
        yield* [Buffer.from('one '), new Uint8Array(Buffer.from('two'))];
      };
      for (const resumable of [false, true])
        for (const source of [createReadStream(path), Readable.from([Buffer.from('one two')]), generator()])
          expect(await textOf((await api.uploads.create(source, { size: 7, resumable })).id)).toBe('one two');
      expect(await textOf((await api.uploads.create(web, { size: 7 })).id)).toBe('one two');
      const left = createReadStream(path);
      await failureOf(server.client({ baseURL: `${server.url}/nowhere` }).uploads.create(left, { size: 7 }));
      await failureOf(api.uploads.create(left, { size: 6 }));
      expect(left.destroyed).toBe(true);
    });

    it('lets go of its source when nobody has asked for a byte of it, and when it gives nothing', async () => {
      const faults: unknown[] = [];
      for (const isBegun of [false, true]) {
        let isCancelled = false;
        const source = new ReadableStream<Uint8Array>({ cancel: () => void (isCancelled = true) });
        const intake = new Intake(source);
        const watch = { report: () => undefined, fail: (error: unknown) => void faults.push(error) };
        const reader = streamOfChunks(counted(intake, 10, watch), intake).getReader();
        const first = isBegun ? reader.read() : null;
        await reader.cancel();
        expect([isCancelled, (await first)?.done]).toEqual([true, isBegun ? true : undefined]);
      }
      expect(faults).toEqual([]);
    });

    it.each([
      ['in silence', {}],
      ['watched', { onProgress: () => undefined }],
      ['resumable', { resumable: true }],
    ])('says at once that a file on disk has changed: %s', async (_how, options) => {
      const path = join(server.dataDir, 'changing.txt');
      writeFileSync(path, 'as it was');
      const blob = await openAsBlob(path);
      writeFileSync(path, 'as it is, which is longer');
      expect((await failureOf(api.uploads.create(blob, options))).name).toBe('NotReadableError');
    });

    it.each([false, true])('refuses streams that are read already or are not of bytes (resumable: %s)', async (how) => {
      const taken = streamOf('abc');
      taken.getReader();
      const locked = await failureOf(api.uploads.create(taken, { size: 3, resumable: how }));
      expect([locked.name, locked.message]).toEqual(['TypeError', expect.stringMatching(/by somebody else$/)]);
      for (const source of [new Blob(['abc']).stream().pipeThrough(new TextDecoderStream() as never), ['abc']]) {
        const given = Array.isArray(source) ? Readable.from(source) : source;
        const failure = await failureOf(api.uploads.create(given as never, { size: 3, resumable: how }));
        expect([failure.name, failure.message]).toEqual(['TypeError', 'The chunks of a stream are Uint8Arrays']);
      }
    });

    it('takes null for no description, and an empty name for none, by both ways', async () => {
      for (const resumable of [false, true])
        for (const description of [null, '', undefined])
          for (const onProgress of [undefined, () => undefined]) {
            const options = { description, resumable, onProgress, filename: '' };
            const named = await api.uploads.create(new File(['a'], 'named.txt'), options);
            expect([named.description, named.filename]).toEqual([null, 'named.txt']);
            expect((await api.uploads.create(new Blob(['a']), options)).filename).toBe('file');
          }
    });

    it('is sent again after a 429, unless it is a stream or nobody wants to wait', async () => {
      let refusals = 0;
      const proxy = await LocalServer.proxy(server.url, (request, response, body) => {
        if (request.url !== '/api/v1/uploads' || refusals-- <= 0) return false;
        json(429, fault(429, 'rate_limited'), { 'Retry-After': '0' })(request, response, body);
        return true;
      });
      const { key } = await api.users.apiKeys.create({ name: 'behind' });
      const behind = server.client({ baseURL: proxy.url, apiKey: key });
      for (const onProgress of [undefined, () => undefined]) {
        refusals = 2;
        expect((await behind.uploads.create(new Blob(['again']), { onProgress })).file_size).toBe(5);
      }
      refusals = 1;
      expect(await failureOf(behind.uploads.create(streamOf('a'), { size: 1 }))).toBeInstanceOf(RateLimitError);
      refusals = 1;
      const once = server.client({ baseURL: proxy.url, apiKey: key, maxRetries: 0 });
      expect(await failureOf(once.uploads.create(new Blob(['a'])))).toBeInstanceOf(RateLimitError);
      await proxy.stop();
    });

    it('refuses what is no file', async () => {
      for (const nothing of ['/etc/passwd', null, undefined, {}, 5])
        expect((await failureOf(api.uploads.create(nothing as never))).message).toMatch(/^A file is a Blob/);
      for (const size of [undefined, -1, 1.5, NaN])
        expect((await failureOf(api.uploads.create(streamOf('a'), { size }))).message).toMatch(/with its size/);
    });

    it('tells how far it is: never less, and all in the end', async () => {
      const content = dice.text(MIB);
      for (const source of [new Blob([content]), streamOf(content.subarray(0, 1000), content.subarray(1000))]) {
        const seen: UploadProgress[] = [];
        const stored = await api.uploads.create(source, {
          size: MIB,
          onProgress: (progress) => void seen.push(progress),
        });
        expect(stored.file_hash).toBe(sha256(content));
        const sent = seen.map((progress) => progress.sent);
        expect(sent).toEqual([...new Set(sent)].sort((a, b) => a - b));
        expect(sent.length).toBeGreaterThan(1);
        expect(seen.at(-1)).toEqual({ sent: MIB, total: MIB });
      }
    });

    it('ends with the error that a listener throws', async () => {
      const fault = new Error('not drawn');
      const onProgress = () => {
        throw fault;
      };
      expect(await failureOf(api.uploads.create(new Blob([dice.text(MIB)]), { onProgress }))).toBe(fault);
      expect((await api.uploads.list()).total).toBe(0);
    });

    it('is aborted by a signal, and leaves nothing', async () => {
      const { api: other, id } = await server.user();
      expect(await failureOf(other.uploads.create(new Blob(['a']), { signal: AbortSignal.abort('early') }))).toBe(
        'early',
      );
      const stop = new AbortController();
      const slow = new ReadableStream<Uint8Array>({
        pull(controller) {
          controller.enqueue(new Uint8Array(1000));
          stop.abort(new Error('changed my mind'));
          return new Promise(() => undefined);
        },
      });
      const failure = await failureOf(other.uploads.create(slow, { size: 2000, signal: stop.signal }));
      expect(failure.message).toBe('changed my mind');
      expect(id).not.toBe('');
      expect((await other.uploads.list()).total).toBe(0);
    });

    it.each([
      ['a blob', (content: Buffer<ArrayBuffer>) => new Blob([content])],
      ['a stream', (content: Buffer<ArrayBuffer>) => streamOf(content)],
    ])('throws the error of the server although it answers before it has read all: %s', async (_kind, toSource) => {
      // However the bytes and the answer meet.
      for (let time = 0; time < 5; time++) {
        const large = dice.bytes(5 * MIB);
        const tooLarge = await failureOf(api.uploads.create(toSource(large), { size: large.length, resumable: false }));
        expect([tooLarge.status, tooLarge.code]).toEqual([413, 'file_too_large']);
      }
      const content = dice.text(3 * MIB);
      const onProgress = () => undefined;
      const mismatch = await failureOf(
        api.uploads.create(toSource(content), { size: content.length, filename: 'a.png', onProgress }),
      );
      expect([mismatch.status, mismatch.code]).toEqual([415, 'file_type_mismatch']);
      await api.uploads.create(toSource(content), { size: content.length });
      const full = await failureOf(api.uploads.create(toSource(dice.text(3.5 * MIB)), { size: 3.5 * MIB, onProgress }));
      expect([full.status, full.code, full.requestId]).toEqual([507, 'quota_exceeded', expect.stringMatching(/./)]);
      expect((await api.uploads.list()).total).toBe(1);
    });

    it('names the fields that are wrong', async () => {
      const long = await failureOf(api.uploads.create(new Blob(['a']), { description: 'a'.repeat(1001) }));
      expect([long.status, Object.keys(long.fieldErrors)]).toEqual([422, ['description']]);
    });

    it('is sent once, whatever becomes of it', async () => {
      const busy = await LocalServer.answering(json(503, fault(503, 'service_unavailable')));
      const broken = await LocalServer.answering(reset);
      for (const { url } of [busy, broken]) {
        const client = server.client({ baseURL: url, apiKey: 'a-key' });
        await expect(client.uploads.create(new Blob(['a']))).rejects.toThrow();
        await expect(client.uploads.create(streamOf('a'), { size: 1 })).rejects.toThrow();
        await expect(client.uploads.create(new Blob(['a']), { onProgress: () => undefined })).rejects.toThrow();
      }
      expect([busy.asked.length, broken.asked.length]).toEqual([3, 3]);
      await busy.stop();
      await broken.stop();
      const gone = await failureOf(server.client({ baseURL: broken.url, apiKey: 'a' }).uploads.create(new Blob(['a'])));
      expect(gone).toBeInstanceOf(ConnectionError);
    });

    it.each([
      ['in silence', undefined],
      ['watched', () => undefined],
    ])('is sent again with another token when the first one was refused: %s', async (_how, onProgress) => {
      let isFirst = true;
      const proxy = await LocalServer.proxy(server.url, (request, response, body) => {
        if (request.url !== '/api/v1/uploads' || !isFirst) return false;
        isFirst = false;
        json(401, fault(401, 'invalid_token'))(request, response, body);
        return true;
      });
      const { api: behind } = await server.user({ baseURL: proxy.url });
      const stored = await behind.uploads.create(new Blob(['again']), { onProgress });
      expect([stored.file_size, proxy.count('/api/v1/uploads'), proxy.count('/api/v1/auth/refresh')]).toEqual([
        5, 2, 1,
      ]);
      isFirst = true;
      const stream = await failureOf(behind.uploads.create(streamOf('a'), { size: 1 }));
      expect(stream).toBeInstanceOf(AuthenticationError);
      await proxy.stop();
    });
  });

  it('lists, iterates, shows, changes and deletes', async () => {
    for (const name of ['b.txt', 'a.txt', 'c.md'])
      await api.uploads.create(new Blob([name]), { filename: name, description: `about ${name}` });
    const { items, total, pages } = await api.uploads.list({ sort_by: 'filename', sort_order: 'asc', size: 2 });
    expect([items.map(({ filename }) => filename), total, pages]).toEqual([['a.txt', 'b.txt'], 3, 2]);
    const found = await all(api.uploads.iterate({ search: '.txt', sort_by: 'filename', sort_order: 'desc' }));
    expect(found.map(({ filename }) => filename)).toEqual(['b.txt', 'a.txt']);
    const [{ id }] = items;
    expect(await api.uploads.get(id)).toEqual(items[0]);
    const changed = await api.uploads.update(id, { filename: 'z.txt', description: null });
    expect(changed).toMatchObject({ filename: 'z.txt', original_filename: 'a.txt', description: null });
    expect(await api.uploads.delete(id)).toBeUndefined();
    expect(await failureOf(api.uploads.get(id))).toBeInstanceOf(NotFoundError);
    expect(await api.uploads.bulkDelete([items[1].id, id])).toEqual({
      deleted: [items[1].id],
      failed: [{ id, error_code: 'file_not_found' }],
    });
    expect((await all(api.uploads.iterate())).map(({ filename }) => filename)).toEqual(['c.md']);
  });

  it('gives no file away to others', async () => {
    const { id } = await api.uploads.create(new Blob(['mine']));
    const { api: other } = await server.user();
    expect(await failureOf(other.uploads.get(id))).toBeInstanceOf(NotFoundError);
    expect(await failureOf(other.uploads.download(id))).toBeInstanceOf(NotFoundError);
    expect(await failureOf(other.uploads.delete(id))).toBeInstanceOf(NotFoundError);
  });

  it('works by a key, within its scopes', async () => {
    const { key } = await api.users.apiKeys.create({ name: 'drop', scopes: ['uploads:write'] });
    const writer = server.client({ apiKey: key });
    const { id } = await writer.uploads.create(new Blob(['by key']));
    expect(await failureOf(writer.uploads.get(id))).toBeInstanceOf(PermissionDeniedError);
    expect(await textOf(id)).toBe('by key');
  });

  it('tells what resumable uploads can be', async () => {
    expect(await server.client().uploads.resumableLimits()).toEqual({
      version: '1.0.0',
      extensions: expect.arrayContaining(['creation', 'termination', 'checksum', 'expiration']),
      maxSize: 4 * MIB,
      checksumAlgorithms: ['sha1', 'sha256', 'md5'],
    });
  });

  it('has left nothing unfinished on the server', () => {
    expect(storedFiles(server.dataDir).unfinished).toEqual([]);
  });
});
