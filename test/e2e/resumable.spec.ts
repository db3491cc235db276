import { createHash } from 'node:crypto';
import { appendFileSync, renameSync } from 'node:fs';
import { DefaultHttpStack, Upload, type UploadOptions } from 'tus-js-client';
import { DomainEvents } from '../../src/common/events/domain-events.js';
import { UploadCompletedEvent, UploadDeletedEvent } from '../../src/uploads/uploads.events.js';
import { Reconciler } from '../../src/uploads/upkeep/reconciler.js';
import { aSignedInUser, anAdmin, type SignedIn } from '../support/builders.js';
import { samples } from '../support/samples.js';
import { startTestApp, type TestApp } from '../support/test-app.js';
import {
  type Answer,
  call,
  Dice,
  idOf,
  Line,
  MIB,
  publishedPath,
  sha256,
  sizeOf,
  storedFiles,
  TusCalls,
  unfinishedPath,
  until,
} from '../support/uploads.js';

const FILES = '/api/v1/uploads';
const PREFIXES = ['/api/v1/uploads/resumable', '/api/v1/files/resumable'];
const MAX_FILE_SIZE = 40 * MIB;
const USER_QUOTA = 100 * MIB;
const TTL_SECONDS = 3600;
const ABSENT = '0197f0a0-7b1c-7e7e-8a00-3d2f1c0b9a88';
const TEXT = Buffer.from('Grüße aus Köln, 日本語 and 🎉\n'.repeat(3));
const dice = new Dice(7);

let app: TestApp;
let user: SignedIn;
let tus: TusCalls;
const completed: UploadCompletedEvent[] = [];
const deleted: UploadDeletedEvent[] = [];

beforeAll(async () => {
  app = await startTestApp({
    MAX_FILE_SIZE: String(MAX_FILE_SIZE),
    USER_QUOTA: String(USER_QUOTA),
    RESUMABLE_TTL: String(TTL_SECONDS),
  });
  app.app.get(DomainEvents).on(UploadCompletedEvent, (event) => completed.push(event));
  app.app.get(DomainEvents).on(UploadDeletedEvent, (event) => deleted.push(event));
});
afterAll(() => app.close());
beforeEach(async () => {
  user = await aSignedInUser(app);
  tus = new TusCalls(app.url, user.auth);
  completed.length = 0;
  deleted.length = 0;
});

const sweep = () => app.app.get(Reconciler).sweep();
const recordOf = (location: string) => app.http.get(`${FILES}/${idOf(location)}`).set(user.auth);
const bytesOf = async (location: string): Promise<Buffer> =>
  (await call(`${app.url}${FILES}/${idOf(location)}/download`, { method: 'GET', headers: user.auth })).body;
const unfinished = (location: string) => unfinishedPath(app.dataDir, idOf(location));
const codeOf = ({ status, body }: Answer) => [status, body.error_code];

const held = async (): Promise<number> =>
  (await app.pool.query('SELECT storage_held::int AS held FROM users WHERE id = $1', [user.id])).rows[0].held;

async function begun(length: number, metadata: Record<string, string> = { filename: 'text.txt' }): Promise<string> {
  const { status, headers } = await tus.create(length, metadata);
  expect(status).toBe(201);
  return headers.location ?? '';
}

/** Nothing of an upload is left: no row, no reservation, no bytes. */
async function expectNothingLeft(): Promise<void> {
  expect(await held()).toBe(0);
  expect((await app.pool.query('SELECT FROM uploads WHERE owner_id = $1', [user.id])).rows).toHaveLength(0);
  await sweep();
  const { rows } = await app.pool.query('SELECT id FROM uploads');
  const known = rows.map(({ id }) => id);
  const { published, unfinished: pending } = storedFiles(app.dataDir);
  expect([...published, ...pending].filter((id) => !known.includes(id))).toEqual([]);
}

describe.each(PREFIXES)('%s', (prefix) => {
  beforeEach(() => {
    tus = new TusCalls(app.url, user.auth, prefix);
  });

  it('makes the file record that a form makes, with one event', async () => {
    const metadata = { filename: '../ Grüße.txt', filetype: 'text/plain', description: 'zwei\nZeilen' };
    const created = await tus.create(TEXT.length, metadata);
    expect(created.status).toBe(201);
    expect(created.headers).toMatchObject({ 'tus-resumable': '1.0.0', 'upload-expires': expect.any(String) });
    const location = created.headers.location ?? '';
    expect(location).toMatch(new RegExp(`^${prefix}/[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}$`));
    await recordOf(location).expect(404);
    expect((await app.http.get(FILES).set(user.auth)).body.total).toBe(0);
    const patched = await tus.patch(location, 0, TEXT);
    expect(patched.status).toBe(204);
    expect(patched.headers).toMatchObject({
      'upload-offset': String(TEXT.length),
      'content-location': location.replace('/resumable', ''),
    });
    const { body } = await recordOf(location).expect(200);
    const form = await app.http
      .post(FILES)
      .set(user.auth)
      .field('description', 'zwei\nZeilen')
      .attach('file', TEXT, { filename: 'Grüße.txt', contentType: 'text/plain' })
      .expect(201);
    const { id, upload_date, updated_at, ...same } = form.body;
    expect(body).toEqual({
      ...same,
      id: idOf(location),
      upload_date: expect.any(String),
      updated_at: expect.any(String),
    });
    expect([body.file_hash, body.content_type, body.user_id]).toEqual([sha256(TEXT), 'text/plain', user.id]);
    expect([id, upload_date, updated_at].every((value) => typeof value === 'string')).toBe(true);
    expect(await bytesOf(location)).toEqual(TEXT);
    expect(completed.filter(({ file }) => file.id === idOf(location))).toEqual([
      new UploadCompletedEvent({
        id: idOf(location),
        ownerId: user.id,
        filename: 'Grüße.txt',
        contentType: 'text/plain',
        fileSize: TEXT.length,
      }),
    ]);
  });

  it('tells with HEAD how far an upload is, and what it is', async () => {
    const location = await begun(TEXT.length, { filename: 'text.txt', filetype: 'text/plain', description: 'words' });
    await tus.patch(location, 0, TEXT.subarray(0, 20));
    const { status, headers } = await tus.head(location);
    expect(status).toBe(200);
    expect(headers).toMatchObject({
      'tus-resumable': '1.0.0',
      'upload-offset': '20',
      'upload-length': String(TEXT.length),
      'cache-control': 'no-store',
    });
    const metadata = (headers['upload-metadata'] as string).split(',').map((pair) => pair.split(' '));
    expect(metadata.map(([name, value]) => [name, Buffer.from(value, 'base64').toString()])).toEqual([
      ['filename', 'text.txt'],
      ['filetype', 'text/plain'],
      ['description', 'words'],
    ]);
  });

  it('announces what it can to anybody', async () => {
    const { status, headers } = await call(`${app.url}${prefix}`, { method: 'OPTIONS' });
    expect(status).toBe(204);
    expect(headers).toMatchObject({
      'tus-version': '1.0.0',
      'tus-max-size': String(MAX_FILE_SIZE),
      'tus-checksum-algorithm': 'sha1,sha256,md5',
    });
    expect((headers['tus-extension'] as string).split(',').sort()).toEqual([
      'checksum',
      'creation',
      'creation-with-upload',
      'expiration',
      'termination',
    ]);
  });

  it('is for those who are signed in', async () => {
    const location = await begun(10);
    const guest = new TusCalls(app.url, {}, prefix);
    const answers = [
      await guest.create(10),
      await guest.head(location),
      await guest.patch(location, 0, TEXT.subarray(0, 10)),
      await guest.terminate(location),
    ];
    expect(answers.map(({ status }) => status)).toEqual([401, 401, 401, 401]);
    expect(await tus.offset(location)).toBe(0);
  });
});

describe('the bytes', () => {
  it('may come in any number of pieces', async () => {
    const content = Buffer.concat([samples.png, dice.bytes(3 * MIB)]);
    const location = await begun(content.length, { filename: 'picture.png' });
    for (let offset = 0; offset < content.length;) {
      const piece = content.subarray(offset, offset + dice.int(1, 400_000));
      const { status, headers } = await tus.patch(location, offset, piece);
      expect([status, headers['upload-offset']]).toEqual([204, String(offset + piece.length)]);
      offset += piece.length;
    }
    const { body } = await recordOf(location).expect(200);
    expect(body).toMatchObject({ file_hash: sha256(content), file_size: content.length, content_type: 'image/png' });
    expect(completed).toHaveLength(1);
  });

  it('may come with the creation, in part or whole', async () => {
    const part = await tus.create(TEXT.length, { filename: 'a.txt' }, {}, TEXT.subarray(0, 7));
    expect([part.status, part.headers['upload-offset']]).toEqual([201, '7']);
    await tus.patch(part.headers.location ?? '', 7, TEXT.subarray(7));
    const whole = await tus.create(TEXT.length, { filename: 'b.txt' }, {}, TEXT);
    expect([whole.status, whole.headers['upload-offset']]).toEqual([201, String(TEXT.length)]);
    for (const { headers } of [part, whole]) {
      const { body } = await recordOf(headers.location ?? '').expect(200);
      expect(body.file_hash).toBe(sha256(TEXT));
    }
    expect(completed).toHaveLength(2);
  });

  it('may come without a declared length', async () => {
    const location = await begun(TEXT.length);
    expect((await tus.patch(location, 0, TEXT, { 'Transfer-Encoding': 'chunked' })).status).toBe(204);
    expect((await recordOf(location).expect(200)).body.file_hash).toBe(sha256(TEXT));
  });

  it('are none in an empty file, which is whole with its creation', async () => {
    const created = await tus.create(0, { filename: 'empty.txt' });
    expect(created.status).toBe(201);
    expect(created.headers['upload-expires']).toBeUndefined();
    const location = created.headers.location ?? '';
    const { body } = await recordOf(location).expect(200);
    expect(body).toMatchObject({ file_size: 0, file_hash: sha256(Buffer.alloc(0)), content_type: 'text/plain' });
    expect(await tus.offset(location)).toBe(0);
    expect(completed).toHaveLength(1);
  });

  it('that came before the connection broke are kept, all of them', async () => {
    const content = dice.text(2 * MIB);
    const location = await begun(content.length);
    const sending = tus.beginPatch(location, 0, content.length);
    await sending.write(content.subarray(0, MIB));
    await until(() => sizeOf(unfinished(location)) === MIB, 'the first half');
    sending.cut();
    expect(await tus.offset(location)).toBe(MIB);
    expect((await tus.patch(location, MIB, content.subarray(MIB))).status).toBe(204);
    expect((await recordOf(location).expect(200)).body.file_hash).toBe(sha256(content));
  });

  it('are refused from any other offset than the one reached, which stays', async () => {
    const location = await begun(TEXT.length);
    await tus.patch(location, 0, TEXT.subarray(0, 10));
    for (const offset of [0, 9, 11, TEXT.length]) {
      expect(codeOf(await tus.patch(location, offset, TEXT.subarray(10)))).toEqual([409, 'upload_offset_conflict']);
    }
    expect(await tus.offset(location)).toBe(10);
  });

  it('are refused beyond the length of the upload, which can still be finished', async () => {
    const words = dice.text(21);
    const location = await begun(20);
    expect(codeOf(await tus.patch(location, 0, words))).toEqual([413, 'upload_length_exceeded']);
    expect(await tus.offset(location)).toBe(0);
    expect((await tus.patch(location, 0, words, { 'Transfer-Encoding': 'chunked' })).status).toBe(413);
    const offset = await tus.offset(location);
    expect((await tus.patch(location, offset, words.subarray(offset, 20))).status).toBe(204);
    expect((await recordOf(location).expect(200)).body.file_hash).toBe(sha256(words.subarray(0, 20)));
  });

  it('are text although a character was cut in two, at every place where it can be', async () => {
    for (let cut = 1; cut < 40; cut++) {
      const location = await begun(TEXT.length, { filename: 'umlauts.txt', filetype: 'text/plain' });
      await tus.patch(location, 0, TEXT.subarray(0, cut));
      expect((await tus.patch(location, cut, TEXT.subarray(cut))).status).toBe(204);
    }
    expect(completed).toHaveLength(39);
  });

  it('are not text when the second half does not continue the character of the first', async () => {
    const cut = TEXT.indexOf('日') + 1;
    const broken = Buffer.concat([TEXT.subarray(0, cut), Buffer.from('abc')]);
    const location = await begun(broken.length);
    await tus.patch(location, 0, broken.subarray(0, cut));
    expect(codeOf(await tus.patch(location, cut, broken.subarray(cut)))).toEqual([415, 'file_type_mismatch']);
    await expectNothingLeft();
  });

  it('are sent by one at a time: of two with the same offset one goes on, and the file is whole', async () => {
    let contents: Buffer[] = [];
    let statuses: number[] = [];
    let location = '';
    // After three seconds the one who goes on is asked to let go: rounds in which somebody was held up for so long say nothing.
    for (let began = -Infinity; performance.now() - began >= 3_000;) {
      completed.length = 0;
      contents = [dice.text(5 * MIB), dice.text(5 * MIB)];
      location = await begun(5 * MIB);
      began = performance.now();
      statuses = await Promise.all(contents.map(async (content) => (await tus.patch(location, 0, content)).status));
    }
    expect(statuses.filter((status) => status === 204)).toHaveLength(1);
    expect([400, 404, 409, 423]).toContain(statuses.find((status) => status !== 204));
    const winner = contents[statuses.indexOf(204)];
    expect((await recordOf(location).expect(200)).body.file_hash).toBe(sha256(winner));
    expect(completed).toHaveLength(1);
  });

  it('of a client that stands still make room for the one who comes back', async () => {
    const content = dice.text(200_000);
    const location = await begun(content.length);
    const stuck = tus.beginPatch(location, 0, content.length);
    await stuck.write(content.subarray(0, 100_000));
    await until(() => sizeOf(unfinished(location)) === 100_000, 'the first half');
    expect(await tus.offset(location)).toBe(100_000);
    expect((await tus.patch(location, 100_000, content.subarray(100_000))).status).toBe(204);
    expect((await recordOf(location).expect(200)).body.file_hash).toBe(sha256(content));
    stuck.cut();
  });
});

describe('a request that ends before its work is done', () => {
  /** Locks a row while `work` runs, so that the server cannot finish what it does with it. */
  async function withLocked(table: 'users' | 'uploads', id: string, work: () => Promise<unknown>): Promise<void> {
    const client = await app.pool.connect();
    try {
      await client.query('BEGIN');
      await client.query(`SELECT FROM ${table} WHERE id = $1 FOR UPDATE`, [id]);
      await work();
      await client.query('COMMIT');
    } finally {
      // Of nothing, unless the test has failed: then no other waits for what it has locked.
      await client.query('ROLLBACK');
      client.release();
    }
  }

  const isServerWaiting = async () => {
    const waiting = `SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`;
    return (await app.pool.query(waiting)).rows.length > 0;
  };

  /** Time enough for whatever does not wait. */
  async function someRequests(): Promise<void> {
    for (let count = 0; count < 5; count++) expect((await tus.head(`${PREFIXES[0]}/${ABSENT}`)).status).toBe(404);
  }

  it('is not answered before what it has left is gone', async () => {
    const content = Buffer.concat([samples.exe, dice.bytes(2 * MIB)]);
    const location = await begun(content.length, { filename: 'picture.png' });
    const answers: number[] = [];
    let patching = Promise.resolve();
    await withLocked('users', user.id, async () => {
      patching = tus.patch(location, 0, content).then(({ status }) => void answers.push(status));
      await until(isServerWaiting, 'the upload is being removed');
      await someRequests();
      expect(answers).toEqual([]);
    });
    await patching;
    expect(answers).toEqual([415]);
    await expectNothingLeft();
  });

  it('keeps the upload to itself until what has come is recorded: the next one is told the offset that stays', async () => {
    const content = dice.text(200_000);
    const location = await begun(content.length);
    const sending = tus.beginPatch(location, 0, content.length);
    await sending.write(content.subarray(0, 100_000));
    await until(() => sizeOf(unfinished(location)) === 100_000, 'the first half');
    let offset = Promise.resolve(-1);
    await withLocked('uploads', idOf(location), async () => {
      sending.cut();
      await until(isServerWaiting, 'the offset is being recorded');
      offset = tus.offset(location);
      await someRequests();
    });
    expect(await offset).toBe(100_000);
    expect((await tus.patch(location, 100_000, content.subarray(100_000))).status).toBe(204);
    expect((await recordOf(location).expect(200)).body.file_hash).toBe(sha256(content));
  });
});

describe('a finished upload', () => {
  let location: string;
  beforeEach(async () => {
    location = await begun(TEXT.length);
    await tus.patch(location, 0, TEXT);
  });

  it('is still told by HEAD, and takes no more bytes', async () => {
    expect(await tus.offset(location)).toBe(TEXT.length);
    expect((await tus.patch(location, TEXT.length, Buffer.from('more'))).status).toBe(413);
    expect((await tus.patch(location, 0, TEXT)).status).toBe(409);
    expect((await tus.patch(location, TEXT.length, Buffer.alloc(0))).status).toBe(204);
    expect(await bytesOf(location)).toEqual(TEXT);
    expect(completed).toHaveLength(1);
  });

  it('is a file, which is not deleted by giving the upload up but as any file', async () => {
    expect(codeOf(await tus.terminate(location))).toEqual([404, 'file_not_found']);
    await recordOf(location).expect(200);
    expect(deleted).toEqual([]);
    await app.http
      .delete(`${FILES}/${idOf(location)}`)
      .set(user.auth)
      .expect(204);
    expect(deleted).toHaveLength(1);
    expect((await tus.head(location)).status).toBe(404);
    await expectNothingLeft();
  });
});

describe('an upload that is given up', () => {
  it('frees its reservation and its bytes at once', async () => {
    const location = await begun(USER_QUOTA / 4);
    await tus.patch(location, 0, TEXT);
    expect(await held()).toBe(USER_QUOTA / 4);
    const { status, headers } = await tus.terminate(location);
    expect([status, headers['tus-resumable']]).toEqual([204, '1.0.0']);
    expect(sizeOf(unfinished(location))).toBe(-1);
    await expectNothingLeft();
    for (const { status: after } of [await tus.head(location), await tus.patch(location, 0, TEXT)])
      expect(after).toBe(404);
    expect((await tus.terminate(location)).status).toBe(404);
    expect([...completed, ...deleted]).toEqual([]);
  });

  it('leaves nothing while a client is still sending', async () => {
    const content = dice.text(200_000);
    const location = await begun(content.length);
    const sending = tus.beginPatch(location, 0, content.length);
    await sending.write(content.subarray(0, 100_000));
    await until(() => sizeOf(unfinished(location)) === 100_000, 'the first half');
    expect((await tus.terminate(location)).status).toBe(204);
    sending.cut();
    await sending.answer;
    await expectNothingLeft();
  });
});

describe('an upload that nobody goes on with', () => {
  const expire = (location: string) =>
    app.pool.query(`UPDATE uploads SET expires_at = now() - interval '1 second' WHERE id = $1`, [idOf(location)]);

  it('says when it expires, and later with each piece', async () => {
    const before = Date.now();
    const { headers } = await tus.create(TEXT.length, { filename: 'a.txt' });
    const at = Date.parse(headers['upload-expires'] as string);
    expect(at).toBeGreaterThanOrEqual(before + TTL_SECONDS * 1000 - 1000);
    expect(at).toBeLessThanOrEqual(Date.now() + TTL_SECONDS * 1000);
    const location = headers.location ?? '';
    await app.pool.query(`UPDATE uploads SET expires_at = now() + interval '10 minutes' WHERE id = $1`, [
      idOf(location),
    ]);
    await tus.patch(location, 0, TEXT.subarray(0, 10));
    const { rows } = await app.pool.query('SELECT expires_at FROM uploads WHERE id = $1', [idOf(location)]);
    expect(rows[0].expires_at.getTime()).toBeGreaterThanOrEqual(before + TTL_SECONDS * 1000);
    const { headers: next } = await tus.patch(location, 10, TEXT.subarray(10, 20));
    // The header has whole seconds, and may be of the state before this piece.
    expect(Date.parse(next['upload-expires'] as string)).toBeGreaterThanOrEqual(before + TTL_SECONDS * 1000 - 1000);
  });

  it('is gone when it has expired, and its reservation and bytes with the next sweep', async () => {
    const location = await begun(TEXT.length);
    await tus.patch(location, 0, TEXT.subarray(0, 10));
    await expire(location);
    for (const answer of [await tus.head(location), await tus.patch(location, 10, TEXT.subarray(10))])
      expect([404, 410]).toContain(answer.status);
    await sweep();
    expect(sizeOf(unfinished(location))).toBe(-1);
    await expectNothingLeft();
    expect([404, 410]).toContain((await tus.head(location)).status);
  });

  it('is begun anew by the client itself', async () => {
    const content = dice.text(300_000);
    const upload = start(content, { chunkSize: 100_000, onChunkComplete: () => void upload.client.abort() });
    await until(() => completedPieces(upload) === 1, 'the first piece');
    const first = upload.client.url ?? '';
    await expire(first);
    await sweep();
    upload.client.options.onChunkComplete = null;
    upload.client.start();
    await upload.done;
    expect(upload.client.url).not.toBe(first);
    expect((await recordOf(upload.client.url ?? '').expect(200)).body.file_hash).toBe(sha256(content));
  });
});

describe('checksums', () => {
  const digest = (algorithm: string, bytes: Buffer) => createHash(algorithm).update(bytes).digest('base64');

  it.each(['sha1', 'sha256', 'md5'])('of %s that are right let the bytes in', async (algorithm) => {
    const location = await begun(TEXT.length);
    const header = { 'Upload-Checksum': `${algorithm} ${digest(algorithm, TEXT)}` };
    expect((await tus.patch(location, 0, TEXT, header)).status).toBe(204);
    expect((await recordOf(location).expect(200)).body.file_hash).toBe(sha256(TEXT));
  });

  it('that are wrong are 460, and the offset stays', async () => {
    const location = await begun(TEXT.length);
    await tus.patch(location, 0, TEXT.subarray(0, 10));
    const wrong = { 'Upload-Checksum': `sha1 ${digest('sha1', Buffer.from('something else'))}` };
    for (const piece of [TEXT.subarray(10, 30), TEXT.subarray(10)]) {
      expect(codeOf(await tus.patch(location, 10, piece, wrong))).toEqual([460, 'checksum_mismatch']);
      expect(await tus.offset(location)).toBe(10);
    }
    const right = { 'Upload-Checksum': `sha1 ${digest('sha1', TEXT.subarray(10))}` };
    expect((await tus.patch(location, 10, TEXT.subarray(10), right)).status).toBe(204);
    expect((await recordOf(location).expect(200)).body.file_hash).toBe(sha256(TEXT));
  });

  it('of a body that ends early let nothing in', async () => {
    const content = dice.text(200_000);
    const location = await begun(content.length);
    const sending = new TusCalls(app.url, {
      ...user.auth,
      'Upload-Checksum': `sha1 ${digest('sha1', content)}`,
    }).beginPatch(location, 0, content.length);
    await sending.write(content.subarray(0, 100_000));
    await until(() => sizeOf(unfinished(location)) === 100_000, 'the first half');
    sending.cut();
    expect(await tus.offset(location)).toBe(0);
  });

  it.each(['crc32 AAAAAA==', 'sha1', 'sha1 ???', 'SHA1', ''])(
    'like "%s" are 400, and nothing is taken',
    async (value) => {
      const location = await begun(TEXT.length);
      const answer = await tus.patch(location, 0, TEXT, { 'Upload-Checksum': value });
      expect(codeOf(answer)).toEqual([400, 'checksum_unsupported']);
      expect(await tus.offset(location)).toBe(0);
    },
  );

  it('that are wrong at the creation leave nothing: nobody was told an address', async () => {
    const wrong = { 'Upload-Checksum': `sha1 ${digest('sha1', Buffer.from('something else'))}` };
    const { status, headers } = await tus.create(TEXT.length, { filename: 'a.txt' }, wrong, TEXT);
    expect([status, headers.location]).toEqual([460, undefined]);
    await expectNothingLeft();
  });
});

describe('requests that are not as the protocol wants them', () => {
  it('of no version are 412, and nothing is done', async () => {
    const location = await begun(TEXT.length);
    for (const [method, path] of [
      ['POST', PREFIXES[0]],
      ['HEAD', location],
      ['PATCH', location],
      ['DELETE', location],
    ]) {
      const { status } = await call(`${app.url}${path}`, { method, headers: { ...user.auth, 'Upload-Length': 10 } });
      expect([method, status]).toEqual([method, 412]);
    }
    expect(await tus.offset(location)).toBe(0);
  });

  it('of another version are 412 and told the right one', async () => {
    const { status, headers } = await tus.call('POST', PREFIXES[0], { 'Tus-Resumable': '0.2.2', 'Upload-Length': 10 });
    expect([status, headers['tus-version']]).toEqual([412, '1.0.0']);
    await expectNothingLeft();
  });

  it.each([
    ['concatenation of parts', { 'Upload-Length': 10, 'Upload-Concat': 'partial' }],
    ['concatenation of all', { 'Upload-Concat': `final;${PREFIXES[0]}/${ABSENT}` }],
    ['a length to be told later', { 'Upload-Defer-Length': 1 }],
  ])('for %s are 501', async (_title, headers) => {
    expect(codeOf(await tus.call('POST', PREFIXES[0], headers))).toEqual([501, 'tus_extension_unsupported']);
    await expectNothingLeft();
  });

  it.each([
    ['no length', {}],
    ['a length below zero', { 'Upload-Length': '-1' }],
    ['a length that is no number', { 'Upload-Length': 'ten' }],
    ['a length that is no whole number', { 'Upload-Length': '1.5' }],
    ['metadata that are not base64', { 'Upload-Length': '10', 'Upload-Metadata': 'filename a.txt,,' }],
    ['the same metadata twice', { 'Upload-Length': '10', 'Upload-Metadata': 'filename YQ==,filename Yg==' }],
  ])('with %s are 400', async (_title, headers) => {
    const { status, body } = await tus.call('POST', PREFIXES[0], headers);
    expect([status, body.status]).toEqual([400, 'error']);
    await expectNothingLeft();
  });

  it('with too long a description are 422', async () => {
    const { status, body } = await tus.create(10, { filename: 'a.txt', description: 'x'.repeat(1001) });
    expect([status, body.field_errors?.description?.length]).toEqual([422, 1]);
    await expectNothingLeft();
  });

  it('without an offset are 400, and with another type of body 415', async () => {
    const location = await begun(TEXT.length);
    const type = { 'Content-Type': 'application/offset+octet-stream' };
    expect((await tus.call('PATCH', location, type, TEXT)).status).toBe(400);
    expect((await tus.patch(location, 0, TEXT, { 'Content-Type': 'text/plain' })).status).toBe(415);
    expect(await tus.offset(location)).toBe(0);
  });

  it.each(['not-an-id', ABSENT])('for an upload that is not there (%s) are 404', async (id) => {
    const location = `${PREFIXES[0]}/${id}`;
    const answers = [await tus.head(location), await tus.patch(location, 0, TEXT), await tus.terminate(location)];
    expect(answers.map(({ status }) => status)).toEqual([404, 404, 404]);
  });

  it('for somebody else’s upload are 404, an admin’s too', async () => {
    const location = await begun(TEXT.length);
    for (const other of [await aSignedInUser(app), await anAdmin(app)]) {
      const calls = new TusCalls(app.url, other.auth);
      const answers = [
        await calls.head(location),
        await calls.patch(location, 0, TEXT),
        await calls.terminate(location),
      ];
      expect(answers.map(({ status }) => status)).toEqual([404, 404, 404]);
    }
    expect(await tus.offset(location)).toBe(0);
  });

  it('for a form’s file are 404', async () => {
    const { body } = await app.http.post(FILES).set(user.auth).attach('file', TEXT, 'text.txt').expect(201);
    expect((await tus.head(`${PREFIXES[0]}/${body.id}`)).status).toBe(404);
    expect((await tus.terminate(`${PREFIXES[0]}/${body.id}`)).status).toBe(404);
    await app.http.get(`${FILES}/${body.id}`).set(user.auth).expect(200);
  });
});

describe('what a form may not send', () => {
  it('is refused at the creation: beyond the quota 507, beyond the size 413', async () => {
    expect(codeOf(await tus.create(MAX_FILE_SIZE + 1, { filename: 'a.txt' }))).toEqual([413, 'file_too_large']);
    await expectNothingLeft();
    await app.pool.query('UPDATE users SET quota = 1000 WHERE id = $1', [user.id]);
    expect(codeOf(await tus.create(1001, { filename: 'a.txt' }))).toEqual([507, 'quota_exceeded']);
    await expectNothingLeft();
    expect((await tus.create(1000, { filename: 'a.txt' })).status).toBe(201);
  });

  it.each([
    ['name', { filename: 'program.exe' }],
    ['type', { filename: 'page', filetype: 'text/html' }],
  ])('is refused at the creation with 415 by its %s', async (_title, metadata) => {
    expect(codeOf(await tus.create(10, metadata as Record<string, string>))).toEqual([415, 'file_type_not_allowed']);
    await expectNothingLeft();
  });

  it('is refused by its content after the first MiB, and nothing is left', async () => {
    const content = Buffer.concat([samples.exe, dice.bytes(3 * MIB)]);
    const location = await begun(content.length, { filename: 'picture.png' });
    const answer = await tus.patch(location, 0, content.subarray(0, MIB + 100_000));
    expect(codeOf(answer)).toEqual([415, 'file_type_mismatch']);
    expect((await tus.head(location)).status).toBe(404);
    await expectNothingLeft();
  });

  it('is refused by its content in the first MiB also when that came in pieces', async () => {
    const content = dice.text(3 * MIB);
    const location = await begun(content.length, { filename: 'picture.png' });
    const piece = 100_000;
    let offset = 0;
    let answer = await tus.patch(location, 0, content.subarray(0, piece));
    for (
      ;
      answer.status === 204 && offset <= MIB;
      answer = await tus.patch(location, offset, content.subarray(offset, offset + piece))
    )
      offset += piece;
    expect(offset).toBeGreaterThan(0);
    expect(codeOf(answer)).toEqual([415, 'file_type_mismatch']);
    await expectNothingLeft();
  });

  it.each([
    ['text with a NUL at its end', 'a.txt', Buffer.concat([TEXT, Buffer.from([0])])],
    ['half a character at its end', 'a.txt', TEXT.subarray(0, 3)],
    ['another signature', 'a.png', samples.jpeg],
    ['a signature under the name of a text', 'a.txt', samples.png],
  ])('is refused by its content at the end (%s), and nothing is left', async (_title, filename, content) => {
    const location = await begun(content.length, { filename });
    await tus.patch(location, 0, content.subarray(0, 2));
    const { status } = await tus.patch(location, 2, content.subarray(2));
    expect(status).toBe(415);
    expect((await tus.head(location)).status).toBe(404);
    await expectNothingLeft();
    expect(completed).toEqual([]);
  });
});

describe('an upload whose last byte was recorded, but that was not finished', () => {
  /** The state in the middle of the last step: the row says that all bytes are there, and is still pending. */
  async function unfinishedUpload(isPublished: boolean): Promise<string> {
    const location = await begun(TEXT.length, { filename: 'text.txt', description: 'kept' });
    await tus.patch(location, 0, TEXT.subarray(0, -1));
    appendFileSync(unfinished(location), TEXT.subarray(-1));
    if (isPublished) renameSync(unfinished(location), publishedPath(app.dataDir, idOf(location)));
    await app.pool.query('UPDATE uploads SET received_bytes = file_size WHERE id = $1', [idOf(location)]);
    return location;
  }

  it.each([
    ['before its bytes were published', false],
    ['after its bytes were published', true],
  ])('becomes a file at the next HEAD, when the end came %s', async (_title, isPublished) => {
    const location = await unfinishedUpload(isPublished);
    await recordOf(location).expect(404);
    expect(await tus.offset(location)).toBe(TEXT.length);
    const { body } = await recordOf(location).expect(200);
    expect(body).toMatchObject({ file_hash: sha256(TEXT), file_size: TEXT.length, description: 'kept' });
    expect(await bytesOf(location)).toEqual(TEXT);
    expect(completed).toHaveLength(1);
    expect(await held()).toBe(TEXT.length);
  });

  it('becomes one file, once, however many ask at the same time', async () => {
    const location = await unfinishedUpload(false);
    const offsets = await Promise.all(Array.from({ length: 5 }, () => tus.offset(location)));
    expect(offsets).toEqual(Array(5).fill(TEXT.length));
    expect(completed).toHaveLength(1);
  });
});

describe('a user who is deleted in the middle', () => {
  it('cannot go on, and leaves nothing', async () => {
    const content = dice.text(200_000);
    const location = await begun(content.length);
    const sending = tus.beginPatch(location, 0, content.length);
    await sending.write(content.subarray(0, 100_000));
    await until(() => sizeOf(unfinished(location)) === 100_000, 'the first half');
    await app.http.delete(`/api/v1/users/${user.id}`).set(user.auth).expect(200);
    await sending.write(content.subarray(100_000));
    expect((await sending.finish())?.status).toBe(404);
    expect((await tus.head(location)).status).toBe(401);
    await sweep();
    expect(sizeOf(unfinished(location))).toBe(-1);
    expect(sizeOf(publishedPath(app.dataDir, idOf(location)))).toBe(-1);
    expect(completed).toEqual([]);
  });
});

/** An upload by tus-js-client. */
interface ClientUpload {
  client: Upload;
  done: Promise<void>;
  /** The server's answers, in order. */
  answers: { method: string; status: number; offset: string | undefined }[];
}

const completedPieces = ({ answers }: ClientUpload) =>
  answers.filter(({ method, status }) => method === 'PATCH' && status === 204).length;

function start(content: Buffer, options: Partial<UploadOptions> = {}, url = app.url): ClientUpload {
  const answers: ClientUpload['answers'] = [];
  let settle!: { resolve: () => void; reject: (error: Error) => void };
  const done = new Promise<void>((resolve, reject) => (settle = { resolve, reject }));
  const client = new Upload(content, {
    endpoint: `${url}${PREFIXES[0]}`,
    headers: user.auth,
    metadata: { filename: 'text.txt', filetype: 'text/plain' },
    retryDelays: [0, 50, 100, 200],
    httpStack: new DefaultHttpStack({ agent: false }),
    onAfterResponse: (request, response) => {
      const offset = response.getHeader('Upload-Offset');
      answers.push({ method: request.getMethod(), status: response.getStatus(), offset });
    },
    onSuccess: () => settle.resolve(),
    onError: (error) => settle.reject(error),
    ...options,
  });
  client.start();
  return { client, done, answers };
}

describe('tus-js-client', () => {
  const recordsOf = async () => (await app.http.get(FILES).set(user.auth).expect(200)).body.items;

  it.each([
    ['in one piece', {}],
    ['in pieces', { chunkSize: 100_000 }],
    ['with the creation', { uploadDataDuringCreation: true, chunkSize: 100_000 }],
  ])('uploads a file %s', async (_title, options) => {
    const content = dice.text(450_000);
    await start(content, options).done;
    expect(await recordsOf()).toEqual([
      expect.objectContaining({ filename: 'text.txt', file_hash: sha256(content), file_size: content.length }),
    ]);
    expect(completed).toHaveLength(1);
  });

  it('uploads an empty file', async () => {
    await start(Buffer.alloc(0)).done;
    expect(await recordsOf()).toEqual([expect.objectContaining({ file_size: 0, content_type: 'text/plain' })]);
  });

  it('is interrupted by its user and goes on where it was', async () => {
    const content = dice.text(500_000);
    const upload = start(content, {
      chunkSize: 100_000,
      onChunkComplete: (_size, accepted) => {
        if (accepted === 200_000) void upload.client.abort();
      },
    });
    await until(() => completedPieces(upload) === 2, 'two pieces');
    expect(await recordsOf()).toEqual([]);
    upload.answers.length = 0;
    upload.client.start();
    await upload.done;
    expect(upload.answers[0]).toEqual({ method: 'HEAD', status: 200, offset: '200000' });
    expect(completedPieces(upload)).toBe(3);
    expect(await recordsOf()).toEqual([expect.objectContaining({ file_hash: sha256(content) })]);
    expect(completed).toHaveLength(1);
  });

  it('goes on by itself, as often as the line breaks in the middle of a piece', async () => {
    const content = dice.text(6 * MIB);
    const line = await Line.to(app.port);
    try {
      let breaks = 0;
      const upload = start(
        content,
        {
          onBeforeRequest: (request) => {
            if (request.getMethod() === 'PATCH' && breaks < 3) {
              breaks++;
              line.breakAfter(1.5 * MIB);
            }
          },
        },
        line.url,
      );
      await upload.done;
      const heads = upload.answers.filter(({ method }) => method === 'HEAD').map(({ offset }) => Number(offset));
      expect(heads).toHaveLength(3);
      // Nothing that has arrived is sent twice: each break is further on.
      expect(heads).toEqual([...new Set(heads)].sort((a, b) => a - b));
      expect(heads[0]).toBeGreaterThan(0);
      expect(upload.answers.filter(({ method }) => method === 'POST')).toHaveLength(1);
    } finally {
      await line.close();
    }
    expect(await recordsOf()).toEqual([expect.objectContaining({ file_hash: sha256(content), file_size: 6 * MIB })]);
    expect(completed).toHaveLength(1);
  });

  it('twice on the same upload makes one file, whole', async () => {
    const content = dice.text(4 * MIB);
    const location = await begun(content.length);
    const options = { uploadUrl: `${app.url}${location}`, chunkSize: 500_000, retryDelays: Array(20).fill(100) };
    await Promise.all([start(content, options).done, start(content, options).done]);
    expect(await recordsOf()).toEqual([expect.objectContaining({ id: idOf(location), file_hash: sha256(content) })]);
    expect(completed).toHaveLength(1);
  });

  it('gives an upload up', async () => {
    const upload = start(dice.text(5 * MIB), { chunkSize: 100_000 });
    await until(() => completedPieces(upload) >= 1, 'a piece');
    await upload.client.abort(true);
    await expectNothingLeft();
  });

  it('is told the refusal of a type, and does not try again', async () => {
    const upload = start(samples.exe, { metadata: { filename: 'program.exe' } });
    await expect(upload.done).rejects.toThrow(/file_type_not_allowed/);
    expect(upload.answers.map(({ status }) => status)).toEqual([415]);
  });
});
