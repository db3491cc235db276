import { ChannelsService } from '../../src/broadcasting/channels/channels.service.js';
import { aSignedInUser, type SignedIn } from '../support/builders.js';
import { closeSockets, connect, publishMany, range } from '../support/sockets.js';
import { startTestApp, type TestApp } from '../support/test-app.js';

const LEAP = 1_000_000_000;

describe('a new epoch, after a backup was restored', () => {
  let app: TestApp;
  let user: SignedIn;
  beforeAll(async () => {
    app = await startTestApp();
    user = await aSignedInUser(app);
  });
  afterEach(() => closeSockets());
  afterAll(() => app.close());

  it('is seen by whoever comes back, also without telling the epoch of before, and what is kept follows', async () => {
    await publishMany(app, 'restored', 5);
    const before = await connect(app, user);
    const { epoch } = await before.subscribe('restored', { after: 5 });
    await app.app.get(ChannelsService).renewEpochs();
    await before.next('session:ended');
    const after = await connect(app, user);
    const joined = await after.subscribe('restored', { after: 5 });
    expect(joined).toMatchObject({ recovered: false, sequence: LEAP + 5, first_sequence: LEAP + 1 });
    expect(joined.epoch).not.toBe(epoch);
    await after.messages('restored', 5);
    expect(after.sequences('restored')).toEqual(range(LEAP + 1, LEAP + 5));
    const { body } = await app.http
      .get('/api/v1/broadcasting/messages?channel=restored&after=5')
      .set(user.auth)
      .expect(200);
    expect(body).toMatchObject({ epoch: joined.epoch, first_sequence: LEAP + 1, last_sequence: LEAP + 5 });
  });

  it('makes those who are connected begin again', async () => {
    await publishMany(app, 'connected', 3);
    const client = await connect(app, user, { reconnection: true });
    await client.subscribe('connected');
    await app.app.get(ChannelsService).renewEpochs();
    expect(await client.next('session:ended')).toEqual({ reason: 'subscription_failed' });
    await client.welcomed(2);
    expect(await client.subscribe('connected', { after: 3 })).toMatchObject({ recovered: false });
    await publishMany(app, 'connected', 1);
    await client.messages('connected', 4);
    expect(client.sequences('connected')).toEqual(range(LEAP + 1, LEAP + 4));
  });
});

describe('pages of large messages', () => {
  const KILOBYTES_60 = 60_000;
  let app: TestApp;
  let user: SignedIn;
  beforeAll(async () => {
    app = await startTestApp();
    user = await aSignedInUser(app);
    await publishMany(app, 'large', 100, { bytes: KILOBYTES_60 });
  });
  afterEach(() => closeSockets());
  afterAll(() => app.close());

  it('are shorter than they may be, and lead from one to the next', async () => {
    const seen: number[] = [];
    for (let after = 0; after < 100; after = seen.at(-1) as number) {
      const { body, text } = await app.http
        .get('/api/v1/broadcasting/messages')
        .query({ channel: 'large', after, limit: 500 })
        .set(user.auth)
        .expect(200);
      expect(text.length).toBeLessThan(2.2 * 1024 * 1024);
      expect(body.items.length).toBeGreaterThan(0);
      seen.push(...body.items.map(({ sequence }: { sequence: number }) => sequence));
    }
    expect(seen).toEqual(range(1, 100));
  });

  it('are no end of a replay', async () => {
    const client = await connect(app, user);
    await client.subscribe('large', { after: 0 });
    await client.messages('large', 100);
    expect(client.sequences('large')).toEqual(range(1, 100));
  });
});
