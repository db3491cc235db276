import type { Browser, Page } from 'playwright-core';
import { Dice, MIB, sha256 } from '../../../test/support/uploads.js';
import type { Gatehouse as Client, UploadProgress } from '../src/index.js';
import { inBrowser, launchBrowser, startPages } from './browser.js';
import { LocalServer, TestServer } from './support.js';

/** What the page keeps between two looks at it. */
interface Kept {
  api: Client;
  client: typeof import('../src/index.js');
}
declare const kept: Kept;

inBrowser('uploads and downloads')('uploads and downloads of a page', () => {
  let server: TestServer;
  let pages: Awaited<ReturnType<typeof startPages>>;
  let browser: Browser;
  let page: Page;
  const content = new Dice(24).text(20 * MIB);
  const store = LocalServer.answering((request, response) => {
    const { origin = '' } = request.headers;
    response.setHeader('Access-Control-Allow-Origin', origin).setHeader('Access-Control-Allow-Headers', '*');
    if (request.method === 'OPTIONS') return void response.end();
    response.setHeader('Content-Type', 'text/plain').end('from the store');
  });

  beforeAll(async () => {
    pages = await startPages();
    server = await TestServer.start({ CORS_ORIGINS: pages.origin, MAX_FILE_SIZE: String(30 * MIB) });
    browser = await launchBrowser();
  });
  beforeEach(async () => {
    const { email, password } = await server.user();
    page = await browser.newPage();
    await page.goto(pages.origin);
    await prepare();
    await page.evaluate(
      async ([baseURL, email, password]) => {
        kept.api = new kept.client.Gatehouse({ baseURL, tokens: kept.client.localStorageTokens() });
        await kept.api.auth.login({ email, password });
      },
      [server.url, email, password],
    );
  });
  afterEach(() => page.close());
  afterAll(async () => {
    await browser?.close();
    await pages.stop();
    await server.stop();
    await (await store).stop();
  });

  /** What a page without a bundler loads. */
  const prepare = async () => {
    await page.addScriptTag({ path: require.resolve('tus-js-client/dist/tus.min.js') });
    // As text: compiled for Node.js it would be another import.
    await page.evaluate(`import('@gatehouse/client').then((client) => void (globalThis.kept = { client }))`);
  };

  /** Browsers tell of progress now and then: what goes too fast is over before. */
  const slowly = async () => {
    const devtools = await page.context().newCDPSession(page);
    const conditions = { offline: false, latency: 0, downloadThroughput: -1, uploadThroughput: content.length };
    await devtools.send('Network.emulateNetworkConditions', conditions);
  };

  /** Uploads what was chosen in a field of the page. */
  const upload = async (bytes: Buffer, name: string, options: object) => {
    await page.setContent('<input type="file">');
    await page.setInputFiles('input', { name, mimeType: 'text/plain', buffer: bytes });
    return page.evaluate(async (given) => {
      const [file] = (document.querySelector('input') as HTMLInputElement).files ?? [];
      const seen: UploadProgress[] = [];
      try {
        const onProgress = (progress: UploadProgress) => void seen.push(progress);
        return { seen, stored: await kept.api.uploads.create(file, { onProgress, ...given }) };
      } catch (error) {
        const { name: kind, code, status, message } = error as Error & { code: string; status: number };
        return { seen, error: { kind, code, status, message } };
      }
    }, options);
  };

  it.each([
    ['in a form', { resumable: false }, 'POST'],
    ['by tus', { resumable: true }, 'PATCH'],
  ])('uploads %s and tells how far it is', async (_way, options, method) => {
    const requests: string[] = [];
    page.on('request', (request) => requests.push(`${request.method()} ${request.resourceType()}`));
    await slowly();
    const { stored, seen, error } = await upload(content, 'größe.txt', { description: 'of a page', ...options });
    expect(error).toBeUndefined();
    expect(stored).toMatchObject({ filename: 'größe.txt', description: 'of a page', file_hash: sha256(content) });
    const sent = seen.map((progress) => progress.sent);
    expect(sent).toEqual([...new Set(sent)].sort((a, b) => a - b));
    expect(sent.length).toBeGreaterThan(2);
    expect(seen.at(-1)).toEqual({ sent: content.length, total: content.length });
    expect(requests).toContain(`${method} xhr`);
  });

  it('uploads without a listener by fetch, and streams as well', async () => {
    const hashes = await page.evaluate(async (text) => {
      const file = new File([text], 'a.txt');
      const first = await kept.api.uploads.create(file);
      const second = await kept.api.uploads.create(file.stream(), { size: file.size, filename: 'b.txt' });
      const third = await kept.api.uploads.create(file.stream(), { size: file.size, resumable: true });
      return [first, second, third].map(({ file_hash }) => file_hash);
    }, 'a text');
    expect(hashes).toEqual(Array(3).fill(sha256(Buffer.from('a text'))));
  });

  it.each([false, true])('throws the errors of the server (resumable: %s)', async (resumable) => {
    const { error } = await upload(Buffer.from('no picture'), 'a.png', { resumable });
    expect(error).toMatchObject({ kind: 'GatehouseError', status: 415, code: 'file_type_mismatch' });
    const { error: long } = await upload(Buffer.from('a'), 'a.txt', { resumable, description: 'a'.repeat(1001) });
    expect(long).toMatchObject({ kind: 'ValidationError', status: 422 });
    const { error: large } = await upload(Buffer.alloc(31 * MIB, 'a'), 'a.txt', { resumable });
    expect(large).toMatchObject({ kind: 'GatehouseError', status: 413, code: 'file_too_large' });
  });

  it('goes on after the page was loaded again', async () => {
    await slowly();
    // As when the visitor leaves in the middle: the first part arrives, and no more.
    const begun = await page.evaluate(async (text) => {
      const { api, client } = kept;
      const file = new File([text], 'film.txt', { lastModified: 1_700_000_000_000 });
      const stop = new AbortController();
      const onProgress = ({ sent }: UploadProgress) => void (sent > 0 && stop.abort());
      const resume = client.localStorageUploads();
      await api.uploads.create(file, { resume, onProgress, signal: stop.signal }).catch(() => undefined);
      return Object.entries(localStorage).filter(([key]) => key.startsWith('gatehouse.upload'));
    }, content.toString());
    expect(begun).toHaveLength(1);
    await page.reload();
    await prepare();
    const { id, file_hash, left } = await page.evaluate(
      async ([text, baseURL]) => {
        const { client } = kept;
        const api = new client.Gatehouse({ baseURL, tokens: client.localStorageTokens() });
        const file = new File([text], 'film.txt', { lastModified: 1_700_000_000_000 });
        const stored = await api.uploads.create(file, { resume: client.localStorageUploads() });
        const left = Object.keys(localStorage).filter((key) => key.startsWith('gatehouse.upload'));
        return { ...stored, left };
      },
      [content.toString(), server.url],
    );
    expect([id, file_hash, left]).toEqual([begun[0][1], sha256(content), []]);
  });

  it('stops at a signal', async () => {
    await slowly();
    const outcome = await page.evaluate(async (text) => {
      const stops = [false, true].map(async (resumable) => {
        const stop = new AbortController();
        const onProgress = ({ sent }: UploadProgress) => void (sent > 0 && stop.abort('enough'));
        const options = { resumable, onProgress, signal: stop.signal };
        return kept.api.uploads.create(new File([text], 'a.txt'), options).then(
          () => 'uploaded',
          (reason: unknown) => reason,
        );
      });
      return [...(await Promise.all(stops)), (await kept.api.uploads.list()).total];
    }, content.toString());
    expect(outcome).toEqual(['enough', 'enough', 0]);
  });

  it('downloads, whole and in parts, with the name of the file', async () => {
    const { stored } = await upload(content, 'größe.txt', {});
    const { hash, ...rest } = await page.evaluate(async (id) => {
      const whole = await kept.api.uploads.download(id);
      const { filename, size, etag, contentType } = whole;
      let received = 0;
      for await (const chunk of whole.body) received += chunk.length;
      const part = await kept.api.uploads.download(id, { range: { start: 5, end: 9 } });
      const text = await part.text();
      const { url } = await kept.api.uploads.createSignedUrl(id);
      const blob = await (await kept.api.uploads.downloadSigned(url)).blob();
      const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', await blob.arrayBuffer()));
      const hash = `sha256:${[...digest].map((byte) => byte.toString(16).padStart(2, '0')).join('')}`;
      return { filename, size, etag, contentType, received, text, range: part.range, hash };
    }, stored?.id ?? '');
    expect(hash).toBe(sha256(content));
    expect(rest).toEqual({
      filename: 'größe.txt',
      size: content.length,
      etag: `"${sha256(content)}"`,
      contentType: 'text/plain',
      received: content.length,
      text: content.toString('utf8', 5, 10),
      range: { start: 5, end: 9, total: content.length },
    });
  });

  it('takes no credentials along to the store that the server names', async () => {
    const { url, asked } = await store;
    const redirecting = await LocalServer.start((request, response) => {
      const { origin = '' } = request.headers;
      response.setHeader('Access-Control-Allow-Origin', origin);
      response.setHeader('Access-Control-Allow-Headers', 'authorization,range');
      if (request.method === 'OPTIONS') return void response.end();
      response.writeHead(302, { Location: `${url}/bucket/file?X-Amz-Signature=abc` }).end();
    });
    const text = await page.evaluate(async (baseURL) => {
      const api = new kept.client.Gatehouse({ baseURL, apiKey: 'gh_secret' });
      return (await api.uploads.download('0197f0a0-7b1c-7e7e-8a00-3d2f1c0b9a88')).text();
    }, redirecting.url);
    expect(text).toBe('from the store');
    expect(redirecting.asked.find(({ method }) => method === 'GET')?.headers.authorization).toBe('Bearer gh_secret');
    expect(JSON.stringify(asked)).not.toContain('gh_secret');
    await redirecting.stop();
  });
});
