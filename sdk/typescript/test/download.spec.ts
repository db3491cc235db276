import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { Dice, MIB, until } from '../../../test/support/uploads.js';
import { ConnectionError, Download, type Gatehouse, PermissionDeniedError, TimeoutError } from '../src/index.js';
import { filenameOf } from '../src/uploads/content-disposition.js';
import { failureOf, LocalServer, TestServer } from './support.js';

const content = new Dice(22).text(2 * MIB) as Buffer<ArrayBuffer>;

describe('a download', () => {
  let server: TestServer;
  let api: Gatehouse;
  let id: string;

  beforeAll(async () => {
    server = await TestServer.start();
    ({ api } = await server.user());
    ({ id } = await api.uploads.create(new File([content], 'naïve “file”.txt')));
  });
  afterAll(() => server.stop());

  it('tells about the file, and gives its bytes as they come', async () => {
    const { file_hash } = await api.uploads.get(id);
    const download = await api.uploads.download(id);
    expect({ ...download, body: null }).toEqual({
      body: null,
      status: 200,
      contentType: 'text/plain',
      size: content.length,
      filename: 'naïve “file”.txt',
      etag: `"${file_hash}"`,
      range: null,
    });
    expect((await buffer(Readable.fromWeb(download.body as never))).equals(content)).toBe(true);
  });

  it('gives all at once as bytes, Blob or text', async () => {
    expect(Buffer.from(await (await api.uploads.download(id)).bytes()).equals(content)).toBe(true);
    const greeting = await api.uploads.create(new Blob(['grüß dich']), {
      filename: 'a.txt',
      contentType: 'text/plain',
    });
    expect(await (await api.uploads.download(greeting.id)).text()).toBe('grüß dich');
    const blob = await (await api.uploads.download(greeting.id)).blob();
    expect([blob.type, await blob.text()]).toEqual([greeting.content_type, 'grüß dich']);
    const empty = await api.uploads.create(new File([], 'empty'));
    const nothing = await api.uploads.download(empty.id);
    expect([nothing.size, (await nothing.bytes()).length]).toEqual([0, 0]);
  });

  it('gives a part', async () => {
    const part = async (start: number, end?: number) => {
      const download = await api.uploads.download(id, { range: { start, end } });
      const bytes = Buffer.from(await download.bytes());
      expect([download.status, download.size]).toEqual([206, bytes.length]);
      expect(bytes.equals(content.subarray(start, end === undefined ? undefined : end + 1))).toBe(true);
      return download.range;
    };
    const total = content.length;
    expect(await part(0, 0)).toEqual({ start: 0, end: 0, total });
    expect(await part(1000, 70_000)).toEqual({ start: 1000, end: 70_000, total });
    expect(await part(total - 10)).toEqual({ start: total - 10, end: total - 1, total });
    const beyond = await failureOf(api.uploads.download(id, { range: { start: total } }));
    expect([beyond.status, beyond.code]).toEqual([416, 'range_not_satisfiable']);
    for (const range of [{ start: -1 }, { start: 5, end: 4 }, { start: 0.5 }, { start: NaN }])
      expect((await failureOf(api.uploads.download(id, { range }))).name).toBe('RangeError');
  });

  it('is stopped by a signal, also in its middle', async () => {
    const stop = new AbortController();
    const reader = (await api.uploads.download(id, { signal: stop.signal })).body.getReader();
    await reader.read();
    const reason = new Error('enough');
    stop.abort(reason);
    const rest = async () => {
      while (!(await reader.read()).done);
    };
    expect(await failureOf(rest())).toBe(reason);
  });

  it('downloads by a signed link, to which no credentials go', async () => {
    const { url, expires_at } = await api.uploads.createSignedUrl(id, { expires_in: 86_400 });
    expect(Date.parse(expires_at) - Date.now()).toBeGreaterThan(86_000_000);
    const proxy = await LocalServer.proxy(server.url);
    const download = await api.uploads.downloadSigned(url.replace(/^https?:\/\/[^/]+/, proxy.url), {
      range: { start: 1, end: 3 },
    });
    expect(Buffer.from(await download.bytes()).equals(content.subarray(1, 4))).toBe(true);
    expect(proxy.asked.map(({ headers }) => [headers.authorization, headers['x-api-key'], headers.cookie])).toEqual([
      [undefined, undefined, undefined],
    ]);
    const altered = await failureOf(api.uploads.downloadSigned(`${url}x`));
    expect(altered).toBeInstanceOf(PermissionDeniedError);
    expect(altered.code).toBe('link_invalid');
    await proxy.stop();
    const gone = await failureOf(api.uploads.downloadSigned(url.replace(/^https?:\/\/[^/]+/, proxy.url)));
    expect(gone).toBeInstanceOf(ConnectionError);
    expect(gone.message).not.toContain('signature');
    expect((await failureOf(api.uploads.downloadSigned('/api/v1/uploads'))).name).toBe('TypeError');
  });

  it.each(['a login', 'a key'])('takes no credentials along to the store that the server names: %s', async (by) => {
    const store = await LocalServer.answering((_request, response) => void response.end('from the store'));
    const redirecting = await LocalServer.proxy(server.url, (request, response) => {
      if (!request.url?.endsWith('/download')) return false;
      response.writeHead(302, { Location: `${store.url}/bucket/file?X-Amz-Signature=abc` }).end();
      return true;
    });
    const { api: behind } = await server.user({ baseURL: redirecting.url });
    const { key } = await behind.users.apiKeys.create({ name: 'reader' });
    const client = by === 'a key' ? server.client({ baseURL: redirecting.url, apiKey: key }) : behind;
    expect(await (await client.uploads.download(id)).text()).toBe('from the store');
    expect(redirecting.asked.at(-1)?.headers.authorization).toMatch(/^Bearer /);
    const { headers } = store.asked[0];
    expect([headers.authorization, headers['x-api-key'], headers.cookie]).toEqual([undefined, undefined, undefined]);
    expect(JSON.stringify(headers)).not.toContain(key);
    await redirecting.stop();
    await store.stop();
  });

  it('frees its connection when it is cancelled, read or not', async () => {
    const source = createServer((_request, response) => {
      response.writeHead(200, { 'Content-Length': String(1024 * MIB) });
      const fill = () => {
        while (!response.destroyed && response.write(Buffer.alloc(64 * 1024)));
      };
      response.on('drain', fill);
      fill();
    }).listen(0, '127.0.0.1');
    const open = new Set<unknown>();
    source.on('connection', (socket) => {
      open.add(socket);
      socket.on('close', () => open.delete(socket));
    });
    await new Promise((resolve) => source.once('listening', resolve));
    const baseURL = `http://127.0.0.1:${(source.address() as AddressInfo).port}`;
    const client = server.client({ baseURL, apiKey: 'a' });
    const [unread, begun] = await Promise.all([client.uploads.download(id), client.uploads.download(id)]);
    expect(open.size).toBe(2);
    await unread.body.cancel();
    const reader = begun.body.getReader();
    await reader.read();
    await reader.cancel();
    await until(() => open.size === 0, 'the end of both connections');
    source.closeAllConnections();
    source.close();
  });

  describe('whose connection breaks', () => {
    const servers: Server[] = [];
    /** Sends some bytes of a longer answer and breaks, or does as it is told. */
    const breaking = async (headers: Record<string, string>, after: string): Promise<Gatehouse> => {
      const source = createServer((_request, response) => {
        response.writeHead(200, headers);
        response.write(after, () => response.destroy());
      }).listen(0, '127.0.0.1');
      servers.push(source);
      await new Promise((resolve) => source.once('listening', resolve));
      return server.client({ baseURL: `http://127.0.0.1:${(source.address() as AddressInfo).port}`, apiKey: 'a' });
    };
    afterAll(() => servers.forEach((one) => one.close()));

    it.each([
      ['with a length', { 'Content-Length': '100' }],
      ['without one', {}],
    ])('fails, %s', async (_kind, headers: Record<string, string>) => {
      const client = await breaking(headers, 'only so much');
      for (const read of ['bytes', 'text', 'blob'] as const) {
        const failure = await failureOf((await client.uploads.download(id))[read]());
        expect(failure).toBeInstanceOf(ConnectionError);
        expect(failure.message).toMatch(/^The download broke off after 12( of 100)? bytes$/);
      }
    });

    it('fails also where the runtime takes the short answer for a whole one', async () => {
      const headers = { 'Content-Length': '100', 'Content-Type': 'text/plain' };
      const client = server.client({
        apiKey: 'a',
        fetch: () => Promise.resolve(new Response('short', { headers })),
      });
      const failure = await failureOf((await client.uploads.download(id)).text());
      expect([failure.code, failure.message]).toEqual(['connection_failed', 'The download ended after 5 of 100 bytes']);
    });

    it('does not compare what was compressed on the way', async () => {
      const headers = { 'Content-Length': '100', 'Content-Encoding': 'gzip' };
      const client = server.client({ apiKey: 'a', fetch: () => Promise.resolve(new Response('x', { headers })) });
      const download = await client.uploads.download(id);
      expect([download.size, await download.text()]).toEqual([null, 'x']);
    });
  });

  it('has a time-out until its headers come, and none after them', async () => {
    const silent = await LocalServer.answering(() => undefined);
    const slow = await LocalServer.answering((_request, response) => {
      response.writeHead(200, { 'Content-Length': '2' });
      response.write('a');
      setTimeout(() => response.end('b'), 6_000);
    });
    const at = ({ url }: LocalServer, timeout: number) =>
      server.client({ baseURL: url, apiKey: 'a', maxRetries: 0, timeout });
    expect(await failureOf(at(silent, 200).uploads.download(id))).toBeInstanceOf(TimeoutError);
    expect(await (await at(slow, 5_000).uploads.download(id)).text()).toBe('ab');
    await silent.stop();
    await slow.stop();
  });

  it.each([
    [null, null],
    ['attachment', null],
    ['attachment; filename="plain.txt"', 'plain.txt'],
    ['attachment; filename=token.txt', 'token.txt'],
    ['ATTACHMENT; FileName = "a\\"b;c.txt" ; x=y', 'a"b;c.txt'],
    [`attachment; filename="fallback.txt"; filename*=UTF-8''na%C3%AFve%20%E2%82%AC.txt`, 'naïve €.txt'],
    [`attachment; filename*=utf-8'en'first.txt; filename=second.txt`, 'first.txt'],
    [`attachment; filename*=iso-8859-1''%A3.txt`, '£.txt'],
    [`attachment; filename*=UTF-8''%C3%28.txt; filename="fallback.txt"`, 'fallback.txt'],
    [`attachment; filename*=koi8-r''%C3.txt; filename="fallback.txt"`, 'fallback.txt'],
    ['attachment; x="; filename=inside.txt"; filename=outside.txt', 'outside.txt'],
    [`attachment; filename*=UTF-8''..%2F..%2Fetc%2Fpasswd`, 'passwd'],
    ['attachment; filename="C:\\\\Windows\\\\a.txt"', 'a.txt'],
    ['attachment; filename=".."', null],
    ['attachment; filename="dir/"', null],
  ])('reads the name of %s', (header, name) => {
    expect(filenameOf(header)).toBe(name);
  });

  it('is what an export is, too', async () => {
    const download = await api.users.exportMe();
    expect(download).toBeInstanceOf(Download);
    expect([download.contentType, (await download.bytes()).subarray(0, 2)]).toEqual([
      'application/zip',
      new Uint8Array([0x50, 0x4b]),
    ]);
  });
});
