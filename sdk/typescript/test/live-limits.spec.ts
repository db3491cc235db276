import { GatehouseError } from '../src/index.js';
import { planAfter } from '../src/live/recovery.js';
import { range, read } from './live-support.js';
import { TestServer } from './support.js';

describe('a server that allows 20 events a second', () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await TestServer.start({ SOCKET_EVENT_RATE: '20/1' });
  });
  afterAll(() => server?.stop());

  it('publishes very many at once, one after the other as they are let in, and keeps the connection', async () => {
    const admin = await server.admin();
    const live = admin.broadcasting.connect();
    const states: string[] = [];
    live.on('state', (state) => states.push(state));
    const { subscription, messages } = read(live, 'news');
    await subscription.ready;
    const publish = (data: number) => live.publish({ channel: 'news', event: 'said', data }, { timeout: 60_000 });
    const sent = await Promise.all(range(1, 120).map(publish));
    await messages.atLeast(120);
    expect(new Set(sent.map(({ sequence }) => sequence)).size).toBe(120);
    expect(new Set(messages.items.map(({ data }) => data)).size).toBe(120);
    expect(states).toEqual(['connected']);
    live.close();
  });

  it('subscribes to more channels than that', async () => {
    const { api } = await server.user();
    const live = api.broadcasting.connect();
    const readings = range(1, 50).map((n) => read(live, `many-${n}`));
    await Promise.all(readings.map(({ subscription }) => subscription.ready));
    expect(live.state).toBe('connected');
    live.close();
  });
});

describe('what is done after the end of a connection', () => {
  const refusal = (status: number) => new GatehouseError('No', { status, code: 'x' });
  const after = (reason: string, status?: number, isRenewed = false, usesApiKey = false) =>
    planAfter({ reason, error: status === undefined ? null : refusal(status), lasted: 0 }, isRenewed, usesApiKey);
  const again = (renew: boolean, wait: number | null) => ({ close: null, renew, wait });

  it.each([
    ['account_disabled', { close: 'account_disabled' }],
    ['account_deleted', { close: 'account_deleted' }],
    ['api_key_revoked', { close: 'api_key_revoked' }],
    ['logged_out', again(true, null)],
    ['token_expired', again(true, null)],
    ['role_changed', again(true, null)],
    ['rate_limited', again(false, 10_000)],
    ['slow_reader', again(false, 0)],
    ['subscription_failed', again(false, 0)],
    ['transport close', again(false, 0)],
    ['a reason of another year', again(false, 0)],
  ])('%s', (reason, plan) => expect(after(reason)).toEqual(plan));

  it('a refusal', () => {
    expect(after('refused')).toEqual(again(false, 0));
    expect(after('refused', 503)).toEqual(again(false, 0));
    expect(after('refused', 429)).toEqual(again(false, 5_000));
    expect(after('refused', 403)).toEqual({ close: 'refused' });
    expect(after('refused', 401)).toEqual(again(true, null));
    expect(after('refused', 401, true)).toEqual({ close: 'refused' });
    expect(after('refused', 401, false, true)).toEqual({ close: 'refused' });
    expect(after('role_changed', undefined, false, true)).toEqual(again(false, null));
  });
});
