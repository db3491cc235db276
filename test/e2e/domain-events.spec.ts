import { randomUUID } from 'node:crypto';
import type { EntityManager } from 'typeorm';
import { DomainEvents } from '../../src/common/events/domain-events.js';
import { ReservationsRepository } from '../../src/uploads/reservations.repository.js';
import { UploadCompletedEvent } from '../../src/uploads/uploads.events.js';
import { UserUpdatedEvent } from '../../src/users/users.events.js';
import { aSignedInUser, type SignedIn } from '../support/builders.js';
import { samples } from '../support/samples.js';
import { startTestApp, type TestApp } from '../support/test-app.js';
import { idOf, storedFiles, TusCalls, until } from '../support/uploads.js';

const ME = '/api/v1/users/me';
const UPLOADS = '/api/v1/uploads';

type Told = UserUpdatedEvent | UploadCompletedEvent;

const ownerOf = (event: Told) => ('account' in event ? event.account.id : event.file.ownerId);

/** Writes along with the change. */
const note = (event: Told, tx: EntityManager, ownerId = ownerOf(event)) =>
  tx.query('INSERT INTO notes VALUES ($1, $2)', [
    (event.constructor as typeof UserUpdatedEvent | typeof UploadCompletedEvent).event,
    ownerId,
  ]);

describe('domain events', () => {
  let app: TestApp;
  let user: SignedIn;
  let emitted: Told[];
  let during: (event: Told, tx: EntityManager) => Promise<unknown>;

  beforeAll(async () => {
    app = await startTestApp();
    // Checked at the commit, so that the commit itself can be made to fail.
    await app.pool.query(
      'CREATE TABLE notes (event text, owner_id uuid REFERENCES users ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED)',
    );
    const events = app.app.get(DomainEvents);
    for (const type of [UserUpdatedEvent, UploadCompletedEvent]) {
      events.during<Told>(type, async (event, tx) => void (await during(event, tx)));
      events.on<Told>(type, (event) => emitted.push(event));
    }
  });
  beforeEach(async () => {
    user = await aSignedInUser(app);
    [emitted, during] = [[], note];
  });
  afterAll(() => app.close());

  const change = (body: object) => app.http.patch(ME).set(user.auth).send(body);
  const upload = () => app.http.post(UPLOADS).set(user.auth).attach('file', samples.text, 'notes.txt');
  const notes = async () => {
    const { rows } = await app.pool.query('SELECT event FROM notes WHERE owner_id = $1', [user.id]);
    return rows.map(({ event }) => event);
  };
  const me = async () => (await app.http.get(ME).set(user.auth).expect(200)).body;

  async function expectNoUpload(): Promise<void> {
    expect((await me()).stats).toEqual({ total_uploads: 0, total_storage_used: 0 });
    const { rows } = await app.pool.query(
      'SELECT storage_held::int AS held, (SELECT count(*)::int FROM uploads WHERE owner_id = $1) AS uploads FROM users WHERE id = $1',
      [user.id],
    );
    expect(rows).toEqual([{ held: 0, uploads: 0 }]);
    const { rows: files } = await app.pool.query('SELECT id FROM uploads ORDER BY id');
    expect(storedFiles(app.dataDir)).toEqual({ published: files.map(({ id }) => id), unfinished: [] });
  }

  const fail = () => Promise.reject(new Error('on purpose'));
  const failures: [string, typeof during][] = [
    ['a listener throws', fail],
    ['a listener throws after it has written', (event, tx) => note(event, tx).then(fail)],
    ['a listener’s query fails', (_event, tx) => tx.query('SELECT 1 / 0')],
    ['the commit fails', (event, tx) => note(event, tx, randomUUID())],
  ];

  describe('of a changed account', () => {
    it('are written along with the change, and told', async () => {
      await change({ bio: 'A bio' }).expect(200);
      expect(await notes()).toEqual(['user.updated']);
      expect(emitted).toEqual([
        { account: expect.objectContaining({ id: user.id, email: user.email, bio: 'A bio', isVerified: false }) },
      ]);
    });

    it.each(failures)('leave the account as it was when %s', async (_what, listener) => {
      const before = await me();
      during = listener;
      await change({ bio: 'A bio' }).expect(500);
      expect(await me()).toEqual(before);
      expect(await notes()).toEqual([]);
      expect(emitted).toEqual([]);
    });

    it('are not told of what changes nothing, is refused, or is not there', async () => {
      const other = await aSignedInUser(app);
      await change({}).expect(200);
      await change({ email: other.email }).expect(409);
      await app.http.patch(`/api/v1/users/${other.id}`).set(user.auth).send({ bio: 'x' }).expect(403);
      expect(await notes()).toEqual([]);
      expect(emitted).toEqual([]);
    });
  });

  describe('of a finished upload', () => {
    it('are written along with the file, and told', async () => {
      const { body } = await upload().expect(201);
      expect(await notes()).toEqual(['upload.completed']);
      expect(emitted).toEqual([
        {
          file: {
            id: body.id,
            ownerId: user.id,
            filename: 'notes.txt',
            contentType: 'text/plain',
            fileSize: samples.text.length,
          },
        },
      ]);
      expect((await me()).stats.total_uploads).toBe(1);
    });

    it.each(failures)('leave no file, no bytes and no part of the quota taken when %s', async (_what, listener) => {
      during = listener;
      await upload().expect(500);
      await expectNoUpload();
      expect(await notes()).toEqual([]);
      expect(emitted).toEqual([]);
    });

    it('are not written for a file that went while it came', async () => {
      const publish = jest.spyOn(ReservationsRepository.prototype, 'publish').mockResolvedValueOnce(null);
      await upload().expect(503);
      publish.mockRestore();
      expect(await notes()).toEqual([]);
      expect(emitted).toEqual([]);
    });

    it('leave a resumable upload to be taken up again when a listener throws', async () => {
      during = fail;
      const tus = new TusCalls(app.url, user.auth);
      const { headers } = await tus.create(samples.text.length, { filename: 'notes.txt' });
      const location = String(headers.location);
      expect((await tus.patch(location, 0, samples.text)).status).toBe(500);
      expect([await notes(), emitted]).toEqual([[], []]);
      during = note;
      expect(await tus.offset(location)).toBe(samples.text.length);
      expect(await notes()).toEqual(['upload.completed']);
      expect(emitted).toMatchObject([{ file: { id: idOf(location) } }]);
    });
  });

  it('are emitted when what they tell can be seen by everybody', async () => {
    const seen: string[] = [];
    const events = app.app.get(DomainEvents);
    events.on(UserUpdatedEvent, async ({ account }) => {
      const { rows } = await app.pool.query('SELECT bio FROM users WHERE id = $1', [account.id]);
      seen.push(rows[0].bio);
    });
    events.on(UploadCompletedEvent, async ({ file }) => {
      const { rows } = await app.pool.query('SELECT state FROM uploads WHERE id = $1', [file.id]);
      seen.push(rows[0].state);
    });
    await change({ bio: 'A bio' }).expect(200);
    await until(() => seen.length === 1, 'the listener to the account');
    await upload().expect(201);
    await until(() => seen.length === 2, 'the listener to the file');
    expect(seen).toEqual(['A bio', 'ready']);
  });
});
