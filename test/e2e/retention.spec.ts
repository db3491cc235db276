import { Retention } from '../../src/broadcasting/log/retention.js';
import { aSignedInUser, anAdmin, type SignedIn } from '../support/builders.js';
import { closeSockets, connect, publishMany, range } from '../support/sockets.js';
import { startTestApp, type TestApp } from '../support/test-app.js';

const API = '/api/v1/broadcasting';
const COUNT = 50;

describe('retention', () => {
  let app: TestApp;
  let admin: SignedIn;
  let user: SignedIn;
  let names = 0;
  const channelName = () => `room-${++names}`;

  beforeAll(async () => {
    app = await startTestApp({ BROADCAST_RETENTION_COUNT: String(COUNT), BROADCAST_RETENTION_SECONDS: '3600' });
    [admin, user] = [await anAdmin(app), await aSignedInUser(app)];
  });
  afterEach(() => closeSockets());
  afterAll(() => app.close());

  /** After what the publisher has called for: two removals at once wait for each other's rows, and then find too few. */
  const sweep = async () => {
    const retention = app.app.get(Retention);
    await retention['working'];
    await retention.sweepAll();
  };
  const configure = (channel: string, body: object) =>
    app.http.put(`${API}/channels/${channel}`).set(admin.auth).send(body).expect(200);
  const history = async (channel: string, after = 0) =>
    (await app.http.get(`${API}/messages`).set(user.auth).query({ channel, after, limit: 500 }).expect(200)).body;
  const shown = async (channel: string, after = 0) => {
    const { items, first_sequence, last_sequence } = await history(channel, after);
    return [items.map(({ sequence }: { sequence: number }) => sequence), first_sequence, last_sequence];
  };
  const rowsOf = async (channel: string): Promise<number> =>
    (
      await app.pool.query(
        'SELECT count(*)::int AS count FROM messages m JOIN channels c ON c.id = m.channel_id WHERE c.name = $1',
        [channel],
      )
    ).rows[0].count;
  const age = (channel: string, interval: string, upTo: number) =>
    app.pool.query(
      `UPDATE messages SET created_at = created_at - $2::interval
       WHERE sequence <= $3 AND channel_id = (SELECT id FROM channels WHERE name = $1)`,
      [channel, interval, upTo],
    );

  describe('keeps', () => {
    it('so many messages of each channel', async () => {
      const [full, other] = [channelName(), channelName()];
      await publishMany(app, full, 120);
      await publishMany(app, other, COUNT);
      await sweep();
      expect(await shown(full)).toEqual([range(71, 120), 71, 120]);
      expect(await shown(full, 100)).toEqual([range(101, 120), 71, 120]);
      expect(await shown(other)).toEqual([range(1, COUNT), 1, COUNT]);
      expect(await rowsOf(full)).toBe(COUNT);
      expect(await rowsOf(other)).toBe(COUNT);
    });

    it('messages for so long', async () => {
      const channel = channelName();
      await publishMany(app, channel, 10);
      await age(channel, '59 minutes', 10);
      await age(channel, '2 minutes', 4);
      await sweep();
      expect(await shown(channel)).toEqual([range(5, 10), 5, 10]);
      expect(await rowsOf(channel)).toBe(6);
    });

    it('nothing of a channel whose last message is too old, whose sequence goes on', async () => {
      const channel = channelName();
      await publishMany(app, channel, 10);
      await age(channel, '2 hours', 10);
      await sweep();
      expect(await shown(channel)).toEqual([[], 11, 10]);
      expect(await rowsOf(channel)).toBe(0);
      await publishMany(app, channel, 2, { first: 11 });
      expect(await shown(channel)).toEqual([[11, 12], 11, 12]);
    });

    it('what the channel’s own settings say, and again what the server says', async () => {
      const [few, young, many] = [channelName(), channelName(), channelName()];
      await configure(few, { retention_count: 5 });
      await configure(young, { retention_seconds: 60 });
      await configure(many, { retention_count: 200, retention_seconds: 100_000 });
      for (const channel of [few, young, many]) await publishMany(app, channel, 20);
      await age(young, '2 minutes', 8);
      await age(many, '2 hours', 20);
      await publishMany(app, many, 100, { first: 21 });
      await sweep();
      expect(await shown(few)).toEqual([range(16, 20), 16, 20]);
      expect(await shown(young)).toEqual([range(9, 20), 9, 20]);
      expect(await shown(many)).toEqual([range(1, 120), 1, 120]);
      await configure(many, { retention_count: null, retention_seconds: null });
      await sweep();
      expect(await shown(many)).toEqual([range(71, 120), 71, 120]);
    });

    it('what is left after batches of any number', async () => {
      const channel = channelName();
      await publishMany(app, channel, 12_000);
      await sweep();
      expect(await rowsOf(channel)).toBe(COUNT);
      expect(await shown(channel)).toEqual([range(11_951, 12_000), 11_951, 12_000]);
    });
  });

  describe('a subscriber', () => {
    const swept = async () => {
      const channel = channelName();
      await publishMany(app, channel, 120);
      await sweep();
      return channel;
    };

    it.each([0, 1, 69])(
      'who asks for what follows %i, which is gone, is told where the kept history begins',
      async (after) => {
        const channel = await swept();
        const client = await connect(app, user);
        expect(await client.subscribe(channel, { after })).toMatchObject({
          ok: true,
          recovered: false,
          first_sequence: 71,
          sequence: 120,
        });
        await publishMany(app, channel, 1, { first: 121 });
        await client.messages(channel, 51);
        expect(client.sequences(channel)).toEqual(range(71, 121));
      },
    );

    it.each([70, 71, 119, 120])('who asks for what follows %i, which is kept, gets just that', async (after) => {
      const channel = await swept();
      const client = await connect(app, user);
      const answer = await client.subscribe(channel, { after });
      expect(answer).toMatchObject({ ok: true, recovered: true, sequence: 120 });
      expect(answer).not.toHaveProperty('first_sequence');
      await publishMany(app, channel, 1, { first: 121 });
      await client.messages(channel, 121 - after);
      expect(client.sequences(channel)).toEqual(range(after + 1, 121));
    });

    it('who has seen more than there is has seen another channel', async () => {
      const channel = await swept();
      const client = await connect(app, user);
      expect(await client.subscribe(channel, { after: 121 })).toMatchObject({ recovered: false, first_sequence: 71 });
      await client.messages(channel, COUNT);
      expect(client.sequences(channel)).toEqual(range(71, 120));
      expect(await client.subscribe(channelName(), { after: 7 })).toMatchObject({
        recovered: false,
        first_sequence: 1,
        sequence: 0,
      });
    });

    it.each([70, 100, 120])(
      'of another epoch begins with what is kept, whatever is asked for: after %i',
      async (after) => {
        const channel = await swept();
        const { epoch } = await history(channel);
        const client = await connect(app, user);
        expect(await client.subscribe(channel, { after, epoch })).toMatchObject({ recovered: true, epoch });
        const other = '0197f0a0-7b1c-4e7e-8a00-3d2f1c0b9a88';
        expect(await client.subscribe(channel, { after, epoch: other })).toMatchObject({
          recovered: false,
          first_sequence: 71,
          epoch,
        });
        await client.messages(channel, COUNT);
        expect(client.sequences(channel)).toEqual(range(71, 120));
      },
    );

    it('of a channel of which nothing is kept goes on with what comes', async () => {
      const channel = channelName();
      await publishMany(app, channel, 10);
      await age(channel, '2 hours', 10);
      await sweep();
      const [late, current] = [await connect(app, user), await connect(app, user)];
      expect(await late.subscribe(channel, { after: 5 })).toMatchObject({
        recovered: false,
        first_sequence: 11,
        sequence: 10,
      });
      expect(await current.subscribe(channel, { after: 10 })).toMatchObject({ recovered: true, sequence: 10 });
      await publishMany(app, channel, 2, { first: 11 });
      for (const client of [late, current]) {
        await client.messages(channel, 2);
        expect(client.sequences(channel)).toEqual([11, 12]);
      }
    });

    it('whose replay is overtaken by the sweep is told, and can begin again', async () => {
      const channel = channelName();
      await configure(channel, { retention_count: 10_000 });
      await publishMany(app, channel, 300, { bytes: 60_000 });
      const client = await connect(app, user, { reconnection: true });
      const tcp = (client.socket.io.engine.transport as any).ws._socket;
      tcp.pause();
      const subscribing = client.subscribe(channel, { after: 0 });
      await publishMany(app, channel, 1, { first: 301 });
      await configure(channel, { retention_count: 10 });
      await sweep();
      tcp.resume();
      expect(await subscribing).toMatchObject({ ok: true, recovered: true });
      expect(await client.next('session:ended')).toEqual({ reason: 'subscription_failed' });
      expect(await client.disconnected()).toBe('transport close');
      const before = client.everSent(channel);
      expect(before).toEqual(range(1, before.length));
      await client.welcomed(2);
      expect(await client.subscribe(channel, { after: before.length })).toMatchObject({
        recovered: false,
        first_sequence: 292,
      });
      await client.messages(channel, 10);
      expect(client.sequences(channel)).toEqual(range(292, 301));
    });

    it.each<[what: string, change: string]>([
      [
        'what follows is gone, before anything else comes',
        'last_sequence = last_sequence + 5, first_sequence = last_sequence + 6',
      ],
      ['sequences have begun anew', 'epoch = gen_random_uuid(), last_sequence = last_sequence + 1'],
    ])('who is live is told when %s', async (_what, change) => {
      const channel = channelName();
      await publishMany(app, channel, 3);
      const client = await connect(app, user, { reconnection: true });
      const { epoch } = await client.subscribe(channel);
      await app.pool.query(`UPDATE channels SET ${change} WHERE name = $1`, [channel]);
      expect(await client.next('session:ended')).toEqual({ reason: 'subscription_failed' });
      await client.welcomed(2);
      expect(await client.subscribe(channel, { after: 3, epoch })).toMatchObject({ recovered: false });
    });
  });

  describe('idempotency keys', () => {
    const publish = (channel: string, data: unknown, status: number) =>
      app.http
        .post(`${API}/messages`)
        .set(admin.auth)
        .send({ channel, event: 'e', data, idempotency_key: 'k' })
        .expect(status);

    it('are remembered for ten minutes though their message is kept for less, and nobody sees it', async () => {
      const channel = channelName();
      await configure(channel, { retention_count: 1 });
      const { body: first } = await publish(channel, 'first', 201);
      await publishMany(app, channel, 3, { first: 2 });
      await age(channel, '9 minutes', 4);
      await sweep();
      expect(await shown(channel)).toEqual([[4], 4, 4]);
      expect((await publish(channel, 'first', 200)).body).toMatchObject({ id: first.id, sequence: 1, data: 'first' });
      await publish(channel, 'other', 409);
      const client = await connect(app, user);
      expect(await client.subscribe(channel, { after: 0 })).toMatchObject({ recovered: false, first_sequence: 4 });
      await client.messages(channel, 1);
      expect(client.sequences(channel)).toEqual([4]);
      await age(channel, '2 minutes', 1);
      await sweep();
      expect((await publish(channel, 'first', 201)).body.sequence).toBe(5);
    });
  });

  it('publishers do not wait for the removal', async () => {
    // One more sweep in between would move what is kept.
    clearInterval(app.app.get(Retention)['timer'] ?? undefined);
    const channel = channelName();
    await publishMany(app, channel, 200);
    const client = await app.pool.connect();
    try {
      // The removal comes to this row and waits.
      await client.query('BEGIN');
      await client.query(
        'SELECT 1 FROM messages WHERE sequence = 1 AND channel_id = (SELECT id FROM channels WHERE name = $1) FOR UPDATE',
        [channel],
      );
      let isSwept = false;
      const sweeping = sweep().then(() => (isSwept = true));
      const isWaiting = async () =>
        (
          await app.pool.query(
            "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%DELETE FROM messages%'",
          )
        ).rows.length > 0;
      while (!(await isWaiting()));
      const { body } = await app.http.post(`${API}/messages`).set(admin.auth).send({ channel, event: 'e' }).expect(201);
      expect(body.sequence).toBe(201);
      // For readers they are gone already.
      expect(await shown(channel)).toEqual([range(151, 201), 151, 201]);
      expect(isSwept).toBe(false);
      await client.query('COMMIT');
      await sweeping;
    } finally {
      client.release();
    }
    expect(await rowsOf(channel)).toBe(51);
  });

  it('a sweep beside publishers and readers loses and repeats nothing', async () => {
    const channel = channelName();
    const client = await connect(app, user);
    await client.subscribe(channel);
    const sweeping = (async () => {
      for (let i = 0; i < 20; i++) await sweep();
    })();
    for (let n = 0; n < 40; n++) await publishMany(app, channel, 25, { first: n * 25 + 1 });
    await sweeping;
    await client.messages(channel, 1_000);
    expect(client.sequences(channel)).toEqual(range(1, 1_000));
    await sweep();
    expect(await shown(channel)).toEqual([range(951, 1_000), 951, 1_000]);
  });
});
