import { randomBytes } from 'node:crypto';
import { readdirSync, readlinkSync, rmSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { faultsFoundByOthers, HeldAnswer, type ReadArchive, readArchive } from '../support/archives.js';
import { aSignedInUser, anAdmin, PASSWORD, type SignedIn, signIn } from '../support/builders.js';
import { createBucket, hasS3Server, startS3Server } from '../support/s3-server.js';
import { startTestApp, type TestApp } from '../support/test-app.js';
import { MIB, publishedPath, until } from '../support/uploads.js';

const EXPORT = '/api/v1/users/me/export';
const LARGE = 10 * MIB;
const ISO = /^\d{4}-\d\d-\d\dT[\d:.]+Z$/;

describe('GET /users/me/export', () => {
  let app: TestApp;
  let user: SignedIn;

  const download = async (as: SignedIn = user): Promise<Buffer> =>
    (await app.http.get(EXPORT).set(as.auth).responseType('blob').expect(200)).body as Buffer;
  const archiveOf = async (as: SignedIn): Promise<ReadArchive> => readArchive(await download(as));
  const upload = async (as: SignedIn, name: string, bytes: Buffer, description?: string): Promise<any> => {
    const form = app.http.post('/api/v1/uploads').set(as.auth).attach('file', bytes, name);
    return (await (description ? form.field('description', description) : form).expect(201)).body;
  };
  const hold = (as: SignedIn): Promise<HeldAnswer> => HeldAnswer.open(`${app.url}${EXPORT}`, as.auth);
  const exportsNoted = async (id: string): Promise<number> => {
    const { rows } = await app.pool.query(
      `SELECT 1 FROM audit_log WHERE action = 'user.exported' AND actor_id = $1 AND target_type = 'user' AND target_id = $2`,
      [id, id],
    );
    return rows.length;
  };
  /** Files of users that this process has open. */
  const openFiles = (): string[] =>
    readdirSync('/proc/self/fd').flatMap((descriptor) => {
      try {
        const path = readlinkSync(`/proc/self/fd/${descriptor}`);
        return path.startsWith(join(app.dataDir, 'files')) ? [path] : [];
      } catch {
        return [];
      }
    });
  const filesIn = ({ names }: ReadArchive) => names.filter((name) => name.startsWith('files/'));

  beforeAll(async () => {
    app = await startTestApp({ ALLOWED_FILE_TYPES: '*' });
    user = await aSignedInUser(app);
  });
  afterAll(() => app.close());

  it('holds all that is kept of the user, in a ZIP that every program reads', async () => {
    const owner = await aSignedInUser(app, { fullName: 'Ann Lee' });
    const elsewhere = await signIn(app, owner);
    const key = await app.http.post('/api/v1/users/me/api-keys').set(owner.auth).send({ name: 'backup' }).expect(201);
    const text = await upload(owner, 'notes.txt', Buffer.from('Hello'), 'My notes');
    const empty = await upload(owner, 'empty.txt', Buffer.alloc(0));
    const binary = randomBytes(MIB + 7);
    const other = await upload(owner, 'data.bin', binary);

    const zip = await download(owner);
    expect(await faultsFoundByOthers(zip)).toEqual([]);
    const archive = await readArchive(zip);
    expect(archive.names.slice(0, 6)).toEqual([
      'README.txt',
      'profile.json',
      'sessions.json',
      'api-keys.json',
      'audit-log.json',
      'files.json',
    ]);
    expect(archive.names.at(-1)).toBe('missing.json');
    expect(archive.text('README.txt')).toContain(owner.email);
    const me = await app.http.get('/api/v1/users/me').set(owner.auth);
    expect(archive.json('profile.json')).toEqual(me.body);
    const sessions = await app.http.get('/api/v1/auth/sessions').set(owner.auth);
    expect(archive.json('sessions.json')).toEqual(sessions.body.items);
    expect(sessions.body.items).toHaveLength(2);
    const { key: secret, prefix, ...shown } = key.body;
    expect(secret.startsWith(prefix)).toBe(true);
    expect(archive.json('api-keys.json')).toEqual([shown]);
    expect(archive.json('files.json')).toEqual([text, empty, other]);
    expect(archive.json('missing.json')).toEqual([]);
    expect(filesIn(archive)).toEqual(
      [text, empty, other].map(({ id, original_filename }) => `files/${id}-${original_filename}`),
    );
    expect(archive.text(`files/${text.id}-notes.txt`)).toBe('Hello');
    expect(archive.entries.get(`files/${empty.id}-empty.txt`)?.bytes).toHaveLength(0);
    expect(archive.entries.get(`files/${other.id}-data.bin`)?.bytes.equals(binary)).toBe(true);
    const { rows } = await app.pool.query('SELECT password_hash FROM users WHERE id = $1', [owner.id]);
    const everything = [...archive.entries.values()].map(({ bytes }) => bytes.toString('latin1')).join();
    for (const hidden of [PASSWORD, rows[0].password_hash, owner.accessToken, elsewhere.refreshToken, secret])
      expect(everything.includes(hidden)).toBe(false);
  });

  it('tells a client what it gets', async () => {
    const { headers } = await app.http.get(EXPORT).set(user.auth).responseType('blob').expect(200);
    expect(headers).toMatchObject({
      'content-type': 'application/zip',
      'content-disposition': `attachment; filename="${user.username}.zip"`,
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
      'x-request-id': expect.any(String),
    });
    expect(headers).not.toHaveProperty('content-length');
  });

  it('keeps times of files, and stores their bytes as they are', async () => {
    const owner = await aSignedInUser(app);
    const file = await upload(owner, 'zeros.bin', Buffer.alloc(200_000));
    const archive = await archiveOf(owner);
    const { entry } = archive.entries.get(`files/${file.id}-zeros.bin`) ?? {};
    expect(entry).toMatchObject({ compressionMethod: 0, compressedSize: 200_000, uncompressedSize: 200_000 });
    const seconds = Math.floor(Date.parse(file.upload_date) / 1000);
    expect(entry?.getLastModDate().getTime()).toBe(seconds * 1000);
    expect(archive.entries.get('audit-log.json')?.entry.compressionMethod).toBe(8);
  });

  it.each([
    ['in other scripts', 'Ünïcödé 日本語 🎉.txt', 'Ünïcödé 日本語 🎉.txt'],
    ['that Windows reads as something else', 'a:b*c?"d<e>f|g.txt', 'a_b_c__d_e_f_g.txt'],
    ['with a dot at the end', 'report...', 'report'],
    ['longer than a file system takes', `${'長'.repeat(200)}.pdf`, `${'長'.repeat(71)}.pdf`],
  ])('gives names %s to files that can be unpacked', async (_what, name, expected) => {
    const owner = await aSignedInUser(app);
    const file = await upload(owner, 'plain.txt', Buffer.from('x'));
    await app.pool.query('UPDATE uploads SET original_filename = $1 WHERE id = $2', [name, file.id]);
    const archive = await archiveOf(owner);
    expect(filesIn(archive)).toEqual([`files/${file.id}-${expected}`]);
    const { entry } = archive.entries.get(`files/${file.id}-${expected}`) ?? {};
    expect((entry?.generalPurposeBitFlag ?? 0) & 0x800).toBe(0x800);
    expect(Buffer.byteLength(`${file.id}-${expected}`)).toBeLessThanOrEqual(255);
  });

  it.each(['../../etc/passwd', '..', '/etc/passwd', 'C:\\Windows\\x', 'a/../../b', '..\\..\\b'])(
    'lets no name leave the folder: %s',
    async (name) => {
      const owner = await aSignedInUser(app);
      const file = await upload(owner, 'plain.txt', Buffer.from('x'));
      await app.pool.query('UPDATE uploads SET original_filename = $1 WHERE id = $2', [name, file.id]);
      const zip = await download(owner);
      expect(await faultsFoundByOthers(zip)).toEqual([]);
      for (const entry of filesIn(await readArchive(zip))) expect(entry).toMatch(/^files\/[0-9a-f-]{36}-[^/\\:]*$/);
    },
  );

  it('holds what the user did and what was done to the account, and of others no address', async () => {
    const [owner, admin, stranger] = [await aSignedInUser(app), await anAdmin(app), await aSignedInUser(app)];
    const insert = (actor: string | null, action: string, target: string | null) =>
      app.pool.query(
        `INSERT INTO audit_log (id, created_at, actor_id, action, target_type, target_id, ip_address, user_agent, request_id, details)
         VALUES (audit_id(clock_timestamp()), now(), $1, $2, 'user', $3, '192.0.2.1', 'agent', 'request', '{"n": 1}')`,
        [actor, action, target],
      );
    await insert(admin.id, 'user.quota_changed', owner.id);
    await insert(null, 'login.failed', owner.id);
    await insert(stranger.id, 'file.deleted', 'something else');
    const entries: any[] = (await archiveOf(owner)).json('audit-log.json');
    expect(entries.map(({ action }) => action)).toEqual([
      'login.succeeded',
      'user.quota_changed',
      'login.failed',
      'user.exported',
    ]);
    const [login, byAdmin, failed] = entries;
    expect(login).toMatchObject({ actor_id: owner.id, target_type: 'user', ip_address: expect.any(String) });
    expect(byAdmin).toEqual({
      id: expect.any(String),
      created_at: expect.stringMatching(ISO),
      actor_id: admin.id,
      action: 'user.quota_changed',
      target_type: 'user',
      target_id: owner.id,
      ip_address: null,
      user_agent: null,
      request_id: null,
      details: { n: 1 },
    });
    expect(failed).toMatchObject({
      actor_id: null,
      ip_address: '192.0.2.1',
      user_agent: 'agent',
      request_id: 'request',
    });
  });

  it('walks lists of any length, whatever comes at the same moment', async () => {
    const owner = await aSignedInUser(app);
    await app.pool.query(
      `INSERT INTO uploads (id, owner_id, state, filename, original_filename, content_type, file_size, sha256, is_resumable, upload_date, updated_at)
       SELECT gen_random_uuid(), $1, 'ready', n || '.txt', n || '.txt', 'text/plain', 0, sha256(''), false, date_trunc('day', now()), now()
       FROM generate_series(1, 450) n`,
      [owner.id],
    );
    await app.pool.query(
      `INSERT INTO audit_log (id, created_at, actor_id, action, details)
       SELECT audit_id(clock_timestamp()), now(), $1, 'file.deleted', '{}' FROM generate_series(1, 1200)`,
      [owner.id],
    );
    const archive = await archiveOf(owner);
    const files: any[] = archive.json('files.json');
    expect(new Set(files.map(({ id }) => id)).size).toBe(450);
    // They have no bytes.
    expect(archive.json('missing.json')).toEqual(files.map(({ id }) => ({ id })));
    expect(archive.json('audit-log.json').filter(({ action }: any) => action === 'file.deleted')).toHaveLength(1200);
  });

  describe('who', () => {
    it('is whoever is signed in', async () => {
      const { body } = await app.http.get(EXPORT).expect(401);
      expect(body.error_code).toBe('not_authenticated');
    });

    it('is no API key, whatever it may do', async () => {
      const admin = await anAdmin(app);
      const created = await app.http
        .post('/api/v1/users/me/api-keys')
        .set(admin.auth)
        .send({ name: 'all', scopes: ['users:read', 'users:write', 'uploads:read', 'admin'] })
        .expect(201);
      const { body } = await app.http.get(EXPORT).set('X-API-Key', created.body.key).expect(403);
      expect(body.error_code).toBe('insufficient_scope');
      expect(await exportsNoted(admin.id)).toBe(0);
    });
  });

  it('is noted in the audit log, once for each', async () => {
    const owner = await aSignedInUser(app);
    await download(owner);
    expect(await exportsNoted(owner.id)).toBe(1);
    await app.http.head(EXPORT).set(owner.auth).expect(200);
    expect(await exportsNoted(owner.id)).toBe(1);
  });

  it('answers at the root without an envelope', async () => {
    const owner = await aSignedInUser(app);
    const { body } = await app.http.get('/users/me/export').set(owner.auth).responseType('blob').expect(200);
    expect((await readArchive(body as Buffer)).json('profile.json').id).toBe(owner.id);
  });

  describe('while it is sent', () => {
    const withLargeFiles = async (count: number): Promise<{ owner: SignedIn; ids: string[] }> => {
      const owner = await aSignedInUser(app);
      const ids: string[] = [];
      for (let n = 0; n < count; n++) ids.push((await upload(owner, `${n}.bin`, randomBytes(LARGE))).id);
      return { owner, ids };
    };

    it('is one of a user at a time; others have theirs', async () => {
      const { owner } = await withLargeFiles(3);
      const held = await hold(owner);
      const { body } = await app.http.get(EXPORT).set(owner.auth).expect(409);
      expect(body.error_code).toBe('export_in_progress');
      expect(await exportsNoted(owner.id)).toBe(1);
      await download(user);
      expect((await held.read()).isWhole).toBe(true);
      await download(owner);
    });

    it('reads nothing any more for a client that has gone, and lets it begin anew', async () => {
      const { owner } = await withLargeFiles(3);
      const held = await hold(owner);
      await until(() => openFiles().length > 0, 'the first file to be open');
      held.cut();
      await until(() => openFiles().length === 0, 'the file to be closed');
      const isFree = async () => (await app.http.head(EXPORT).set(owner.auth)).status === 200;
      expect(await isFree()).toBe(true);
      await until(
        async () => (await app.http.get(EXPORT).set(owner.auth).responseType('blob')).status === 200,
        'a new one',
      );
    });

    it('is cut off, for a client that does not read too, when the account is disabled or the session ends', async () => {
      const admin = await anAdmin(app);
      const ends = [
        (owner: SignedIn) =>
          app.http.patch(`/api/v1/admin/users/${owner.id}`).set(admin.auth).send({ is_active: false }).expect(200),
        (owner: SignedIn) => app.http.post('/api/v1/auth/logout').set(owner.auth).expect(204),
      ];
      for (const end of ends) {
        const { owner } = await withLargeFiles(3);
        const held = await hold(owner);
        await until(() => openFiles().length > 0, 'the first file to be open');
        await end(owner);
        await until(() => openFiles().length === 0, 'the file to be closed');
        expect((await held.read()).isWhole).toBe(false);
      }
      expect(app.log.filter((line) => /An export of user .* has failed/.test(line))).toEqual([]);
    });

    it('sends no further file when the session has ended', async () => {
      const { owner } = await withLargeFiles(3);
      const held = await hold(owner);
      await until(() => openFiles().length > 0, 'the first file to be open');
      await app.http.post('/api/v1/auth/logout-all').set(owner.auth).expect(204);
      const { bytes, isWhole } = await held.read();
      expect(isWhole).toBe(false);
      expect(bytes.length).toBeLessThan(2 * LARGE);
    });

    it('leaves out a file that is deleted meanwhile, and says so', async () => {
      const { owner, ids } = await withLargeFiles(4);
      const held = await hold(owner);
      await until(() => openFiles().length > 0, 'the first file to be open');
      await app.http.delete(`/api/v1/uploads/${ids[3]}`).set(owner.auth).expect(204);
      const { bytes, isWhole } = await held.read();
      expect(isWhole).toBe(true);
      expect(await faultsFoundByOthers(bytes)).toEqual([]);
      const archive = await readArchive(bytes);
      expect(archive.json('files.json').map(({ id }: any) => id)).toEqual(ids);
      expect(filesIn(archive)).toEqual(ids.slice(0, 3).map((id, n) => `files/${id}-${n}.bin`));
      expect(archive.json('missing.json')).toEqual([{ id: ids[3] }]);
    });

    it('leaves out files whose bytes are gone or not whole, and says so', async () => {
      const owner = await aSignedInUser(app);
      const ids: string[] = [];
      for (const name of ['gone', 'cut', 'whole']) ids.push((await upload(owner, name, Buffer.from(name))).id);
      rmSync(publishedPath(app.dataDir, ids[0]));
      truncateSync(publishedPath(app.dataDir, ids[1]), 1);
      const archive = await archiveOf(owner);
      expect(archive.json('missing.json')).toEqual([{ id: ids[0] }, { id: ids[1] }]);
      expect(filesIn(archive)).toEqual([`files/${ids[2]}-whole`]);
    });

    it('breaks off, rather than ending like a whole one, when something fails in the middle', async () => {
      const { owner, ids } = await withLargeFiles(4);
      const held = await hold(owner);
      await until(() => openFiles().length > 0, 'a file to be open');
      const [path] = openFiles();
      const at = ids.findIndex((id) => path.endsWith(id));
      // The one that is being sent, and those to come, so that it does not matter how far it is.
      for (const id of ids.slice(at)) truncateSync(publishedPath(app.dataDir, id), 5);
      const { bytes, isWhole } = await held.read();
      expect(isWhole).toBe(false);
      await expect(readArchive(bytes)).rejects.toThrow(/end of central directory/i);
      expect(app.log.filter((line) => line.includes(`An export of user ${owner.id} has failed`))).toHaveLength(1);
      await until(() => openFiles().length === 0, 'the file to be closed');
      await until(
        async () => (await app.http.get(EXPORT).set(owner.auth).responseType('blob')).status === 200,
        'a new one',
      );
    });
  });
});

(hasS3Server() ? it : it.skip)('GET /users/me/export takes the bytes from S3', async () => {
  const server = await startS3Server();
  if (!server) throw new Error('there is no S3 server');
  await createBucket(server, 'exports');
  const app = await startTestApp({
    STORAGE_DRIVER: 's3',
    S3_ENDPOINT: server.endpoint,
    S3_FORCE_PATH_STYLE: 'true',
    S3_BUCKET: 'exports',
    S3_ACCESS_KEY_ID: server.accessKeyId,
    S3_SECRET_ACCESS_KEY: server.secretAccessKey,
    ALLOWED_FILE_TYPES: '*',
  });
  try {
    const user = await aSignedInUser(app);
    const contents = [randomBytes(9 * MIB), Buffer.alloc(0), Buffer.from('text')];
    for (const [n, bytes] of contents.entries())
      await app.http.post('/api/v1/uploads').set(user.auth).attach('file', bytes, `${n}.bin`).expect(201);
    const { body } = await app.http.get(EXPORT).set(user.auth).responseType('blob').expect(200);
    expect(await faultsFoundByOthers(body as Buffer)).toEqual([]);
    const { names, entries } = await readArchive(body as Buffer);
    const sent = names.filter((name) => name.startsWith('files/')).map((name) => entries.get(name)?.bytes);
    expect(sent.map((bytes, n) => bytes?.equals(contents[n]))).toEqual([true, true, true]);
  } finally {
    await app.close();
    await server.stop();
  }
});
