import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { rm, truncate } from 'node:fs/promises';
import net from 'node:net';
import { join } from 'node:path';
import { AppConfig } from '../../src/config/app-config.js';
import { SignedLinks } from '../../src/uploads/downloads/signed-links.js';
import { aSignedInUser, anAdmin, type SignedIn } from '../support/builders.js';
import { samples } from '../support/samples.js';
import { startTestApp, type TestApp } from '../support/test-app.js';

const UPLOADS = '/api/v1/uploads';
const PREFIXES = [UPLOADS, '/api/v1/files'];
const LONG_AGO = 'Thu, 01 Jan 2015 00:00:00 GMT';

describe('downloads', () => {
  let app: TestApp;
  let owner: SignedIn;
  let other: SignedIn;
  let admin: SignedIn;
  let file: any;
  const bytes = Buffer.concat([samples.zip, randomBytes(700_000)]);
  const last = bytes.length - 1;

  const upload = async (as: SignedIn, content: Buffer = samples.text, name = 'notes.txt', of = app): Promise<any> =>
    (await of.http.post(UPLOADS).set(as.auth).attach('file', content, name).expect(201)).body;
  const get = (headers: Record<string, string> = {}, as: SignedIn = owner, id: string = file.id) =>
    app.http
      .get(`${UPLOADS}/${id}/download`)
      .set({ ...as.auth, ...headers })
      .responseType('blob');
  const sign = async (as: SignedIn, id: string, body: object = {}, base = UPLOADS, of = app): Promise<any> =>
    (await of.http.post(`${base}/${id}/signed-url`).set(as.auth).send(body).expect(200)).body;
  const pathOf = (id: string) => join(app.dataDir, 'files', id.slice(-2), id);

  beforeAll(async () => {
    app = await startTestApp();
    [owner, other, admin] = [await aSignedInUser(app), await aSignedInUser(app), await anAdmin(app)];
    file = await upload(owner, bytes, 'archive.zip');
  });
  afterAll(() => app.close());

  it.each(PREFIXES)('GET %s/{id}/download sends the bytes with all that is to know about them', async (base) => {
    for (const path of [`${base}/${file.id}/download`, `${base}/${file.id.toUpperCase()}/download/`]) {
      const { headers, body } = await app.http.get(path).set(owner.auth).responseType('blob').expect(200);
      expect(bytes.equals(body)).toBe(true);
      expect(headers).toMatchObject({
        'content-type': 'application/zip',
        'content-length': String(bytes.length),
        etag: `"${file.file_hash}"`,
        'last-modified': new Date(file.upload_date).toUTCString(),
        'accept-ranges': 'bytes',
        'content-disposition': expect.stringMatching(/^attachment; filename="?archive\.zip"?/),
        'x-content-type-options': 'nosniff',
        'content-security-policy': expect.stringMatching(/(^|; )sandbox($|;)/),
        'cache-control': 'private, no-cache',
      });
      expect(headers).not.toHaveProperty('content-range');
      expect(headers).not.toHaveProperty('transfer-encoding');
    }
  });

  it.each(PREFIXES)('HEAD %s/{id}/download tells the same without the bytes', async (base) => {
    const { headers } = await get().expect(200);
    const head = await app.http.head(`${base}/${file.id}/download`).set(owner.auth).expect(200);
    for (const name of [
      'content-type',
      'content-length',
      'etag',
      'last-modified',
      'accept-ranges',
      'content-disposition',
    ])
      expect([name, head.headers[name]]).toEqual([name, headers[name]]);
    expect(head.text ?? '').toBe('');
  });

  it('is for the owner and admins; for others and guests there is nothing', async () => {
    expect(bytes.equals((await get({}, admin).expect(200)).body)).toBe(true);
    const { status, body } = await app.http.get(`${UPLOADS}/${file.id}/download`).set(other.auth);
    expect([status, body.error_code]).toEqual([404, 'file_not_found']);
    await app.http.head(`${UPLOADS}/${file.id}/download`).set(other.auth).expect(404);
    await app.http.get(`${UPLOADS}/${file.id}/download`).expect(401);
    await app.http.head(`${UPLOADS}/${file.id}/download`).expect(401);
  });

  it.each([
    ['bytes=0-0', 0, 0],
    ['bytes=0-99', 0, 99],
    ['bytes=300000-600000', 300_000, 600_000],
    ['bytes=100-', 100, last],
    ['bytes=-100', last - 99, last],
    [`bytes=-${bytes.length * 2}`, 0, last],
    [`bytes=${last}-`, last, last],
    [`bytes=0-${last + 1000}`, 0, last],
  ])('Range: %s is that part', async (range, from, to) => {
    const { headers, body } = await get({ Range: range }).expect(206);
    expect(headers).toMatchObject({
      'content-range': `bytes ${from}-${to}/${bytes.length}`,
      'content-length': String(to - from + 1),
      'accept-ranges': 'bytes',
      etag: `"${file.file_hash}"`,
    });
    expect(bytes.subarray(from, to + 1).equals(body)).toBe(true);
  });

  it.each([`bytes=${bytes.length}-`, `bytes=${bytes.length + 5}-${bytes.length + 9}`, 'bytes=-0'])(
    'Range: %s cannot be satisfied',
    async (range) => {
      const { headers, body } = await app.http
        .get(`${UPLOADS}/${file.id}/download`)
        .set({ ...owner.auth, Range: range })
        .expect(416);
      expect(headers['content-range']).toBe(`bytes */${bytes.length}`);
      expect(headers['content-type']).toMatch(/^application\/json/);
      expect(body).toMatchObject({ code: 416, error_code: 'range_not_satisfiable' });
    },
  );

  it.each(['bytes=', 'bytes=a-b', 'bytes=5-2', 'items=0-1', 'bytes=0-1,5-6', 'bytes=--1', '0-1', 'bytes=0-1-2'])(
    'Range: %s is as good as none',
    async (range) => {
      const { body } = await get({ Range: range }).expect(200);
      expect(bytes.equals(body)).toBe(true);
    },
  );

  it('a Range of an empty file is the empty file', async () => {
    const empty = await upload(owner, samples.empty, 'empty.txt');
    const { headers } = await get({ Range: 'bytes=0-' }, owner, empty.id).expect(200);
    expect(headers['content-length']).toBe('0');
  });

  it('parts that were downloaded one after the other join to the same bytes', async () => {
    const parts: Buffer[] = [];
    for (let from = 0; from < bytes.length; from += 123_457) {
      const range = { Range: `bytes=${from}-${from + 123_456}`, 'If-Range': `"${file.file_hash}"` };
      parts.push((await get(range).expect(206)).body as Buffer);
    }
    expect(bytes.equals(Buffer.concat(parts))).toBe(true);
  });

  const etag = () => `"${file.file_hash}"`;
  const lastModified = () => new Date(file.upload_date).toUTCString();
  const tomorrow = () => new Date(Date.now() + 86_400_000).toUTCString();
  const NOT_MODIFIED: [what: string, headers: () => Record<string, string>][] = [
    ['the tag', () => ({ 'If-None-Match': etag() })],
    ['the tag, weakly', () => ({ 'If-None-Match': `W/${etag()}` })],
    ['the tag among others', () => ({ 'If-None-Match': `"x", ${etag()}` })],
    ['a star', () => ({ 'If-None-Match': '*' })],
    ['its date', () => ({ 'If-Modified-Since': lastModified() })],
    ['a later date', () => ({ 'If-Modified-Since': tomorrow() })],
    ['the tag, whatever the date', () => ({ 'If-None-Match': etag(), 'If-Modified-Since': LONG_AGO })],
    ['the tag, whatever the range', () => ({ 'If-None-Match': etag(), Range: 'bytes=0-1' })],
  ];
  it.each(NOT_MODIFIED)('a copy known by %s is still good', async (_what, headers) => {
    for (const method of ['get', 'head'] as const) {
      const answer = await app.http[method](`${UPLOADS}/${file.id}/download`).set({ ...owner.auth, ...headers() });
      expect([method, answer.status, answer.text ?? '']).toEqual([method, 304, '']);
      expect(answer.headers).toMatchObject({ etag: etag(), 'cache-control': 'private, no-cache' });
    }
  });

  const WHOLE: [what: string, headers: () => Record<string, string>][] = [
    ['another tag', () => ({ 'If-None-Match': '"x"' })],
    ['another tag, whatever the date', () => ({ 'If-None-Match': '"x"', 'If-Modified-Since': tomorrow() })],
    ['an older date', () => ({ 'If-Modified-Since': LONG_AGO })],
    ['a date that is none', () => ({ 'If-Modified-Since': 'yesterday' })],
    ['a range of another version', () => ({ Range: 'bytes=0-1', 'If-Range': '"x"' })],
    ['a range of a weak tag', () => ({ Range: 'bytes=0-1', 'If-Range': `W/${etag()}` })],
    ['a range of another date', () => ({ Range: 'bytes=0-1', 'If-Range': LONG_AGO })],
    ['the right If-Match', () => ({ 'If-Match': etag() })],
  ];
  it.each(WHOLE)('%s is answered with the whole file', async (_what, headers) => {
    expect(bytes.equals((await get(headers()).expect(200)).body)).toBe(true);
  });

  it('If-Range with the right tag or date is answered with the part', async () => {
    for (const validator of [etag(), lastModified()])
      expect((await get({ Range: 'bytes=0-1', 'If-Range': validator }).expect(206)).body).toHaveLength(2);
  });

  const FAILED: [what: string, headers: () => Record<string, string>][] = [
    ['If-Match with another tag', () => ({ 'If-Match': '"x"' })],
    ['If-Match with a weak tag', () => ({ 'If-Match': `W/${etag()}` })],
    ['If-Unmodified-Since with an older date', () => ({ 'If-Unmodified-Since': LONG_AGO })],
  ];
  it.each(FAILED)('%s fails', async (_what, headers) => {
    const { body } = await app.http
      .get(`${UPLOADS}/${file.id}/download`)
      .set({ ...owner.auth, ...headers() })
      .expect(412);
    expect(body.error_code).toBe('precondition_failed');
  });

  it.each([
    ['Grüße aus Köln.txt', "filename*=UTF-8''Gr%C3%BC%C3%9Fe%20aus%20K%C3%B6ln.txt"],
    ['日本語 🐎.txt', "filename*=UTF-8''%E6%97%A5%E6%9C%AC%E8%AA%9E%20%F0%9F%90%8E.txt"],
  ])('the name %s arrives whole', async (name, expected) => {
    const { id, original_filename } = await upload(owner, samples.text, name);
    expect(original_filename).toBe(name);
    const { headers } = await get({}, owner, id).expect(200);
    expect(headers['content-disposition']).toContain(expected);
    expect(headers['content-disposition']).toMatch(/^attachment; filename=[\x20-\x7e]+$/);
  });

  describe('whose bytes were removed behind our back', () => {
    it('is 503 and a line in the log; the answer says nothing of a file', async () => {
      const lost = await upload(owner);
      await rm(pathOf(lost.id));
      const { headers, body } = await app.http.get(`${UPLOADS}/${lost.id}/download`).set(owner.auth).expect(503);
      expect(body).toMatchObject({ code: 503, error_code: 'file_unavailable' });
      expect(headers['content-type']).toMatch(/^application\/json/);
      for (const name of ['etag', 'last-modified', 'content-disposition', 'accept-ranges', 'content-range'])
        expect([name, headers[name]]).toEqual([name, undefined]);
      expect(app.log.filter((line) => line.includes(lost.id) && /missing/.test(line))).not.toEqual([]);
      const part = await get({ Range: 'bytes=0-1' }, owner, lost.id);
      expect([part.status, part.headers['content-range']]).toEqual([503, undefined]);
    });

    it('in part: the client is not left waiting for bytes that never come', async () => {
      const cut = await upload(owner, bytes, 'cut.zip');
      await truncate(pathOf(cut.id), 100_000);
      const socket = net.connect(app.port, '127.0.0.1');
      socket.write(
        `GET ${UPLOADS}/${cut.id}/download HTTP/1.1\r\nHost: x\r\nAuthorization: ${owner.auth.Authorization}\r\n\r\n`,
      );
      const chunks: Buffer[] = [];
      socket.on('data', (chunk: Buffer) => chunks.push(chunk));
      socket.on('error', () => undefined);
      try {
        await once(socket, 'close', { signal: AbortSignal.timeout(60_000) });
      } finally {
        socket.destroy();
      }
      expect(Buffer.concat(chunks).length).toBeLessThan(bytes.length);
    });
  });

  describe.each(PREFIXES)('POST %s/{id}/signed-url', (base) => {
    it('answers a link that works without a header, in parts and as HEAD, too', async () => {
      const before = Date.now();
      const { url, expires_at } = await sign(owner, file.id, {}, base);
      const life = new Date(expires_at).getTime() - before;
      expect(life).toBeGreaterThan(3_590_000);
      expect(life).toBeLessThan(3_660_000);
      expect(url.startsWith(`${app.url}${base}/${file.id}/signed?`)).toBe(true);
      const path = url.slice(app.url.length);
      expect(bytes.equals((await app.http.get(path).responseType('blob').expect(200)).body)).toBe(true);
      const part = await app.http.get(path).set('Range', 'bytes=10-19').responseType('blob').expect(206);
      expect(bytes.subarray(10, 20).equals(part.body)).toBe(true);
      const { headers } = await app.http.head(path).expect(200);
      expect(headers).toMatchObject({ 'content-length': String(bytes.length), 'x-content-type-options': 'nosniff' });
      await app.http.get(path).set('If-None-Match', headers.etag).expect(304);
    });

    it('is for the owner and admins', async () => {
      await sign(admin, file.id, {}, base);
      await app.http.post(`${base}/${file.id}/signed-url`).set(other.auth).send({}).expect(404);
      await app.http.post(`${base}/${file.id}/signed-url`).send({}).expect(401);
    });

    it.each([59, 604_801, 0, -1, 1.5, '3600', null, {}])('refuses expires_in %j', async (expires_in) => {
      const { body } = await app.http
        .post(`${base}/${file.id}/signed-url`)
        .set(owner.auth)
        .send({ expires_in })
        .expect(422);
      expect(Object.keys(body.field_errors)).toEqual(['expires_in']);
    });

    it.each([60, 604_800])('takes expires_in %d', async (expires_in) => {
      const before = Date.now();
      const { expires_at } = await sign(owner, file.id, { expires_in }, base);
      expect(Math.abs(new Date(expires_at).getTime() - before - expires_in * 1000)).toBeLessThan(30_000);
    });
  });

  describe('a signed link', () => {
    const linkTo = async (id: string, as = owner) => {
      const { pathname, searchParams } = new URL((await sign(as, id)).url);
      return {
        path: pathname,
        expires: searchParams.get('expires') ?? '',
        signature: searchParams.get('signature') ?? '',
      };
    };
    const follow = (path: string, query: string | Record<string, string>) =>
      app.http.get(`${path}?${typeof query === 'string' ? query : new URLSearchParams(query).toString()}`);

    it('is 403 when anything of it is altered, left out or spelled in another way', async () => {
      const second = await upload(owner);
      const { path, expires, signature } = await linkTo(file.id);
      const flipped = (signature.startsWith('A') ? 'B' : 'A') + signature.slice(1);
      const altered: [path: string, query: string | Record<string, string>][] = [
        [path.replace(file.id, second.id), { expires, signature }],
        [path, { expires: String(Number(expires) + 1), signature }],
        [path, { expires: `0${expires}`, signature }],
        [path, { expires: `+${expires}`, signature }],
        [path, { expires: ` ${expires}`, signature }],
        [path, { expires: `${expires}.0`, signature }],
        [path, { expires: `${expires}\n`, signature }],
        [path, { expires: `0x${Number(expires).toString(16)}`, signature }],
        [path, { expires: '9'.repeat(400), signature }],
        [path, { expires, signature: flipped }],
        [path, { expires, signature: `${signature}=` }],
        [path, { expires, signature: `${signature} ` }],
        [path, { expires, signature: signature.slice(0, -1) }],
        [path, { expires, signature: '' }],
        [path, { expires, signature: Buffer.from(signature, 'base64url').toString('hex') }],
        [path, { expires }],
        [path, { signature }],
        [path, ''],
        [path, `expires=${expires}&expires=${expires}&signature=${signature}`],
        [path, `expires=${expires}&signature=${signature}&signature=${signature}`],
        [path, `expires[]=${expires}&signature[]=${signature}`],
      ];
      for (const [at, query] of altered) {
        const { status, body } = await follow(at, query);
        expect([query, status, body.error_code]).toEqual([query, 403, 'link_invalid']);
        const asOwner = await follow(at, query).set(owner.auth);
        expect([query, asOwner.status]).toEqual([query, 403]);
      }
      await follow(path, { expires, signature }).expect(200);
      await follow(path.replace('uploads', 'files'), { signature, expires }).expect(200);
    });

    it('is 403 when it has expired, and lets nobody at anything but the one download', async () => {
      const { path, expires, signature } = await linkTo(file.id);
      const links = new SignedLinks(app.app.get(AppConfig).uploads.linkKey);
      const endingIn = (seconds: number) => links.sign(file.id, new Date(Date.now() + seconds * 1000)).toString();
      await follow(path, endingIn(60)).expect(200);
      const { status } = await follow(path, endingIn(-1));
      expect(status).toBe(403);
      for (const method of ['put', 'patch', 'delete', 'post'] as const)
        await app.http[method](`${path}?expires=${expires}&signature=${signature}`).expect(405);
      await app.http.get(`${UPLOADS}/${file.id}?expires=${expires}&signature=${signature}`).expect(401);
      await app.http.get(`${UPLOADS}/${file.id}/download?expires=${expires}&signature=${signature}`).expect(401);
    });

    it('ends with the file', async () => {
      const { id } = await upload(owner);
      const { path, expires, signature } = await linkTo(id);
      await app.http.delete(`${UPLOADS}/${id}`).set(owner.auth).expect(204);
      expect((await follow(path, { expires, signature }).expect(404)).body.error_code).toBe('file_not_found');
    });

    it.each([
      ['disabled', (id: string) => app.pool.query('UPDATE users SET is_active = false WHERE id = $1', [id])],
      ['deleted', (id: string) => app.http.delete(`/api/v1/users/${id}`).set(admin.auth)],
    ])('ends when the owner is %s, even if an admin made it', async (_what, end) => {
      const user = await aSignedInUser(app);
      const { id } = await upload(user);
      const links = [await linkTo(id, user), await linkTo(id, admin)];
      await end(user.id);
      for (const { path, expires, signature } of links) await follow(path, { expires, signature }).expect(404);
    });

    it('is never in the log, whatever comes of it', async () => {
      const { id } = await upload(owner);
      const { path, expires, signature } = await linkTo(id);
      await follow(path, { expires, signature }).expect(200);
      await follow(path, { expires: '1', signature }).expect(403);
      await follow(path, `expires=${expires}&signature=${signature}&x=%ff`);
      await rm(pathOf(id));
      await follow(path, { expires, signature }).expect(503);
      expect(app.log.length).toBeGreaterThan(0);
      expect(app.log.filter((line) => line.includes(signature))).toEqual([]);
    });

    it('begins with PUBLIC_URL where that is set, whatever Host says', async () => {
      const behind = await startTestApp({ PUBLIC_URL: 'https://files.example.com/base' });
      const user = await aSignedInUser(behind);
      const { id } = await upload(user, samples.text, 'a.txt', behind);
      const { body } = await behind.http
        .post(`${UPLOADS}/${id}/signed-url`)
        .set({ ...user.auth, Host: 'evil.example', 'X-Forwarded-Host': 'evil.example' })
        .send({});
      expect(body.url.startsWith(`https://files.example.com/base${UPLOADS}/${id}/signed?`)).toBe(true);
      await behind.http.get(`${UPLOADS}/${id}/signed${new URL(body.url).search}`).expect(200);
      await behind.close();
    });
  });

  it('behind nginx (X_ACCEL_REDIRECT) names the file to it instead of sending it', async () => {
    const behind = await startTestApp({ X_ACCEL_REDIRECT: '/internal/' });
    const user = await aSignedInUser(behind);
    const { id, file_hash } = await upload(user, samples.text, 'a.txt', behind);
    const answer = await behind.http.get(`${UPLOADS}/${id}/download`).set(user.auth).expect(200);
    expect(answer.headers).toMatchObject({
      'x-accel-redirect': `/internal/${id.slice(-2)}/${id}`,
      etag: `"${file_hash}"`,
      'content-type': 'text/plain',
      'x-content-type-options': 'nosniff',
    });
    expect(answer.text ?? '').toBe('');
    await behind.close();
  });
});
