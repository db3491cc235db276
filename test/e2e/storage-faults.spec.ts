import { renameSync, rmSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { Reconciler } from '../../src/uploads/upkeep/reconciler.js';
import { aSignedInUser, type SignedIn } from '../support/builders.js';
import { startTestApp, type TestApp } from '../support/test-app.js';
import { idOf, MIB, publishedPath, sha256, sizeOf, TusCalls, unfinishedPath } from '../support/uploads.js';

const UPLOADS = '/api/v1/uploads';
const SIZE = 3 * MIB;
const TEXT = Buffer.alloc(SIZE, 'some text, again and again\n');

describe('faults in the middle of uploads', () => {
  let app: TestApp;
  let user: SignedIn;
  let tus: TusCalls;
  beforeAll(async () => {
    app = await startTestApp({ REQUEST_TIMEOUT: '1' });
  });
  beforeEach(async () => {
    user = await aSignedInUser(app);
    tus = new TusCalls(app.url, user.auth);
  });
  afterAll(() => app.close());

  const begin = async () => (await tus.create(SIZE, { filename: 'text.txt' })).headers.location ?? '';
  const upload = () => app.http.post(UPLOADS).set(user.auth).attach('file', Buffer.from('text'), 'a.txt');

  describe('a resumable upload whose body stalls', () => {
    it('is 408, and whoever asks at once is told what is durable, and goes on from there', async () => {
      const location = await begin();
      const stalled = tus.beginPatch(location, 0, SIZE);
      void stalled.write(TEXT.subarray(0, 2 * MIB));
      const answer = await stalled.answer;
      expect([answer?.status, answer?.body.error_code]).toEqual([408, 'upload_stalled']);
      const offset = await tus.offset(location);
      expect(offset).toBe(2 * MIB);
      expect(sizeOf(unfinishedPath(app.dataDir, idOf(location)))).toBe(offset);
      expect((await tus.patch(location, offset, TEXT.subarray(offset))).status).toBe(204);
      const { body: file } = await app.http
        .get(`${UPLOADS}/${idOf(location)}`)
        .set(user.auth)
        .expect(200);
      expect(file.file_hash).toBe(sha256(TEXT));
    });

    it('lets nobody else write before it has ended, and an offset that was told stays', async () => {
      const location = await begin();
      const stalled = tus.beginPatch(location, 0, SIZE);
      void stalled.write(TEXT.subarray(0, 2 * MIB));
      await stalled.answer;
      const second = await tus.patch(location, 0, TEXT.subarray(0, 1000));
      expect([second.status, second.body.error_code]).toEqual([409, 'upload_offset_conflict']);
      expect(await tus.offset(location)).toBe(2 * MIB);
      expect((await tus.patch(location, 2 * MIB, TEXT.subarray(2 * MIB))).status).toBe(204);
    });
  });

  it('a resumable upload that is refused in the middle of its body is told why', async () => {
    const location = (await tus.create(8 * MIB, { filename: 'a.png', filetype: 'image/png' })).headers.location ?? '';
    const refused = tus.beginPatch(location, 0, 8 * MIB);
    for (let sent = 0; sent < 8 * MIB && (await refused.write(TEXT.subarray(0, MIB))); sent += MIB);
    const answer = await refused.answer;
    expect([answer?.status, answer?.body.error_code]).toEqual([415, 'file_type_mismatch']);
    expect((await tus.head(location)).status).toBe(404);
  });

  it('a resumable upload whose bytes are lost is gone, so that its client begins anew', async () => {
    const location = await begin();
    expect((await tus.patch(location, 0, TEXT.subarray(0, MIB))).status).toBe(204);
    truncateSync(unfinishedPath(app.dataDir, idOf(location)), 1000);
    const { status, body } = await tus.patch(location, MIB, TEXT.subarray(MIB));
    expect([status, body.error_code]).toEqual([404, 'file_not_found']);
    expect((await tus.head(location)).status).toBe(404);
    const { rows } = await app.pool.query('SELECT storage_held::int AS held FROM users WHERE id = $1', [user.id]);
    expect(rows).toEqual([{ held: 0 }]);
  });

  it('behind nginx, bytes that are lost are 503 without a word of the file; others are left to nginx', async () => {
    const proxied = await startTestApp({ X_ACCEL_REDIRECT: '/internal-files/' });
    try {
      const { auth } = await aSignedInUser(proxied);
      const { body: file } = await proxied.http
        .post(UPLOADS)
        .set(auth)
        .attach('file', Buffer.from('text'), 'a.txt')
        .expect(201);
      const download = () => proxied.http.get(`${UPLOADS}/${file.id}/download`).set(auth);
      const { headers } = await download().expect(200);
      expect(headers['x-accel-redirect']).toBe(`/internal-files/${file.id.slice(-2)}/${file.id}`);
      expect(headers['etag']).toBe(`"${file.file_hash}"`);
      rmSync(publishedPath(proxied.dataDir, file.id));
      const lost = await download().expect(503);
      expect(lost.body.error_code).toBe('file_unavailable');
      for (const name of ['etag', 'last-modified', 'content-disposition', 'x-accel-redirect'])
        expect([name, lost.headers[name]]).toEqual([name, undefined]);
    } finally {
      await proxied.close();
    }
  });

  describe('while the folder of the files is away', () => {
    const away = (work: () => Promise<void>) => async () => {
      const folder = join(app.dataDir, 'files');
      const { body: file } = await upload().expect(201);
      renameSync(folder, `${folder}.away`);
      try {
        await work();
        await app.http.delete(`${UPLOADS}/${file.id}`).set(user.auth).expect(204);
        // What cannot be removed now is not forgotten, neither by the request nor by the sweeps meanwhile.
        await expect(app.app.get(Reconciler).sweep()).rejects.toThrow('ENOENT');
      } finally {
        renameSync(`${folder}.away`, folder);
      }
      expect(sizeOf(publishedPath(app.dataDir, file.id))).toBe(4);
      await app.app.get(Reconciler).sweep();
      expect(sizeOf(publishedPath(app.dataDir, file.id))).toBe(-1);
    };

    it(
      'uploads are 503, and a deletion is made up for when it is back',
      away(async () => {
        const { body, headers } = await upload().expect(503);
        expect(body.error_code).toBe('service_unavailable');
        expect(headers['retry-after']).toBeDefined();
        const begun = await tus.create(10, { filename: 'a.txt' });
        expect((await tus.patch(begun.headers.location ?? '', 0, Buffer.from('0123456789'))).status).toBe(503);
      }),
    );
  });
});
