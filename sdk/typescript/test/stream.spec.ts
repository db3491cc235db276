import { until } from '../../../test/support/uploads.js';
import {
  AuthenticationError,
  type Gatehouse,
  PermissionDeniedError,
  type StreamEvent,
  ValidationError,
} from '../src/index.js';
import { dataOf, range, sequences, stopWatching, watch } from './live-support.js';
import { type Asked, failureOf, LocalServer, TestServer, type TestUser } from './support.js';

describe('event streams', () => {
  let server: TestServer;
  let admin: Gatehouse;
  let ann: TestUser;
  let count = 0;
  const aChannel = (prefix = 'news') => `${prefix}-${++count}`;
  const publish = (channel: string, data: unknown, more: object = {}) =>
    admin.broadcasting.publish({ channel, event: 'said', data, ...more });
  const connections = async () => (await admin.broadcasting.stats()).connections;

  beforeAll(async () => {
    server = await TestServer.start();
    admin = await server.admin();
    ann = await server.user();
  });
  afterAll(async () => {
    stopWatching();
    await server?.stop();
  });

  it('brings what is kept and what is published, until it is left', async () => {
    const channel = aChannel();
    for (const n of range(1, 3)) await publish(channel, n);
    const seen: unknown[] = [];
    for await (const event of ann.api.broadcasting.stream<number>(channel, { after: 1 })) {
      if (event.type === 'subscribed') {
        expect(event).toMatchObject({ position: { sequence: 1 }, members: null });
        await publish(channel, 4);
      }
      if (event.type === 'message') seen.push(event.message.data);
      if (seen.length === 3) break;
    }
    expect(seen).toEqual([2, 3, 4]);
    // The request has ended, too.
    await until(async () => (await connections()) === 0, 'the end of the request');
  });

  it('ends by the signal, with its reason', async () => {
    const stop = new AbortController();
    const { events, end } = watch(ann.api, aChannel(), { signal: stop.signal });
    await events.atLeast(1);
    stop.abort(new Error('enough'));
    expect(await end).toBe(stop.signal.reason);
    await until(async () => (await connections()) === 0, 'the end of the request');
    expect(await watch(ann.api, aChannel(), { signal: stop.signal }).end).toBe(stop.signal.reason);
  });

  it('tells of a gap, and passes volatile messages on', async () => {
    const channel = aChannel();
    await admin.broadcasting.channels.update(channel, { retention_count: 1 });
    for (const n of range(1, 3)) await publish(channel, n);
    await until(async () => (await admin.broadcasting.channels.get(channel)).first_sequence === 3, 'the retention');
    const { epoch } = await admin.broadcasting.channels.get(channel);
    const { events, messages } = watch(ann.api, channel, { after: 1, epoch });
    await messages.atLeast(1);
    expect(events.items.slice(0, 2)).toEqual([
      { type: 'gap', gap: { first_sequence: 3, epoch, after: { sequence: 1, epoch } } },
      { type: 'subscribed', position: { sequence: 2, epoch }, members: null },
    ]);
    await publish(channel, 'volatile', { durable: false });
    await messages.atLeast(2);
    expect([sequences(messages), dataOf(messages)]).toEqual([
      [3, null],
      [3, 'volatile'],
    ]);
  });

  it('tells who comes and goes', async () => {
    const channel = aChannel('presence-lobby');
    const ben = await server.user();
    const { events } = watch(ann.api, channel);
    await events.atLeast(1);
    expect(events.items[0]).toMatchObject({ members: [{ id: ann.id }] });
    const theirs = ben.api.broadcasting.stream(channel);
    await theirs.next();
    await events.atLeast(2);
    await theirs.return();
    await events.atLeast(3);
    expect(events.items.slice(1)).toMatchObject([
      { type: 'joined', user: { id: ben.id } },
      { type: 'left', user: { id: ben.id } },
    ]);
  });

  it('is refused as any call is', async () => {
    const refused = (channel: string, api = ann.api) => failureOf(api.broadcasting.stream(channel).next());
    expect(await refused(aChannel('private-secret'))).toBeInstanceOf(PermissionDeniedError);
    expect(await refused('no channel')).toBeInstanceOf(ValidationError);
    expect(await refused('news', server.client())).toBeInstanceOf(AuthenticationError);
  });

  it('ends when the membership is removed', async () => {
    const channel = aChannel('private-team');
    await admin.broadcasting.channels.members.add(channel, ann.id);
    const { events, end } = watch(ann.api, channel);
    await events.atLeast(1);
    await admin.broadcasting.channels.members.remove(channel, ann.id);
    expect(await end).toBeNull();
    expect(events.items.at(-1)).toEqual({ type: 'ended', reason: 'membership_removed' });
  });

  it.each<[string, (user: TestUser) => Promise<unknown>, string]>([
    ['logged out here', ({ api }) => api.auth.logout(), 'logged_out'],
    [
      'logged out elsewhere',
      async ({ email, password }) => {
        const other = server.client();
        await other.auth.login({ email, password });
        await other.auth.logoutAll();
      },
      'logged_out',
    ],
    ['disabled', ({ id }) => admin.admin.users.update(id, { is_active: false }), 'account_disabled'],
    ['deleted', ({ id }) => admin.users.delete(id), 'account_deleted'],
  ])('ends when the user is %s', async (_what, act, reason) => {
    const user = await server.user();
    const { events, end } = watch(user.api, aChannel());
    await events.atLeast(1);
    await act(user);
    expect(await end).toBeNull();
    expect(events.items.at(-1)).toEqual({ type: 'ended', reason });
  });

  it('ends with its API key, and goes on with another role', async () => {
    const user = await server.user();
    const { key, id } = await user.api.users.apiKeys.create({ name: 'reader', scopes: ['broadcast:read'] });
    const channel = aChannel();
    const byKey = watch(server.client({ apiKey: key }), channel);
    const bySession = watch(user.api, channel);
    await Promise.all([byKey.events.atLeast(1), bySession.events.atLeast(1)]);
    await user.api.users.apiKeys.delete(id);
    await byKey.end;
    expect(byKey.events.items.at(-1)).toEqual({ type: 'ended', reason: 'api_key_revoked' });
    await admin.admin.users.update(user.id, { role: 'admin' });
    await bySession.events.atLeast(2);
    await publish(channel, 'on');
    await bySession.messages.atLeast(1);
    expect(bySession.events.items.map(({ type }: StreamEvent) => type)).toEqual([
      'subscribed',
      'subscribed',
      'message',
    ]);
    await user.api.auth.logout();
    await bySession.end;
  });

  it('has a slow reader come back for the rest, in order', async () => {
    const channel = aChannel();
    const filler = 'x'.repeat(30_000);
    const seen: unknown[] = [];
    const stream = ann.api.broadcasting.stream<{ n: number }>(channel);
    await stream.next();
    // More than the server keeps for a reader, and than the buffers between take.
    const many = 600;
    for (let first = 1; first <= many; first += 20)
      await Promise.all(range(first, first + 19).map((n) => publish(channel, { n, filler })));
    let subscribed = 0;
    for await (const event of stream) {
      if (event.type === 'subscribed') subscribed++;
      if (event.type === 'message') seen.push(event.message.sequence);
      if (seen.length === many) break;
    }
    expect(seen).toEqual(range(1, many));
    expect(subscribed).toBeGreaterThan(0);
  });

  it('waits as long as the server says, sends where it was, and drops what it had', async () => {
    const epoch = '4bb2b6c4-0000-4000-8000-000000000000';
    const frame = (event: string, data: object) => `event: ${event}\ndata: ${JSON.stringify(data)}\n\n`;
    const message = (sequence: number) =>
      frame('message', { id: 'x', channel: 'news', sequence, epoch, data: sequence });
    let answers = 0;
    const fake = await LocalServer.start((_request, response) => {
      response.writeHead(200, { 'Content-Type': 'text/event-stream' });
      const begun = frame('subscribed', { channel: 'news', epoch, sequence: 9, recovered: true });
      response.write(`retry: 1\n\n${begun}${frame('something:new', {})}: a comment\n\n`);
      // Cut in the middle of one, which counts as not sent.
      if (++answers === 1)
        response.write(`${message(5)}${message(6)}${message(7).slice(0, 20)}`, () => response.destroy());
      else
        response.end(
          `${message(6)}${message(7)}${answers === 2 ? '' : frame('session:ended', { reason: 'logged_out' })}`,
        );
    });
    const key = server.client({ baseURL: fake.url, apiKey: 'ghk_x' });
    const { messages, end } = watch(key, 'news', { after: 4, epoch });
    expect(await end).toBeNull();
    expect(sequences(messages)).toEqual([5, 6, 7]);
    expect(fake.asked.map(({ path }: Asked) => new URL(path, fake.url).searchParams.get('after'))).toEqual([
      '4',
      '6',
      '7',
    ]);
    expect(fake.asked[1]).toMatchObject({
      path: expect.stringContaining(epoch),
      headers: { authorization: 'Bearer ghk_x' },
    });
    await fake.stop();
  });
});
