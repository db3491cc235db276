import {
  Dice,
  freePort,
  Line,
  MIB,
  sha256,
  sizeOf,
  storedFiles,
  unfinishedPath,
  until,
} from '../../../test/support/uploads.js';
import {
  AuthenticationError,
  ConnectionError,
  type Gatehouse,
  memoryTokens,
  PermissionDeniedError,
  type UploadProgress,
  type UploadStorage,
} from '../src/index.js';
import { failureOf, fault, json, LocalServer, TestServer } from './support.js';

const seeded = new Dice(23);
const dice = { text: (size: number) => seeded.text(size) as Buffer<ArrayBuffer> };
const RESUMABLE = '/api/v1/uploads/resumable';

/** Keeps what is unfinished, and what was ever kept. */
class Memory implements UploadStorage {
  readonly kept = new Map<string, string>();
  readonly ever: string[] = [];
  get(key: string) {
    return this.kept.get(key) ?? null;
  }
  async set(key: string, id: string | null) {
    if (id === null) this.kept.delete(key);
    else this.kept.set(key, id);
    if (id !== null && !this.ever.includes(id)) this.ever.push(id);
  }
}

const piecewise = (content: Buffer, size: number) => {
  let at = 0;
  return new ReadableStream<Uint8Array>({
    pull(controller) {
      if (at >= content.length) return controller.close();
      controller.enqueue(new Uint8Array(content.subarray(at, (at += size))));
    },
  });
};

describe('a resumable upload', () => {
  let server: TestServer;
  let line: Line;
  let api: Gatehouse;
  const proxies: LocalServer[] = [];

  beforeAll(async () => {
    const environment = {
      MAX_FILE_SIZE: String(48 * MIB),
      USER_QUOTA: String(100 * MIB),
      PORT: String(await freePort()),
    };
    server = await TestServer.start(environment);
    line = await Line.to(Number(new URL(server.url).port));
  });
  beforeEach(async () => {
    ({ api } = await server.user());
  });
  afterEach(() => {
    line.break();
  });
  afterAll(async () => {
    await line.close();
    await Promise.all(proxies.map((proxy) => proxy.stop()));
    await server.stop();
  });

  const unfinished = () => storedFiles(server.dataDir).unfinished;
  const proxied = async (...watch: [Parameters<typeof LocalServer.proxy>[1]?]) => {
    const proxy = await LocalServer.proxy(server.url, ...watch);
    proxies.push(proxy);
    return proxy;
  };
  const methodsOf = ({ asked }: LocalServer) =>
    asked.filter(({ path }) => path.startsWith('/api/v1/uploads')).map(({ method }) => method);

  it('is what a large file is sent by, and only that', async () => {
    const proxy = await proxied();
    const { api: behind } = await server.user({ baseURL: proxy.url });
    const small = dice.text(1000);
    const send = async (options: object) => {
      proxy.asked.length = 0;
      const stored = await behind.uploads.create(new File([small], 'a.txt', { type: 'text/plain' }), {
        description: 'Größe',
        ...options,
      });
      expect(stored).toMatchObject({
        filename: 'a.txt',
        file_size: 1000,
        description: 'Größe',
        file_hash: sha256(small),
      });
      return methodsOf(proxy);
    };
    expect(await send({})).toEqual(['POST']);
    expect(await send({ resumable: true })).toEqual(['POST', 'PATCH', 'PATCH']);
    expect(await send({ resumableAbove: 1000 })).toEqual(['POST']);
    expect(await send({ resumableAbove: 999 })).toEqual(['POST', 'PATCH', 'PATCH']);
    expect(await send({ resumableAbove: 999, resumable: false })).toEqual(['POST']);
    proxy.asked.length = 0;
    await behind.uploads.create(new Blob([dice.text(8 * MIB + 1)]));
    expect(proxy.asked[0].path).toBe(RESUMABLE);
  });

  it('takes a stream, of which it keeps one part', async () => {
    const content = dice.text(20 * MIB);
    const proxy = await proxied();
    const { api: behind } = await server.user({ baseURL: proxy.url });
    const stored = await behind.uploads.create(piecewise(content, 300_000), { size: content.length });
    expect(stored.file_hash).toBe(sha256(content));
    expect(methodsOf(proxy)).toEqual(['POST', 'PATCH', 'PATCH', 'PATCH', 'PATCH']);
    const short = await failureOf(api.uploads.create(piecewise(content, 1000), { size: content.length + 1 }));
    expect([short.name, short.message]).toMatchObject(['RangeError', expect.stringMatching(/has ended after/)]);
    const long = await failureOf(api.uploads.create(piecewise(content, 1000), { size: content.length - 1 }));
    expect([long.name, long.message]).toMatchObject(['RangeError', expect.stringMatching(/has more than/)]);
    expect((await api.uploads.list()).total).toBe(0);
  });

  it('takes an empty file', async () => {
    const stored = await api.uploads.create(new File([], 'empty.txt'), { resumable: true });
    expect([stored.filename, stored.file_size]).toEqual(['empty.txt', 0]);
  });

  it('goes on when its connection breaks, and tells progress that never falls', async () => {
    const { api: behind } = await server.user({ baseURL: line.url });
    const content = dice.text(40 * MIB);
    const seen: UploadProgress[] = [];
    let breaks = 0;
    const onProgress = (progress: UploadProgress) => {
      seen.push(progress);
      // On its way, once and again.
      if (breaks < 2 && progress.sent > (breaks + 1) * 12 * MIB) {
        breaks++;
        line.break();
      }
    };
    const stored = await behind.uploads.create(new File([content], 'a.txt'), { onProgress });
    expect([stored.file_hash, breaks]).toEqual([sha256(content), 2]);
    const sent = seen.map((progress) => progress.sent);
    expect(sent).toEqual([...new Set(sent)].sort((a, b) => a - b));
    expect(sent.length).toBeGreaterThan(10);
    expect(seen.at(-1)).toEqual({ sent: content.length, total: content.length });
  });

  it.each(['a Blob', 'a stream'])('goes on when the server is killed and started again: %s', async (kind) => {
    const { api: behind } = await server.user({ baseURL: line.url });
    const content = dice.text(40 * MIB);
    line.holdAfter(30 * MIB);
    const source = kind === 'a Blob' ? new Blob([content]) : piecewise(content, 100_000);
    const uploading = behind.uploads.create(source, { filename: 'big.txt', size: content.length });
    const bytesThere = () => Math.max(-1, ...unfinished().map((id) => sizeOf(unfinishedPath(server.dataDir, id))));
    await until(() => bytesThere() > 28 * MIB, 'most of it');
    await server.kill();
    line.break();
    await server.restart();
    const stored = await uploading;
    expect([stored.file_hash, stored.filename]).toEqual([sha256(content), 'big.txt']);
    const back = await (await api.uploads.download(stored.id).catch(() => behind.uploads.download(stored.id))).bytes();
    expect(sha256(Buffer.from(back))).toBe(sha256(content));
    expect(unfinished()).toEqual([]);
  });

  it('frees what it has reserved when it is aborted', async () => {
    const { api: behind } = await server.user({ baseURL: line.url });
    const stop = new AbortController();
    line.holdAfter(4 * MIB);
    const uploading = behind.uploads.create(new Blob([dice.text(20 * MIB)]), { signal: stop.signal });
    await until(() => unfinished().length === 1, 'its beginning');
    line.break();
    const reason = new Error('changed my mind');
    stop.abort(reason);
    expect(await failureOf(uploading)).toBe(reason);
    expect(unfinished()).toEqual([]);
    expect((await behind.uploads.list()).total).toBe(0);
    // The space is there again.
    for (let time = 0; time < 2; time++) await behind.uploads.create(new Blob([dice.text(45 * MIB)]));
  });

  it('is gone on with by another client, which knows the file and where that is kept', async () => {
    const user = await server.user({ baseURL: line.url });
    const memory = new Memory();
    const content = dice.text(30 * MIB);
    const file = () => new File([content], 'film.txt', { lastModified: 1_700_000_000_000 });
    const stop = new AbortController();
    line.holdAfter(20 * MIB);
    const first = user.api.uploads.create(file(), { resume: memory, signal: stop.signal });
    const bytesThere = () => Math.max(-1, ...unfinished().map((id) => sizeOf(unfinishedPath(server.dataDir, id))));
    await until(() => bytesThere() > 18 * MIB, 'some of it');
    stop.abort();
    expect((await failureOf(first)).name).toBe('AbortError');
    line.break();
    expect([memory.kept.size, unfinished().length]).toEqual([1, 1]);

    const asked: RequestInit[] = [];
    const tokens = memoryTokens();
    await server.client({ tokens }).auth.login({ email: user.email, password: user.password });
    const later = server.client({
      baseURL: line.url,
      tokens,
      fetch: (input, init = {}) => {
        if (String(input).includes(RESUMABLE)) asked.push(init);
        return fetch(input, init);
      },
    });
    const stored = await later.uploads.create(file(), { resume: memory });
    expect([stored.file_hash, asked.map(({ method }) => method)]).toEqual([sha256(content), ['HEAD', 'PATCH']]);
    expect(Number(new Headers(asked[1].headers).get('Upload-Offset'))).toBeGreaterThan(15 * MIB);
    expect([memory.ever, memory.kept.size]).toEqual([[stored.id], 0]);
  });

  it('begins anew when the unfinished one is gone, and mixes no two files', async () => {
    const memory = new Memory();
    const content = dice.text(10_000);
    const file = (lastModified: number) => new File([content], 'a.txt', { lastModified });
    const resume: UploadStorage = {
      get: () => '0197f0a0-7b1c-7e7e-8a00-3d2f1c0b9a88',
      set: (key, id) => memory.set(key, id),
    };
    const stored = await api.uploads.create(file(1), { resumable: true, resume });
    expect([stored.file_hash, memory.ever]).toEqual([sha256(content), [stored.id]]);
    for (const time of [1, 2]) await api.uploads.create(file(time), { resumable: true, resume: memory });
    expect(new Set(memory.ever).size).toBe(3);
    const nameless = await failureOf(api.uploads.create(new Blob([content]), { resumable: true, resume: memory }));
    expect([nameless.name, nameless.message]).toEqual([
      'TypeError',
      expect.stringMatching(/^Only a File can be resumed/),
    ]);
  });

  it.each([
    ['plain', false],
    ['resumable', true],
  ])('throws the errors of the server: %s', async (_way, resumable) => {
    const create = (size: number, filename: string) =>
      failureOf(api.uploads.create(new Blob([dice.text(size)]), { filename, resumable, description: 'd' }));
    const tooLarge = await create(49 * MIB, 'a.txt');
    expect([tooLarge.constructor.name, tooLarge.status, tooLarge.code]).toEqual([
      'GatehouseError',
      413,
      'file_too_large',
    ]);
    const type = await create(9 * MIB, 'a.png');
    expect([type.status, type.code, type.message]).toEqual([415, 'file_type_mismatch', expect.stringMatching(/match/)]);
    const forbidden = await create(9 * MIB, 'a.exe');
    expect([forbidden.status, forbidden.code]).toEqual([415, 'file_type_not_allowed']);
    const long = await failureOf(api.uploads.create(new Blob(['a']), { resumable, description: 'a'.repeat(1001) }));
    expect([long.status, Object.keys(long.fieldErrors)]).toEqual([422, ['description']]);
    for (let time = 0; time < 2; time++)
      await api.uploads.create(new Blob([dice.text(45 * MIB)]), { filename: 'a.txt', resumable });
    const full = await create(20 * MIB, 'a.txt');
    expect([full.status, full.code]).toEqual([507, 'quota_exceeded']);
    expect(unfinished()).toEqual([]);
  });

  it('asks again after 429, 503 and 423, as late as the server wants, and not after what is final', async () => {
    const answers = [
      json(429, fault(429, 'rate_limited'), { 'Retry-After': '1' }),
      json(503, fault(503, 'service_unavailable')),
      json(423, fault(423, 'upload_locked')),
    ];
    const proxy = await proxied((request, response, body) => {
      const answer = request.method === 'PATCH' && request.url?.startsWith(RESUMABLE) ? answers.shift() : undefined;
      answer?.(request, response, body);
      return answer !== undefined;
    });
    const { api: behind } = await server.user({ baseURL: proxy.url });
    const begin = Date.now();
    await behind.uploads.create(new Blob(['again and again']), { resumable: true });
    expect(Date.now() - begin).toBeGreaterThanOrEqual(1000);
    const expected = ['POST', 'PATCH', 'HEAD', 'PATCH', 'HEAD', 'PATCH', 'HEAD', 'PATCH', 'PATCH'];
    expect(methodsOf(proxy)).toEqual(expected);
    // With Retry-After beyond what anybody waits for.
    answers.push(json(429, fault(429, 'rate_limited'), { 'Retry-After': '3600' }));
    const limited = await failureOf(behind.uploads.create(new Blob(['a']), { resumable: true }));
    expect([limited.status, limited.retryAfter]).toEqual([429, 3600]);
  });

  it('does not begin anew because a HEAD was answered by a server that is not ready', async () => {
    let heads = 0;
    const proxy = await proxied((request, response, body) => {
      if (request.method === 'PATCH' && heads === 0 && request.url?.startsWith(RESUMABLE)) {
        json(503, fault(503, 'service_unavailable'))(request, response, body);
        return true;
      }
      if (request.method !== 'HEAD' || ++heads > 2) return false;
      response.writeHead(503).end();
      return true;
    });
    const { api: behind } = await server.user({ baseURL: proxy.url });
    await behind.uploads.create(new Blob(['one']), { resumable: true });
    expect(methodsOf(proxy)).toEqual(['POST', 'PATCH', 'HEAD', 'HEAD', 'HEAD', 'PATCH', 'PATCH']);
  });

  it('renews a token that is refused on the way, and that ends on the way', async () => {
    let refused = 0;
    const proxy = await proxied((request, response, body) => {
      if (request.method !== 'PATCH' || !request.url?.startsWith(RESUMABLE) || refused++ > 0) return false;
      json(401, fault(401, 'invalid_token'))(request, response, body);
      return true;
    });
    const { api: behind } = await server.user({ baseURL: proxy.url });
    const stored = await behind.uploads.create(new Blob(['renewed']), { resumable: true, onProgress: () => undefined });
    expect([stored.file_size, proxy.count('/api/v1/auth/refresh')]).toEqual([7, 1]);
    const out = await server.user();
    await out.api.auth.logout();
    expect(await failureOf(out.api.uploads.create(new Blob(['a']), { resumable: true }))).toBeInstanceOf(
      AuthenticationError,
    );
  });

  it('does not go on as somebody else, who has signed in meanwhile', async () => {
    const other = await server.user();
    let isBusy = true;
    const proxy = await proxied((request, response, body) => {
      if (request.method !== 'PATCH' || !isBusy) return false;
      json(503, fault(503, 'service_unavailable'))(request, response, body);
      return true;
    });
    const { api: behind } = await server.user({ baseURL: proxy.url });
    const uploading = failureOf(behind.uploads.create(new Blob(['mine']), { resumable: true }));
    await until(() => methodsOf(proxy).includes('PATCH'), 'its beginning');
    await behind.auth.login({ email: other.email, password: other.password });
    isBusy = false;
    expect(await uploading).toBeInstanceOf(AuthenticationError);
    expect((await other.api.uploads.list()).total).toBe(0);
  });

  it('works by a key that may upload and nothing else, and behind a path', async () => {
    const { key } = await api.users.apiKeys.create({ name: 'drop', scopes: ['uploads:write'] });
    const proxy = await LocalServer.start((request, response, body) => {
      const { method = '', headers, url = '' } = request;
      const isBodiless = body === '' || method === 'HEAD';
      void fetch(`${server.url}${url.replace('/backend', '')}`, {
        method,
        headers: Object.entries(headers).filter(([name]) => !/^(connection|host|content-length)$/.test(name)) as never,
        body: isBodiless ? undefined : body,
      }).then(async (answer) => response.writeHead(answer.status, [...answer.headers].flat()).end(await answer.text()));
    });
    proxies.push(proxy);
    const writer = server.client({ apiKey: key, baseURL: `${proxy.url}/backend` });
    const stored = await writer.uploads.create(new Blob(['by key']), { resumable: true });
    expect(stored.file_size).toBe(6);
    expect(proxy.asked.every(({ path }) => path.startsWith('/backend/api/v1/'))).toBe(true);
    const { key: reading } = await api.users.apiKeys.create({ name: 'read', scopes: ['uploads:read'] });
    const failure = await failureOf(
      server.client({ apiKey: reading }).uploads.create(new Blob(['a']), { resumable: true }),
    );
    expect(failure).toBeInstanceOf(PermissionDeniedError);
  });

  it('is not hindered by a storage that fails', async () => {
    const full = () => {
      throw new Error('QuotaExceededError');
    };
    for (const set of [full, () => Promise.reject(new Error('no database'))]) {
      const file = new File(['kept nowhere'], 'a.txt', { lastModified: 5 });
      const stored = await api.uploads.create(file, { resumable: true, resume: { get: () => null, set } });
      expect(stored.file_size).toBe(12);
    }
  });

  it('says what is missing without tus-js-client, and sends large files at once', async () => {
    jest.resetModules();
    jest.doMock('tus-js-client', () => {
      throw Object.assign(new Error('Cannot find package'), { code: 'ERR_MODULE_NOT_FOUND' });
    });
    const { Gatehouse: Client } = await import('../src/index.js');
    const { key } = await api.users.apiKeys.create({ name: 'key' });
    const without = new Client({ baseURL: server.url, apiKey: key });
    const failure = await failureOf(without.uploads.create(new Blob(['a']), { resumable: true }));
    expect(failure.message).toContain('npm install tus-js-client');
    const stored = await without.uploads.create(new Blob([dice.text(9 * MIB)]));
    expect(stored.file_size).toBe(9 * MIB);
    jest.dontMock('tus-js-client');
  });

  it('fails as a connection when nobody answers for long', async () => {
    const refused = server.client({ baseURL: `http://127.0.0.1:${await freePort()}`, apiKey: 'a' });
    const stop = new AbortController();
    const uploading = failureOf(refused.uploads.create(new Blob(['a']), { resumable: true, signal: stop.signal }));
    jest.spyOn(Math, 'random').mockReturnValue(0);
    expect(await uploading).toBeInstanceOf(ConnectionError);
    jest.restoreAllMocks();
  });
});
