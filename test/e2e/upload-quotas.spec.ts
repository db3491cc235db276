import { rmSync } from 'node:fs';
import { UpkeepRepository } from '../../src/uploads/upkeep/upkeep.repository.js';
import { Reconciler } from '../../src/uploads/upkeep/reconciler.js';
import { aSignedInUser, anAdmin, type SignedIn } from '../support/builders.js';
import { samples } from '../support/samples.js';
import { startTestApp, type TestApp } from '../support/test-app.js';
import {
  type Answer,
  beginUpload,
  Dice,
  formAround,
  publishedPath,
  seedOfRun,
  sendFile,
  storedFiles,
  TusCalls,
  until,
} from '../support/uploads.js';

const FILES = '/api/v1/uploads';
const KIB = 1024;

const send = (app: TestApp, user: SignedIn, size: number, options: { name?: string; isChunked?: boolean } = {}) =>
  sendFile(
    `${app.url}${FILES}`,
    user.auth,
    { name: options.name ?? 'x.txt', content: Buffer.alloc(size, 'x') },
    options,
  );

const statusOf = async (answer: Promise<Answer | null>) => (await answer)?.status;

const statsOf = async (app: TestApp, user: SignedIn) =>
  (await app.http.get('/api/v1/users/me').set(user.auth).expect(200)).body.stats;

const setQuota = (app: TestApp, user: SignedIn, quota: number | null) =>
  app.pool.query('UPDATE users SET quota = $2 WHERE id = $1', [user.id, quota]);

/** A request that has ended for its client may be under way yet for the server. */
async function settled(app: TestApp): Promise<void> {
  await until(async () => {
    const { rows } = await app.pool.query(`SELECT FROM uploads WHERE state = 'pending' AND NOT is_resumable`);
    return rows.length === 0;
  }, 'no upload under way');
}

/** The sums that the database keeps, against what the test itself counts. */
async function expectExactSums(app: TestApp): Promise<void> {
  expect(await app.app.get(UpkeepRepository).findDriftedSums()).toEqual([]);
  const client = await app.pool.connect();
  try {
    await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
    await expectExactSumsIn(async (sql) => (await client.query(sql)).rows);
  } finally {
    client.release(true);
  }
}

async function expectExactSumsIn(query: (sql: string) => Promise<any[]>): Promise<void> {
  const uploads = await query('SELECT owner_id, state, content_type, file_size::int FROM uploads');
  const users = await query(
    'SELECT id, storage_held::int AS held, total_uploads::int AS files, total_storage_used::int AS used FROM users ORDER BY id',
  );
  const sizes = (rows: typeof uploads) => rows.reduce((sum, { file_size }) => sum + file_size, 0);
  expect(users).toEqual(
    users.map(({ id }) => {
      const own = uploads.filter(({ owner_id }) => owner_id === id);
      const ready = own.filter(({ state }) => state === 'ready');
      return { id, held: sizes(own), files: ready.length, used: sizes(ready) };
    }),
  );
  expect(await query('SELECT bytes::int FROM storage_totals')).toEqual([{ bytes: sizes(uploads) }]);
  const counted: Record<string, number> = {};
  for (const { owner_id, state, content_type } of uploads)
    if (state === 'ready') counted[`${owner_id} ${content_type}`] = (counted[`${owner_id} ${content_type}`] ?? 0) + 1;
  const kept = await query('SELECT owner_id, content_type, files::int FROM upload_type_counts WHERE files <> 0');
  expect(
    Object.fromEntries(kept.map(({ owner_id, content_type, files }) => [`${owner_id} ${content_type}`, files])),
  ).toEqual(counted);
}

const expectNoDeadlock = (app: TestApp) => expect(app.log.filter((line) => /40P01|deadlock/i.test(line))).toEqual([]);

describe('the sums under random operations of several users at once', () => {
  const SEED = seedOfRun();
  const BATCHES = 12;
  const OPERATIONS = 25;
  const USER_QUOTA = 200 * KIB;
  const STORAGE_QUOTA = 500 * KIB;
  const dice = new Dice(SEED);
  let app: TestApp;
  let admin: SignedIn;
  const users: SignedIn[] = [];

  beforeAll(async () => {
    app = await startTestApp({
      USER_QUOTA: String(USER_QUOTA),
      STORAGE_QUOTA: String(STORAGE_QUOTA),
      MAX_FILE_SIZE: String(100 * KIB),
    });
    admin = await anAdmin(app);
    for (let count = 0; count < 4; count++) users.push(await aSignedInUser(app));
  });
  afterAll(() => app.close());

  const FILE_KINDS = [
    { name: 'a.txt', make: (size: number) => dice.text(size) },
    { name: 'a.csv', make: (size: number) => dice.text(size) },
    { name: 'a.png', make: (size: number) => Buffer.concat([samples.png, dice.bytes(size)]) },
    { name: 'refused.exe', make: () => samples.exe },
    { name: 'not what it says.pdf', make: (size: number) => dice.text(size + 1) },
  ];

  async function upload(user: SignedIn): Promise<number | undefined> {
    const { name, make } = dice.pick(FILE_KINDS);
    const file = { name, content: make(dice.int(0, 120 * KIB)) };
    return statusOf(sendFile(`${app.url}${FILES}`, user.auth, file, { isChunked: dice.next() < 0.4 }));
  }

  async function abortedUpload(user: SignedIn): Promise<undefined> {
    const content = dice.text(dice.int(1000, 90 * KIB));
    const [head, tail] = formAround({ name: 'a.txt' });
    const length = dice.next() < 0.5 ? head.length + content.length + tail.length : undefined;
    const sending = beginUpload(`${app.url}${FILES}`, user.auth, length);
    await sending.write(head);
    await sending.write(content.subarray(0, dice.int(0, content.length)));
    sending.cut();
    await sending.answer;
  }

  const ownIds = async (user: SignedIn): Promise<string[]> => {
    const { body } = await app.http.get(`${FILES}?size=100`).set(user.auth);
    return (body.items ?? []).map(({ id }: { id: string }) => id);
  };

  async function deleteOne(user: SignedIn): Promise<number | undefined> {
    const ids = await ownIds(user);
    return ids.length > 0 ? (await app.http.delete(`${FILES}/${dice.pick(ids)}`).set(user.auth)).status : undefined;
  }

  async function deleteSeveral(user: SignedIn): Promise<number | undefined> {
    // An admin's list holds the files of several owners, whose rows have to be locked in one order.
    const isAdmins = dice.next() < 0.5;
    const all = isAdmins ? (await Promise.all(users.map(ownIds))).flat() : await ownIds(user);
    const ids = all.filter(() => dice.next() < 0.4).reverse();
    if (ids.length === 0) return undefined;
    const { auth } = isAdmins ? admin : user;
    return (
      await app.http
        .post(`${FILES}/bulk-delete`)
        .set(auth)
        .send({ ids: ids.slice(0, 100) })
    ).status;
  }

  async function resumable(user: SignedIn): Promise<number | undefined> {
    const tus = new TusCalls(app.url, user.auth);
    const length = dice.int(0, 110 * KIB);
    const created = await tus.create(length, { filename: dice.pick(['a.txt', 'a.exe']) });
    const { location } = created.headers;
    if (created.status !== 201 || !location || length === 0) return created.status;
    const fate = dice.next();
    if (fate < 0.4) return (await tus.patch(location, 0, dice.text(length))).status;
    if (fate < 0.6) return (await tus.patch(location, 0, dice.text(dice.int(1, length)))).status;
    return fate < 0.9 ? (await tus.terminate(location)).status : created.status;
  }

  async function replaceUser(user: SignedIn): Promise<number | undefined> {
    const at = users.indexOf(user);
    if (at < 0) return undefined;
    users[at] = await aSignedInUser(app);
    return (await app.http.delete(`/api/v1/users/${user.id}`).set(admin.auth)).status;
  }

  const OPERATIONS_BY_WEIGHT = [
    ...Array<typeof upload>(9).fill(upload),
    ...Array<typeof upload>(3).fill(abortedUpload),
    ...Array<typeof upload>(3).fill(deleteOne),
    ...Array<typeof upload>(2).fill(deleteSeveral),
    ...Array<typeof upload>(4).fill(resumable),
    replaceUser,
  ];

  it('are exact after each batch, within both quotas, without a deadlock and without a failure of ours', async () => {
    const statuses = new Map<number | undefined, number>();
    for (let batch = 1; batch <= BATCHES; batch++) {
      const plan = Array.from(
        { length: OPERATIONS },
        () => [dice.pick(OPERATIONS_BY_WEIGHT), dice.pick(users)] as const,
      );
      const answers = await Promise.all(plan.map(([operation, user]) => operation(user)));
      for (const status of answers) statuses.set(status, (statuses.get(status) ?? 0) + 1);
      await settled(app);
      await expectExactSums(app);
      const { rows } = await app.pool.query(
        'SELECT max(storage_held)::int AS most, sum(storage_held)::int AS sum FROM users',
      );
      expect(rows[0].most).toBeLessThanOrEqual(USER_QUOTA);
      expect(rows[0].sum).toBeLessThanOrEqual(STORAGE_QUOTA);
    }
    const summary = [...statuses].map(([status, count]) => `${status ?? 'none'}: ${count}`).join(', ');
    process.stdout.write(`quota sums, seed ${SEED}: ${BATCHES * OPERATIONS} operations; answers ${summary}\n`);
    // Of a user who is deleted meanwhile: 401, 404, and 503 for the upload that was nearly done.
    const expected = [200, 201, 204, 401, 404, 413, 415, 503, 507, undefined];
    expect([...statuses.keys()].filter((status) => !expected.includes(status))).toEqual([]);
    for (const status of [200, 201, 204, 413, 415, 507]) expect(statuses.get(status)).toBeGreaterThan(0);
    expectNoDeadlock(app);
  });

  it('leave on disk what the rows say, and nothing more', async () => {
    await app.app.get(Reconciler).sweep();
    const ids = async (state: string) =>
      (await app.pool.query('SELECT id FROM uploads WHERE state = $1 ORDER BY id', [state])).rows.map(({ id }) => id);
    const { published, unfinished } = storedFiles(app.dataDir);
    expect(published).toEqual(await ids('ready'));
    const pending = await ids('pending');
    expect(unfinished.filter((id) => !pending.includes(id))).toEqual([]);
  });
});

describe('quotas', () => {
  const USER_QUOTA = 100 * KIB;
  let app: TestApp;
  let user: SignedIn;
  beforeAll(async () => {
    app = await startTestApp({ USER_QUOTA: String(USER_QUOTA) });
  });
  beforeEach(async () => {
    user = await aSignedInUser(app);
  });
  afterEach(async () => {
    await settled(app);
    await expectExactSums(app);
    expectNoDeadlock(app);
  });
  afterAll(() => app.close());

  const upload = (size: number, options = {}) => statusOf(send(app, user, size, options));
  const create = async (size: number) =>
    (await new TusCalls(app.url, user.auth).create(size, { filename: 'x.txt' })).status;

  describe.each([
    ['with a declared length', { isChunked: false }],
    ['chunked', { isChunked: true }],
  ])('an upload %s', (_title, options) => {
    it('may fill the quota to the last byte, and one byte more is 507', async () => {
      expect(await upload(USER_QUOTA - 1, options)).toBe(201);
      expect(await upload(2, options)).toBe(507);
      expect(await upload(1, options)).toBe(201);
      expect(await upload(1, options)).toBe(507);
      expect(await upload(0, options)).toBe(201);
      expect(await statsOf(app, user)).toEqual({ total_uploads: 3, total_storage_used: USER_QUOTA });
    });

    it('that is refused holds nothing', async () => {
      expect(await upload(USER_QUOTA + 1, options)).toBe(507);
      expect(await upload(1000, { ...options, name: 'x.exe' })).toBe(415);
      expect(await upload(1000, { ...options, name: 'x.png' })).toBe(415);
      await settled(app);
      expect(await upload(USER_QUOTA, options)).toBe(201);
    });

    it('of a user with more quota than others may use it, and no more', async () => {
      await setQuota(app, user, 3 * USER_QUOTA);
      expect(await upload(3 * USER_QUOTA, options)).toBe(201);
      expect(await upload(1, options)).toBe(507);
    });

    it('of a user with less quota than others is held to it', async () => {
      await setQuota(app, user, 1000);
      expect(await upload(1001, options)).toBe(507);
      expect(await upload(1000, options)).toBe(201);
      expect(await upload(1, options)).toBe(507);
    });

    it('of a user with no quota at all is refused, unless it is empty', async () => {
      await setQuota(app, user, 0);
      expect(await upload(1, options)).toBe(507);
      expect(await upload(0, options)).toBe(201);
    });
  });

  it('hold resumable uploads to it from their creation', async () => {
    expect(await create(USER_QUOTA + 1)).toBe(507);
    expect(await create(USER_QUOTA)).toBe(201);
    expect(await create(1)).toBe(507);
    expect(await upload(1)).toBe(507);
    expect(await create(0)).toBe(201);
    await setQuota(app, user, USER_QUOTA + 1);
    expect(await create(2)).toBe(507);
    expect(await create(1)).toBe(201);
  });

  it('can be lowered below what is there: nothing more comes in, all may go, and then new ones come in', async () => {
    const big = await send(app, user, 50 * KIB);
    await setQuota(app, user, 10 * KIB);
    expect(await upload(1)).toBe(507);
    await app.http.delete(`${FILES}/${big?.body.id}`).set(user.auth).expect(204);
    expect(await upload(10 * KIB)).toBe(201);
  });

  it('follow the default again when a user’s own is taken away', async () => {
    await setQuota(app, user, 10);
    expect(await upload(11)).toBe(507);
    await setQuota(app, user, null);
    expect(await upload(USER_QUOTA)).toBe(201);
  });

  it('are freed by deleting, one by one and in bulk', async () => {
    const ids = [];
    for (let count = 0; count < 4; count++) ids.push((await send(app, user, USER_QUOTA / 4))?.body.id);
    expect(await upload(1)).toBe(507);
    await app.http.delete(`${FILES}/${ids[0]}`).set(user.auth).expect(204);
    await app.http
      .post(`${FILES}/bulk-delete`)
      .set(user.auth)
      .send({ ids: ids.slice(1) })
      .expect(200);
    expect(await upload(USER_QUOTA)).toBe(201);
  });

  it('hold nothing for a client that went away while the database was asked for room', async () => {
    const isBusy = async (condition: string) => {
      const others = `datname = current_database() AND pid <> pg_backend_pid() AND ${condition}`;
      return (await app.pool.query(`SELECT FROM pg_stat_activity WHERE ${others}`)).rows.length > 0;
    };
    const connections = () =>
      new Promise<number>((resolve) =>
        app.app.getHttpServer().getConnections((_error: unknown, count: number) => resolve(count)),
      );
    const client = await app.pool.connect();
    try {
      await client.query('BEGIN');
      await client.query('SELECT FROM users WHERE id = $1 FOR UPDATE', [user.id]);
      const sending = beginUpload(`${app.url}${FILES}`, user.auth, 50 * KIB);
      await sending.write(Buffer.from('--'));
      await until(() => isBusy(`wait_event_type = 'Lock'`), 'the reservation waits');
      const before = await connections();
      sending.cut();
      await until(async () => (await connections()) < before, 'the server has noticed');
      await client.query('COMMIT');
    } finally {
      // Of nothing, unless the test has failed: then no other waits for what it has locked.
      await client.query('ROLLBACK');
      client.release();
    }
    await until(
      async () => !(await isBusy(`state = 'active' AND query LIKE '%INSERT INTO uploads%'`)),
      'the reservation',
    );
    await settled(app);
  });

  describe('with 20 uploads at once at the edge, where 10 have room', () => {
    const SIZE = USER_QUOTA / 10;

    it.each([
      ['with a declared length', { isChunked: false }],
      ['chunked', { isChunked: true }],
    ])('never let in more than there is room for, %s', async (_title, options) => {
      const statuses = await Promise.all(Array.from({ length: 20 }, () => upload(SIZE, options)));
      const accepted = statuses.filter((status) => status === 201).length;
      expect(statuses.filter((status) => status !== 201 && status !== 507)).toEqual([]);
      expect(accepted).toBeLessThanOrEqual(10);
      await settled(app);
      expect(await statsOf(app, user)).toEqual({ total_uploads: accepted, total_storage_used: accepted * SIZE });
      // Those that were refused have left their room to those who come after.
      for (let count = accepted; count < 10; count++) expect(await upload(SIZE, options)).toBe(201);
      expect(await upload(1, options)).toBe(507);
    });

    it('let in exactly 10 resumable ones', async () => {
      const statuses = await Promise.all(Array.from({ length: 20 }, () => create(SIZE)));
      expect(statuses.sort()).toEqual([...Array(10).fill(201), ...Array(10).fill(507)]);
    });

    it('never let in more, of both kinds together', async () => {
      const both = Array.from({ length: 20 }, (_, at) => (at % 2 ? create(SIZE) : upload(SIZE)));
      const accepted = (await Promise.all(both)).filter((status) => status === 201).length;
      expect(accepted).toBeLessThanOrEqual(10);
      await settled(app);
      const { rows } = await app.pool.query('SELECT storage_held::int AS held FROM users WHERE id = $1', [user.id]);
      expect(rows).toEqual([{ held: accepted * SIZE }]);
    });
  });
});

describe('the quota of all users together', () => {
  const STORAGE_QUOTA = 100 * KIB;
  let app: TestApp;
  beforeEach(async () => {
    app = await startTestApp({ STORAGE_QUOTA: String(STORAGE_QUOTA), USER_QUOTA: String(STORAGE_QUOTA) });
  });
  afterEach(async () => {
    await settled(app);
    await expectExactSums(app);
    await app.close();
  });

  it('is shared to the last byte, refused with 507 beyond, logged for the operator, and freed by whoever deletes', async () => {
    const [one, two] = [await aSignedInUser(app), await aSignedInUser(app)];
    const first = await send(app, one, 60 * KIB);
    expect(await statusOf(send(app, two, 40 * KIB + 1))).toBe(507);
    expect(app.log.filter((line) => line.includes('STORAGE_QUOTA'))).toHaveLength(1);
    expect(await statusOf(send(app, two, 40 * KIB))).toBe(201);
    expect((await new TusCalls(app.url, two.auth).create(1)).status).toBe(507);
    await app.http.delete(`${FILES}/${first?.body.id}`).set(one.auth).expect(204);
    expect((await new TusCalls(app.url, two.auth).create(60 * KIB)).status).toBe(201);
  });

  it('is not exceeded by 20 users at once', async () => {
    const users = await Promise.all(Array.from({ length: 20 }, () => aSignedInUser(app)));
    const creations = users.map(({ auth }) => new TusCalls(app.url, auth).create(STORAGE_QUOTA / 10));
    const statuses = (await Promise.all(creations)).map(({ status }) => status);
    expect(statuses.sort()).toEqual([...Array(10).fill(201), ...Array(10).fill(507)]);
  });

  it('is freed by the deletion of a user, pending uploads included', async () => {
    const [leaver, stayer] = [await aSignedInUser(app), await aSignedInUser(app)];
    expect(await statusOf(send(app, leaver, 50 * KIB))).toBe(201);
    expect((await new TusCalls(app.url, leaver.auth).create(50 * KIB)).status).toBe(201);
    expect(await statusOf(send(app, stayer, 1))).toBe(507);
    await app.http.delete(`/api/v1/users/${leaver.id}`).set(leaver.auth).expect(200);
    expect(await statusOf(send(app, stayer, STORAGE_QUOTA))).toBe(201);
  });
});

describe('the deletion of a user who is uploading', () => {
  let app: TestApp;
  let admin: SignedIn;
  beforeAll(async () => {
    app = await startTestApp();
    admin = await anAdmin(app);
  });
  afterAll(() => app.close());

  const remove = (user: SignedIn) => app.http.delete(`/api/v1/users/${user.id}`).set(admin.auth).expect(200);

  async function expectNothingLeft(): Promise<void> {
    await settled(app);
    await app.app.get(Reconciler).sweep();
    expect(storedFiles(app.dataDir)).toEqual({ published: [], unfinished: [] });
    expect((await app.pool.query('SELECT bytes::int FROM storage_totals')).rows).toEqual([{ bytes: 0 }]);
    await expectExactSums(app);
  }

  it('neither deadlocks nor leaves sums or bytes, whenever it comes', async () => {
    for (let round = 0; round < 8; round++) {
      const users = await Promise.all(Array.from({ length: 3 }, () => aSignedInUser(app)));
      const uploads = users.flatMap((user) => [
        ...Array.from({ length: 6 }, (_, at) => statusOf(send(app, user, 20 * KIB, { isChunked: at % 2 === 0 }))),
        new TusCalls(app.url, user.auth).create(1000).then(({ status }) => status),
      ]);
      await Promise.race(uploads.slice(0, 1 + (round % 4)));
      await Promise.all(users.map(remove));
      const expected = [201, 401, 404, 503, 507];
      expect((await Promise.all(uploads)).filter((status) => !expected.includes(status ?? 0))).toEqual([]);
    }
    await expectNothingLeft();
    expectNoDeadlock(app);
  });

  /** An upload that has sent its form's head, and the given part of its content. */
  async function anUploadUnderWay(user: SignedIn, content: Buffer) {
    const [head, tail] = formAround({ name: 'x.txt' });
    const sending = beginUpload(`${app.url}${FILES}`, user.auth, head.length + content.length + tail.length);
    return { sending, head, tail };
  }

  const isReserved = async (user: SignedIn) =>
    (await app.pool.query('SELECT FROM uploads WHERE owner_id = $1', [user.id])).rows.length > 0;

  describe.each([
    ['before the next sweep', false],
    ['with a sweep in between', true],
  ])('%s', (_title, isSwept) => {
    afterEach(() => {
      for (const name of storedFiles(app.dataDir).published) rmSync(publishedPath(app.dataDir, name));
    });

    async function removeAndSweep(user: SignedIn): Promise<void> {
      await remove(user);
      if (isSwept) await app.app.get(Reconciler).sweep();
    }

    it('leaves nothing of an upload whose bytes have not begun', async () => {
      const user = await aSignedInUser(app);
      const content = Buffer.alloc(1000, 'x');
      const { sending, head, tail } = await anUploadUnderWay(user, content);
      await sending.write(head.subarray(0, 10));
      await until(() => isReserved(user), 'the reservation');
      await removeAndSweep(user);
      await sending.write(Buffer.concat([head.subarray(10), content, tail]));
      expect((await sending.finish())?.status).toBe(503);
      await expectNothingLeft();
    });

    it('leaves nothing of an upload in the middle of its bytes, which is no failure of ours', async () => {
      const user = await aSignedInUser(app);
      const content = Buffer.alloc(200 * KIB, 'x');
      const { sending, head, tail } = await anUploadUnderWay(user, content);
      await sending.write(Buffer.concat([head, content.subarray(0, 100 * KIB)]));
      await until(() => storedFiles(app.dataDir).unfinished.length > 0, 'the first bytes');
      await removeAndSweep(user);
      await sending.write(Buffer.concat([content.subarray(100 * KIB), tail]));
      expect((await sending.finish())?.status).toBe(503);
      await expectNothingLeft();
    });
  });
});
