import { mkdtempSync, readFileSync, renameSync, rmSync, truncateSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import type pg from 'pg';
import pino from 'pino';
import { v7 as uuidv7 } from 'uuid';
import { createApp } from '../../src/app.setup.js';
import { loadConfig } from '../../src/config/load-config.js';
import { StorageUnusableError } from '../../src/uploads/storage/blob-storage.js';
import { Reconciler } from '../../src/uploads/upkeep/reconciler.js';
import { UpkeepRepository } from '../../src/uploads/upkeep/upkeep.repository.js';
import { aSignedInUser, aUser, type SignedIn } from '../support/builders.js';
import { Program, temporaryDataDir } from '../support/program.js';
import { startTestApp, type TestApp } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';
import {
  idOf,
  publishedPath,
  sendFile,
  sizeOf,
  storedFiles,
  TusCalls,
  unfinishedPath,
  until,
} from '../support/uploads.js';

const FILES = '/api/v1/uploads';
const CONTENT = Buffer.from('the words of a file\n');
const SECRET = 'a secret for tests that is long enough: 0123456789';

/** An application whose own first look is over, so that what a test arranges is found by the test's calls alone. */
async function startSettledApp(environment: Parameters<typeof startTestApp>[0] = {}) {
  const app = await startTestApp(environment);
  const reconciler = app.app.get(Reconciler);
  await until(() => reconciler['running'] === null, 'the first comparison');
  return { app, reconciler };
}

describe('the reconciler', () => {
  let app: TestApp;
  let reconciler: Reconciler;
  let user: SignedIn;

  beforeAll(async () => {
    ({ app, reconciler } = await startSettledApp());
    user = await aSignedInUser(app);
  });
  afterAll(() => app.close());
  // Nothing of one test is a suspect in the next.
  afterEach(async () => {
    await app.pool.query('DELETE FROM uploads');
    await reconciler.sweep();
    for (const name of storedFiles(app.dataDir).published) rmSync(published(name), { force: true });
    for (const name of storedFiles(app.dataDir).unfinished) rmSync(unfinished(name), { force: true });
    await reconciler.compare();
    app.log.length = 0;
  });

  const published = (id: string) => publishedPath(app.dataDir, id);
  const unfinished = (id: string) => unfinishedPath(app.dataDir, id);
  const lines = (part: string) => app.log.map((line) => JSON.parse(line)).filter(({ msg }) => msg?.includes(part));
  const rowOf = async (id: string) => (await app.pool.query('SELECT * FROM uploads WHERE id = $1', [id])).rows[0];
  const makeOld = (path: string) => utimesSync(path, new Date(Date.now() - 60_000), new Date(Date.now() - 60_000));

  async function aFile(name = 'words.txt'): Promise<string> {
    const answer = await sendFile(`${app.url}${FILES}`, user.auth, { name, content: CONTENT });
    expect(answer?.status).toBe(201);
    return answer?.body.id;
  }

  /** A resumable upload that has begun. */
  async function aPendingUpload(length = 1000): Promise<string> {
    const tus = new TusCalls(app.url, user.auth);
    const { headers } = await tus.create(length, { filename: 'words.txt' });
    expect((await tus.patch(headers.location ?? '', 0, CONTENT)).status).toBe(204);
    return idOf(headers.location ?? '');
  }

  function anOrphan(pathOf = published, isOld = true): string {
    const id = uuidv7();
    writeFileSync(pathOf(id), CONTENT);
    if (isOld) makeOld(pathOf(id));
    return id;
  }

  const expire = (id: string) =>
    app.pool.query(`UPDATE uploads SET expires_at = now() - interval '1 second' WHERE id = $1`, [id]);

  /** Runs `work` until it waits for the user's row, does `meanwhile` with that row locked, and lets `work` go on. */
  async function whileWaiting(
    work: () => Promise<unknown>,
    meanwhile: (client: pg.PoolClient) => Promise<unknown>,
  ): Promise<void> {
    const client = await app.pool.connect();
    try {
      await client.query('BEGIN');
      await client.query('SELECT FROM users WHERE id = $1 FOR UPDATE', [user.id]);
      const working = work();
      const isWaiting = async () => {
        const { rows } = await app.pool.query(
          `SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`,
        );
        return rows.length > 0;
      };
      await until(isWaiting, 'the reconciler waits for the row');
      await meanwhile(client);
      await client.query('COMMIT');
      await working;
    } finally {
      // Of nothing, unless the test has failed: then no other waits for what it has locked.
      await client.query('ROLLBACK');
      client.release();
    }
  }

  describe('bytes that no row owns', () => {
    it.each([
      ['whole', published],
      ['unfinished', unfinished],
    ])(
      'are removed when they are found for the second time, %s ones, with a line in the log',
      async (_kind, pathOf) => {
        const id = anOrphan(pathOf);
        expect(await reconciler.compare()).toBe(true);
        expect(sizeOf(pathOf(id))).toBe(CONTENT.length);
        expect(await reconciler.compare()).toBe(false);
        expect(sizeOf(pathOf(id))).toBe(-1);
        expect(lines('Removed')).toEqual([
          expect.objectContaining({ msg: `Removed ${CONTENT.length} bytes under ${id}, which no file owns` }),
        ]);
        expect((await app.pool.query('SELECT * FROM removed_blobs')).rows).toEqual([]);
      },
    );

    it('stay while they are young, however often they are found', async () => {
      const ids = [anOrphan(published, false), anOrphan(unfinished, false)];
      for (let look = 0; look < 4; look++) expect(await reconciler.compare()).toBe(true);
      expect(sizeOf(published(ids[0]))).toBe(CONTENT.length);
      expect(sizeOf(unfinished(ids[1]))).toBe(CONTENT.length);
      expect(lines('Removed')).toEqual([]);
    });

    it('stay when a row has come for them between the two looks', async () => {
      const id = anOrphan(unfinished);
      await reconciler.compare();
      await app.pool.query(
        `INSERT INTO uploads (id, owner_id, state, filename, original_filename, content_type, file_size, upload_date, updated_at,
                              is_resumable, expires_at)
         VALUES ($1, $2, 'pending', 'a', 'a', '', 100, now(), now(), true, now() + interval '1 hour')`,
        [id, user.id],
      );
      await reconciler.compare();
      await reconciler.compare();
      expect(sizeOf(unfinished(id))).toBe(CONTENT.length);
    });

    it('are removed on the second of two looks in a row: one that did not find them starts over', async () => {
      const id = anOrphan();
      await reconciler.compare();
      renameSync(published(id), join(app.dataDir, 'elsewhere'));
      await reconciler.compare();
      renameSync(join(app.dataDir, 'elsewhere'), published(id));
      await reconciler.compare();
      expect(sizeOf(published(id))).toBe(CONTENT.length);
      await reconciler.compare();
      expect(sizeOf(published(id))).toBe(-1);
    });
  });

  it('never touches the bytes of a file or of an upload under way, however old', async () => {
    const [file, pending] = [await aFile(), await aPendingUpload()];
    makeOld(published(file));
    makeOld(unfinished(pending));
    for (let look = 0; look < 3; look++) {
      await reconciler.sweep();
      expect(await reconciler.compare()).toBe(false);
    }
    expect(readFileSync(published(file))).toEqual(CONTENT);
    expect(readFileSync(unfinished(pending))).toEqual(CONTENT);
    expect(lines('Removed')).toEqual([]);
    await app.http.get(`${FILES}/${file}/download`).set(user.auth).expect(200);
  });

  describe('a file without bytes', () => {
    it('goes when it is found for the second time, with an error in the log', async () => {
      const id = await aFile();
      rmSync(published(id));
      expect(await reconciler.compare()).toBe(true);
      await app.http.get(`${FILES}/${id}`).set(user.auth).expect(200);
      expect(await reconciler.compare()).toBe(false);
      await app.http.get(`${FILES}/${id}`).set(user.auth).expect(404);
      expect(lines(`Removed file ${id} of user ${user.id}`)).toEqual([expect.objectContaining({ level: 50 })]);
      const { body } = await app.http.get('/api/v1/users/me').set(user.auth).expect(200);
      expect(body.stats).toEqual({ total_uploads: 0, total_storage_used: 0 });
    });

    it('stays when its bytes come back between the two looks', async () => {
      const id = await aFile();
      rmSync(published(id));
      await reconciler.compare();
      writeFileSync(published(id), CONTENT);
      expect(await reconciler.compare()).toBe(false);
      rmSync(published(id));
      expect(await reconciler.compare()).toBe(true);
      await app.http.get(`${FILES}/${id}`).set(user.auth).expect(200);
    });

    it('stays when its bytes come back at the last moment, before its row is locked', async () => {
      const id = await aFile();
      rmSync(published(id));
      await reconciler.compare();
      await whileWaiting(
        () => reconciler.compare(),
        async () => writeFileSync(published(id), CONTENT),
      );
      await app.http.get(`${FILES}/${id}/download`).set(user.auth).expect(200);
      expect(lines('Removed')).toEqual([]);
    });
  });

  it('reports a file whose size is not what it was, and touches neither it nor its row', async () => {
    const id = await aFile();
    truncateSync(published(id), 5);
    makeOld(published(id));
    for (let look = 0; look < 3; look++) await reconciler.compare();
    expect(lines(`File ${id} has 5 bytes instead of ${CONTENT.length}`)[0]).toMatchObject({ level: 50 });
    expect(sizeOf(published(id))).toBe(5);
    await app.http.get(`${FILES}/${id}`).set(user.auth).expect(200);
  });

  it('leaves what Gatehouse has not put there alone', async () => {
    const names = ['.gitkeep', 'notes.txt', 'lost+found'];
    const paths = names.flatMap((name) => [published(name), unfinished(name)].map((path) => [name, path]));
    // The folder of a shard is made of the last two characters; these have none.
    const kept = paths.map(([name, path]) =>
      path.includes('unfinished') ? path : join(app.dataDir, 'files/ab', name),
    );
    for (const path of kept) {
      writeFileSync(path, 'mine');
      makeOld(path);
    }
    for (let look = 0; look < 3; look++) expect(await reconciler.compare()).toBe(false);
    expect(kept.map(sizeOf)).toEqual(kept.map(() => 4));
    for (const path of kept) rmSync(path);
  });

  describe('an upload that nobody works on any more', () => {
    it('goes with its reservation and its bytes, with a line in the log', async () => {
      const id = await aPendingUpload(500_000);
      await expire(id);
      await reconciler.sweep();
      expect(await rowOf(id)).toBeUndefined();
      expect(storedFiles(app.dataDir)).toEqual({ published: [], unfinished: [] });
      expect(lines('Removed the unfinished upload')).toEqual([
        expect.objectContaining({
          msg: `Removed the unfinished upload ${id} of user ${user.id}, which held 500000 bytes`,
        }),
      ]);
      const { rows } = await app.pool.query('SELECT storage_held, bytes FROM users, storage_totals WHERE id = $1', [
        user.id,
      ]);
      expect(rows).toEqual([{ storage_held: '0', bytes: '0' }]);
      expect(await app.app.get(UpkeepRepository).findDriftedSums()).toEqual([]);
    });

    it('goes in batches, however many there are', async () => {
      await app.pool.query(
        `INSERT INTO uploads (id, owner_id, state, filename, original_filename, content_type, file_size, upload_date, updated_at,
                              is_resumable, expires_at)
         SELECT gen_random_uuid(), $1, 'pending', '', '', '', 10, now(), now(), false, now() - interval '1 second'
         FROM generate_series(1, 250)`,
        [user.id],
      );
      await reconciler.sweep();
      expect((await app.pool.query('SELECT FROM uploads')).rows).toHaveLength(0);
      expect(lines('Removed the unfinished upload')).toHaveLength(250);
    });

    it('stays when it is taken up again while the reconciler waits for it', async () => {
      const id = await aPendingUpload();
      await expire(id);
      await whileWaiting(
        () => reconciler.sweep(),
        (client) => client.query(`UPDATE uploads SET expires_at = now() + interval '1 hour' WHERE id = $1`, [id]),
      );
      expect(await rowOf(id)).toMatchObject({ state: 'pending' });
      expect(readFileSync(unfinished(id))).toEqual(CONTENT);
      expect(lines('Removed')).toEqual([]);
    });

    it('stays when it becomes a file while the reconciler waits for it', async () => {
      const id = await aPendingUpload();
      await expire(id);
      await whileWaiting(
        () => reconciler.sweep(),
        async (client) => {
          renameSync(unfinished(id), published(id));
          await client.query(
            `UPDATE uploads SET state = 'ready', sha256 = sha256(''), file_size = $2, expires_at = NULL WHERE id = $1`,
            [id, CONTENT.length],
          );
        },
      );
      expect(await rowOf(id)).toMatchObject({ state: 'ready' });
      await app.http.get(`${FILES}/${id}/download`).set(user.auth).expect(200);
    });
  });

  describe('the list of bytes to remove', () => {
    const list = (id: string) =>
      app.pool.query('INSERT INTO removed_blobs (upload_id, removed_at) VALUES ($1, now())', [id]);

    it('is worked off by the sweep', async () => {
      const ids = [anOrphan(published, false), anOrphan(unfinished, false), uuidv7()];
      for (const id of ids) await list(id);
      await reconciler.sweep();
      expect(storedFiles(app.dataDir)).toEqual({ published: [], unfinished: [] });
      expect((await app.pool.query('SELECT FROM removed_blobs')).rows).toHaveLength(0);
    });

    it('does not count for a file that has a row', async () => {
      const [file, pending] = [await aFile(), await aPendingUpload()];
      for (const id of [file, pending]) await list(id);
      await reconciler.sweep();
      await app.http.get(`${FILES}/${file}/download`).set(user.auth).expect(200);
      expect(readFileSync(unfinished(pending))).toEqual(CONTENT);
      expect((await app.pool.query('SELECT FROM removed_blobs')).rows).toHaveLength(0);
    });

    it('holds the files of a user who was deleted, until the next sweep', async () => {
      const [leaver, tus] = [await aSignedInUser(app), new TusCalls(app.url, {})];
      const { body } = await app.http.post(FILES).set(leaver.auth).attach('file', CONTENT, 'words.txt').expect(201);
      const { headers } = await tus.create(100, { filename: 'words.txt' }, leaver.auth);
      await tus.patch(headers.location ?? '', 0, CONTENT, leaver.auth);
      await app.http.delete(`/api/v1/users/${leaver.id}`).set(leaver.auth).expect(200);
      await reconciler.sweep();
      expect(sizeOf(published(body.id))).toBe(-1);
      expect(sizeOf(unfinished(idOf(headers.location ?? '')))).toBe(-1);
    });
  });
});

describe('more disagreements than a crash leaves', () => {
  let app: TestApp;
  let reconciler: Reconciler;

  beforeEach(async () => {
    ({ app, reconciler } = await startSettledApp());
  });
  afterEach(() => app.close());

  const complaints = () =>
    app.log.map((line) => JSON.parse(line)).filter(({ level, msg }) => level === 50 && /nothing is removed/.test(msg));

  function orphans(count: number): void {
    for (let at = 0; at < count; at++) {
      const path = publishedPath(app.dataDir, uuidv7());
      writeFileSync(path, '');
      utimesSync(path, 0, 0);
    }
  }

  it('remove nothing and say so, with bytes that no row owns', async () => {
    orphans(1001);
    for (let look = 1; look <= 3; look++) {
      await reconciler.compare();
      expect(complaints()).toHaveLength(look);
    }
    expect(storedFiles(app.dataDir).published).toHaveLength(1001);
  });

  it('remove nothing and say so, with files that have no bytes', async () => {
    const { id } = await aUser(app);
    await app.pool.query(
      `INSERT INTO uploads (id, owner_id, state, filename, original_filename, content_type, file_size, sha256, upload_date, updated_at,
                            is_resumable)
       SELECT gen_random_uuid(), $1, 'ready', 'a', 'a', 'text/plain', 1, sha256('a'), now(), now(), false FROM generate_series(1, 1001)`,
      [id],
    );
    for (let look = 1; look <= 3; look++) {
      await reconciler.compare();
      expect(complaints()).toHaveLength(look);
    }
    expect((await app.pool.query('SELECT FROM uploads')).rows).toHaveLength(1001);
  });

  it('are more than 1,000: so many are still removed', async () => {
    orphans(1000);
    await reconciler.compare();
    expect(storedFiles(app.dataDir).published).toHaveLength(1000);
    await reconciler.compare();
    expect(storedFiles(app.dataDir).published).toHaveLength(0);
    expect(complaints()).toEqual([]);
  });
});

describe('storage and database that do not belong together', () => {
  const folders: string[] = [];
  const apps: NestFastifyApplication[] = [];
  let database: TestDatabase;

  beforeEach(async () => {
    database = await createTestDatabase();
  });
  afterEach(async () => {
    await Promise.all(apps.splice(0).map((app) => app.close()));
    await database.drop();
    for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
  });

  function aFolder(): string {
    const folder = mkdtempSync(join(tmpdir(), 'gatehouse-test-storage-'));
    folders.push(folder);
    return folder;
  }

  async function startOn({ connection }: TestDatabase, dataDir: string): Promise<NestFastifyApplication> {
    const config = loadConfig({ NODE_ENV: 'test', DATA_DIR: dataDir, JWT_SECRET: SECRET });
    const app = await createApp(config, connection, pino({ enabled: false }));
    apps.push(app);
    return app;
  }

  const refusal = (starting: Promise<unknown>): Promise<unknown> =>
    starting.then(
      () => null,
      (error: unknown) => error,
    );

  /** Makes the folder the database's. */
  async function introduce(owner: TestDatabase, folder: string): Promise<void> {
    await startOn(owner, folder);
    await apps.pop()?.close();
  }

  const aReadyRow = async ({ pool }: TestDatabase): Promise<string> => {
    const [user, file] = [uuidv7(), uuidv7()];
    await pool.query(
      `INSERT INTO users (id, email, username, role, is_active, is_verified, password_hash, created_at, updated_at)
       VALUES ($1, $2, $3, 'user', true, false, '', now(), now())`,
      [user, `${user}@example.com`, user.replaceAll('-', '_')],
    );
    await pool.query(
      `INSERT INTO uploads (id, owner_id, state, filename, original_filename, content_type, file_size, sha256, upload_date, updated_at,
                            is_resumable)
       VALUES ($1, $2, 'ready', 'a.txt', 'a.txt', 'text/plain', $3, sha256('a'), now(), now(), false)`,
      [file, user, CONTENT.length],
    );
    return file;
  };

  /** A folder that the database uses and has a file in. */
  async function aStorageWithAFile(owner: TestDatabase): Promise<{ folder: string; file: string }> {
    const folder = aFolder();
    await introduce(owner, folder);
    const file = await aReadyRow(owner);
    writeFileSync(publishedPath(folder, file), CONTENT);
    return { folder, file };
  }

  it('start when they do belong together', async () => {
    const { folder, file } = await aStorageWithAFile(database);
    const app = await startOn(database, folder);
    await app.get(Reconciler).compare();
    await app.get(Reconciler).compare();
    expect(sizeOf(publishedPath(folder, file))).toBe(CONTENT.length);
  });

  it('refuse to start with the files of another database, and remove none of them', async () => {
    const { folder, file } = await aStorageWithAFile(database);
    const name = readFileSync(join(folder, 'files/storage-id'), 'utf8');
    expect(await refusal(startTestApp({ DATA_DIR: folder }))).toBeInstanceOf(StorageUnusableError);
    expect(sizeOf(publishedPath(folder, file))).toBe(CONTENT.length);
    expect(readFileSync(join(folder, 'files/storage-id'), 'utf8')).toBe(name);
    expect(await refusal(startOn(database, folder))).toBeNull();
  });

  it('refuse to start with an empty folder when the database has files', async () => {
    await aStorageWithAFile(database);
    const empty = aFolder();
    expect(await refusal(startOn(database, empty))).toBeInstanceOf(StorageUnusableError);
    // Nor the second time, as if the first had made it theirs.
    expect(await refusal(startOn(database, empty))).toBeInstanceOf(StorageUnusableError);
    expect((await database.pool.query('SELECT FROM uploads')).rows).toHaveLength(1);
  });

  it('refuse to start with the empty storage of another database when this one has files', async () => {
    await aStorageWithAFile(database);
    const other = await createTestDatabase();
    const folder = aFolder();
    await introduce(other, folder);
    expect(await refusal(startOn(database, folder))).toBeInstanceOf(StorageUnusableError);
    await introduce(other, folder);
    await other.drop();
  });

  it('refuse to start with files whose storage has lost its name, and remove none of them', async () => {
    const { folder, file } = await aStorageWithAFile(database);
    rmSync(join(folder, 'files/storage-id'));
    const other = await createTestDatabase();
    expect(await refusal(startOn(other, folder))).toBeInstanceOf(StorageUnusableError);
    expect(sizeOf(publishedPath(folder, file))).toBe(CONTENT.length);
    await other.drop();
  });

  it('start with the empty storage of another database when neither has files', async () => {
    const other = await createTestDatabase();
    const folder = aFolder();
    await introduce(other, folder);
    expect(await refusal(startOn(database, folder))).toBeNull();
    await other.drop();
  });

  it('end the program with one line and exit code 1', async () => {
    await aStorageWithAFile(database);
    const { host, user, password, database: name } = database.connection;
    const data = temporaryDataDir();
    const program = new Program({
      PORT: '0',
      DATA_DIR: data.path,
      DATABASE_URL: `postgres://${user}:${encodeURIComponent(password)}@localhost/${name}?host=${encodeURIComponent(host)}`,
    });
    const { code } = await program.exit();
    data.remove();
    expect(program.stderr).toMatch(/^gatehouse: The storage has no name[^\n]*DATA_DIR[^\n]*\n$/);
    expect(code).toBe(1);
  });
});
