import { setTimeout as delay } from 'node:timers/promises';
import { until } from '../../../test/support/uploads.js';
import { Connection, ConflictError, Gatehouse, GatehouseError, PermissionDeniedError } from '../src/index.js';
import { dataOf, DeadLine, Log, range, reaches, read, sequences } from './live-support.js';
import { failureOf, TestServer, type TestUser } from './support.js';

describe('live messages', () => {
  let server: TestServer;
  let admin: Gatehouse;
  let ann: TestUser;
  const opened: Connection[] = [];
  const lines: DeadLine[] = [];
  let count = 0;
  const aChannel = (prefix = 'news') => `${prefix}-${++count}`;

  const connect = (api: Gatehouse, options?: Parameters<Gatehouse['broadcasting']['connect']>[0]) => {
    const live = api.broadcasting.connect(options);
    opened.push(live);
    return live;
  };
  const publish = (channel: string, data: unknown, more: object = {}) =>
    admin.broadcasting.publish({ channel, event: 'said', data, ...more });
  const publishMany = async (channel: string, first: number, last: number) => {
    for (const n of range(first, last)) await publish(channel, n);
  };

  beforeAll(async () => {
    server = await TestServer.start({ SOCKET_EVENT_RATE: '10000/10', SOCKET_SUBSCRIPTIONS: '20' });
    admin = await server.admin();
    ann = await server.user();
  });
  afterEach(async () => {
    for (const live of opened.splice(0)) live.close();
    for (const line of lines.splice(0)) await line.close();
  });
  afterAll(() => server?.stop());

  it('connects, reads what is published from then on, and tells its states', async () => {
    const channel = aChannel();
    await publish(channel, 'before');
    const live = connect(ann.api);
    const states: string[] = [];
    live.on('state', (state) => states.push(state));
    expect(live.state).toBe('connecting');
    const { subscription, messages, told } = read(live, channel);
    expect(subscription.position).toBeNull();
    const { sequence, epoch } = await subscription.ready;
    expect([sequence, typeof epoch]).toEqual([1, 'string']);
    expect(subscription.position).toEqual({ sequence, epoch });
    const sent = await publish(channel, { text: 'now' });
    await messages.atLeast(1);
    expect(messages.items).toEqual([sent]);
    expect(sent.epoch).toBe(epoch);
    await until(() => subscription.position?.sequence === 2, 'the position');
    live.close();
    expect(states).toEqual(['connected', 'closed']);
    expect(live.closed).toEqual({ reason: 'closed', error: null });
    expect(await subscription.finished).toEqual({ reason: 'connection_closed', error: null });
    expect(told.items).toEqual([{ name: 'ended', value: subscription.ended }]);
    expect(() => live.subscribe(channel, () => undefined)).toThrow('The connection is closed: closed');
    expect(await failureOf(live.publish({ channel, event: 'x' }))).toMatchObject({ code: 'connection_closed' });
  });

  it.each([{ transports: ['polling'] as const }, { transports: ['websocket'] as const }])(
    'reads by $transports alone',
    async ({ transports }) => {
      const channel = aChannel();
      const { subscription, messages } = read(connect(ann.api, { transports: [...transports] }), channel);
      await subscription.ready;
      await publish(channel, 1);
      await messages.atLeast(1);
    },
  );

  it('goes on from a position that was kept', async () => {
    const channel = aChannel();
    await publishMany(channel, 1, 3);
    const first = read(connect(ann.api), channel, { after: 0 });
    await first.messages.atLeast(3);
    await until(() => first.subscription.position?.sequence === 3, 'the position');
    const { sequence, epoch } = first.subscription.position ?? { sequence: -1 };
    opened[0].close();
    await publishMany(channel, 4, 6);
    const second = read(connect(ann.api), channel, { after: sequence, epoch });
    expect(second.subscription.position).toEqual({ sequence: 3, epoch });
    await second.messages.atLeast(3);
    expect(dataOf(second.messages)).toEqual([4, 5, 6]);
  });

  it('has several channels, and two connections beside each other', async () => {
    const [a, b] = [aChannel(), aChannel()];
    const [one, two] = [connect(ann.api), connect(ann.api)];
    const readings = [read(one, a), read(one, b), read(two, a)];
    await Promise.all(readings.map(({ subscription }) => subscription.ready));
    await publish(a, 'to a');
    await publish(b, 'to b');
    await Promise.all(readings.map(({ messages }) => messages.atLeast(1)));
    expect(readings.map(({ messages }) => dataOf(messages))).toEqual([['to a'], ['to b'], ['to a']]);
    expect(() => one.subscribe(a, () => undefined)).toThrow(`subscribed to ${a} already`);
  });

  it('may leave a channel and enter it again', async () => {
    const channel = aChannel();
    const live = connect(ann.api);
    const first = read(live, channel);
    await first.subscription.ready;
    first.subscription.unsubscribe();
    expect(first.subscription.ended).toEqual({ reason: 'unsubscribed', error: null });
    await publish(channel, 'unheard');
    const second = read(live, channel);
    await second.subscription.ready;
    await publish(channel, 'heard');
    await second.messages.atLeast(1);
    expect([dataOf(first.messages), dataOf(second.messages)]).toEqual([[], ['heard']]);
  });

  it('handles one message after the other, and moves its position after each', async () => {
    const channel = aChannel();
    await publishMany(channel, 1, 5);
    const live = connect(ann.api);
    const gates = new Log<() => void>();
    const handled: unknown[] = [];
    const subscription = live.subscribe<number>(
      channel,
      async ({ data }) => {
        await new Promise<void>((open) => gates.push(open));
        handled.push(data);
      },
      { after: 0 },
    );
    await subscription.ready;
    for (const n of range(1, 5)) {
      await gates.atLeast(n);
      expect(gates.items).toHaveLength(n);
      expect(subscription.position?.sequence).toBe(n - 1);
      gates.items[n - 1]();
      await until(() => subscription.position?.sequence === n, `position ${n}`);
    }
    expect(handled).toEqual([1, 2, 3, 4, 5]);
  });

  it('lets a handler end its work when it is closed, and begins nothing more', async () => {
    const channel = aChannel();
    await publishMany(channel, 1, 3);
    const live = connect(ann.api);
    const gates = new Log<() => void>();
    const subscription = live.subscribe(channel, () => new Promise<void>((open) => gates.push(open)), { after: 0 });
    await gates.atLeast(1);
    live.close();
    let isFinished = false;
    void subscription.finished.then(() => (isFinished = true));
    await delay(20);
    expect(isFinished).toBe(false);
    gates.items[0]();
    await subscription.finished;
    expect(gates.items).toHaveLength(1);
    expect(subscription.position?.sequence).toBe(1);
  });

  it.each(['news', 'presence-room'])('has a slow handler read a long %s bit by bit, in order', async (prefix) => {
    const channel = aChannel(prefix);
    await Promise.all(range(1, 200).map((n) => publish(channel, n)));
    const line = await DeadLine.to(server.url);
    lines.push(line);
    const api = server.client({ baseURL: line.url });
    await api.auth.login({ email: ann.email, password: ann.password });
    // Its frames can be read.
    const live = connect(api, { transports: ['polling'] });
    const lookers = prefix === 'presence-room' ? read(connect(admin), channel) : null;
    await lookers?.subscription.ready;
    const seen: number[] = [];
    live.subscribe<number>(
      channel,
      async ({ sequence }) => {
        await delay(2);
        seen.push(sequence as number);
      },
      { after: 0, queueLimit: 8 },
    );
    await until(() => seen.length >= 200, 'all of them');
    await publish(channel, 'one more');
    await until(() => seen.length > 200, 'the live one');
    expect(seen).toEqual(range(1, 201));
    // A pause is nobody's departure.
    if (lookers) expect((await lookers.told.atLeast(1)).map(({ name }) => name)).toEqual(['joined']);
    expect(line.sent.match(/"subscribe"/g)?.length).toBeGreaterThan(3);
  });

  it('has a message again whose handler has failed, and tells of it', async () => {
    const channel = aChannel();
    await publishMany(channel, 1, 2);
    const live = connect(ann.api);
    const attempts: unknown[] = [];
    const errors: unknown[] = [];
    const handled = new Log<unknown>();
    const subscription = live.subscribe<number>(
      channel,
      async ({ data }) => {
        attempts.push(data);
        await Promise.resolve();
        if (attempts.length <= 2) throw new Error(`failure ${attempts.length}`);
        handled.push(data);
      },
      { after: 0 },
    );
    subscription.on('error', (error, item) => {
      expect(subscription.position?.sequence).toBe(0);
      errors.push([(error as Error).message, 'sequence' in item && item.sequence]);
    });
    await handled.atLeast(2);
    expect(attempts).toEqual([1, 1, 1, 2]);
    expect(errors).toEqual([
      ['failure 1', 1],
      ['failure 2', 1],
    ]);
  });

  it('may give a subscription up whose handler fails', async () => {
    const channel = aChannel();
    await publish(channel, 1);
    const live = connect(ann.api);
    let attempts = 0;
    const subscription = live.subscribe(
      channel,
      () => {
        attempts++;
        throw new Error('never');
      },
      { after: 0 },
    );
    subscription.on('error', () => subscription.unsubscribe());
    await subscription.finished;
    expect([attempts, subscription.position?.sequence]).toEqual([1, 0]);
  });

  it('passes volatile messages on, which have no place', async () => {
    const channel = aChannel();
    const { subscription, messages } = read(connect(ann.api), channel);
    await subscription.ready;
    await publish(channel, 'volatile', { durable: false });
    await publish(channel, 'durable');
    await messages.atLeast(2);
    expect([sequences(messages), dataOf(messages)]).toEqual([
      [null, 1],
      ['volatile', 'durable'],
    ]);
  });

  it('tells who comes and goes', async () => {
    const channel = aChannel('presence-lobby');
    const ben = await server.user();
    const live = connect(ann.api);
    const { subscription, told } = read(live, channel);
    await subscription.ready;
    expect(subscription.members.map(({ id }) => id)).toEqual([ann.id]);
    const other = connect(ben.api);
    const theirs = read(other, channel);
    await theirs.subscription.ready;
    await told.until((items) => items.some(({ name }) => name === 'joined'));
    expect(subscription.members.map(({ id }) => id).sort()).toEqual([ann.id, ben.id].sort());
    expect(theirs.subscription.members.map(({ id }) => id).sort()).toEqual([ann.id, ben.id].sort());
    other.close();
    await told.until((items) => items.some(({ name }) => name === 'left'));
    expect(told.items.map(({ name, value }) => [name, value.id])).toEqual([
      ['joined', ben.id],
      ['left', ben.id],
    ]);
    expect(subscription.members.map(({ id }) => id)).toEqual([ann.id]);
  });

  it('tells of a gap when messages are not kept any more, and goes on with what is', async () => {
    const channel = aChannel();
    await admin.broadcasting.channels.update(channel, { retention_count: 2 });
    await publishMany(channel, 1, 5);
    await until(async () => (await admin.broadcasting.channels.get(channel)).first_sequence === 4, 'the retention');
    const { epoch } = await admin.broadcasting.channels.get(channel);
    const order = new Log<unknown>();
    const live = connect(ann.api);
    const subscription = live.subscribe(channel, ({ data }) => order.push(data), { after: 1, epoch });
    subscription.on('gap', async (gap) => {
      await delay(20);
      order.push(gap);
    });
    await order.atLeast(3);
    expect(order.items).toEqual([{ first_sequence: 4, epoch, after: { sequence: 1, epoch } }, 4, 5]);
  });

  it('tells of a gap when the epoch is another one', async () => {
    const channel = aChannel();
    await publish(channel, 1);
    const foreign = '00000000-0000-4000-8000-000000000000';
    const { subscription, messages, told } = read(connect(ann.api), channel, { after: 1, epoch: foreign });
    await messages.atLeast(1);
    expect(told.items).toMatchObject([{ name: 'gap', value: { first_sequence: 1, after: { epoch: foreign } } }]);
    await until(() => subscription.position?.sequence === 1, 'the position');
    expect(subscription.position?.epoch).not.toBe(foreign);
  });

  it('ends a subscription when the membership is removed, and the connection goes on', async () => {
    const [channel, open] = [aChannel('private-team'), aChannel()];
    await admin.broadcasting.channels.members.add(channel, ann.id);
    const live = connect(ann.api);
    const [team, news] = [read(live, channel), read(live, open)];
    await Promise.all([team.subscription.ready, news.subscription.ready]);
    await admin.broadcasting.channels.members.remove(channel, ann.id);
    expect(await team.subscription.finished).toEqual({ reason: 'membership_removed', error: null });
    await publish(open, 'still there');
    await news.messages.atLeast(1);
    expect(live.state).toBe('connected');
  });

  it('is refused a channel that it may not read', async () => {
    const live = connect(ann.api);
    const { subscription, told } = read(live, aChannel('private-secret'));
    expect(await failureOf(subscription.ready)).toBeInstanceOf(PermissionDeniedError);
    const ended = await subscription.finished;
    expect(ended).toMatchObject({ reason: 'refused', error: { code: 'channel_forbidden', status: 403 } });
    expect(told.items).toEqual([{ name: 'ended', value: ended }]);
    expect(live.state).toBe('connected');
    expect((await read(live, 'no channel').subscription.finished).error).toMatchObject({ code: 'validation_error' });
  });

  it('publishes by the connection, once for a key, and before it is connected', async () => {
    const channel = aChannel();
    await admin.broadcasting.channels.update(channel, { publish_policy: 'members' });
    const live = connect(ann.api);
    expect(live.state).toBe('connecting');
    const when = new Date(0);
    const input = { channel, event: 'said', data: { when }, idempotency_key: 'the first' };
    const first = await live.publish<{ when: string }>(input);
    expect(first).toMatchObject({ sequence: 1, sender_id: ann.id, data: { when: when.toISOString() } });
    expect(first).not.toHaveProperty('ok');
    expect(await live.publish(input)).toEqual(first);
    expect(await failureOf(live.publish({ ...input, event: 'other' }))).toBeInstanceOf(ConflictError);
    await live.publish({ channel, event: 'said', idempotency_key: undefined });
    expect((await live.publish({ channel, event: 'said', durable: false })).sequence).toBeNull();
    expect((await admin.broadcasting.history(channel)).last_sequence).toBe(2);
  });

  it('refuses to publish what may not be, and stays', async () => {
    const live = connect(ann.api);
    await reaches(live, 'connected');
    const channel = aChannel();
    expect(await failureOf(live.publish({ channel, event: 'said' }))).toBeInstanceOf(PermissionDeniedError);
    for (const size of [70_000, 300_000])
      expect(await failureOf(live.publish({ channel, event: 'said', data: 'x'.repeat(size) }))).toMatchObject({
        status: 413,
        code: 'message_too_large',
      });
    expect(await failureOf(live.publish({ channel, event: '' }))).toMatchObject({ status: 422 });
    expect(live.state).toBe('connected');
    const stop = new AbortController();
    const gone = live.publish({ channel, event: 'said' }, { signal: stop.signal });
    stop.abort(new Error('enough'));
    expect((await failureOf(gone)).message).toBe('enough');
  });

  it('tries again when there are too many of its connections, and comes in when there is a place', async () => {
    const crowd = await server.user();
    const others = range(1, 50).map(() => connect(crowd.api));
    await Promise.all(others.map((live) => reaches(live, 'connected')));
    const live = connect(crowd.api);
    const causes = new Log<any>();
    live.on('state', (_state, cause) => causes.push(cause));
    await causes.atLeast(1);
    expect(causes.items[0].error).toMatchObject({ code: 'too_many_connections' });
    expect(live.state).toBe('connecting');
    others[0].close();
    await reaches(live, 'connected');
  });

  it('has too many subscriptions refused', async () => {
    const live = connect(ann.api);
    const readings = range(1, 20).map(() => read(live, aChannel()));
    await Promise.all(readings.map(({ subscription }) => subscription.ready));
    const last = read(live, aChannel());
    expect((await last.subscription.finished).error).toBeInstanceOf(ConflictError);
  });

  it('connects by an API key', async () => {
    const owner = await server.user();
    const create = (scopes: ('broadcast:read' | 'broadcast:write' | 'uploads:read')[]) =>
      owner.api.users.apiKeys.create({ name: scopes.join(), scopes });
    const { key, id } = await create(['broadcast:read', 'broadcast:write']);
    const live = connect(server.client({ apiKey: key }));
    const channel = aChannel();
    const { subscription, messages } = read(live, channel);
    await subscription.ready;
    await publish(channel, 1);
    await messages.atLeast(1);
    // The session of the owner is not the key's business.
    await owner.api.auth.logout();
    await owner.api.auth.login({ email: owner.email, password: owner.password });
    expect(live.state).toBe('connected');
    await owner.api.users.apiKeys.delete(id);
    await reaches(live, 'closed');
    expect(live.closed?.reason).toBe('api_key_revoked');
    expect(JSON.stringify(live)).not.toContain(key);

    const again = connect(server.client({ apiKey: key }));
    await reaches(again, 'closed');
    expect(again.closed).toMatchObject({ reason: 'refused', error: { code: 'invalid_token' } });
    const blind = connect(server.client({ apiKey: (await create(['uploads:read'])).key }));
    const refused = read(blind, channel).subscription.finished;
    expect((await refused).error ?? blind.closed?.error).toMatchObject({ code: 'insufficient_scope' });
  });

  it('is closed when nobody is signed in', async () => {
    const live = connect(server.client());
    const { subscription } = read(live, aChannel());
    await reaches(live, 'closed');
    expect(live.closed).toMatchObject({ reason: 'logged_out', error: { code: 'not_authenticated' } });
    expect((await subscription.finished).reason).toBe('connection_closed');
    expect(await failureOf(subscription.ready)).toBeInstanceOf(GatehouseError);
  });

  describe('the end of a session', () => {
    const connected = async (api: Gatehouse) => {
      const live = connect(api);
      const reading = read(live, aChannel());
      await reading.subscription.ready;
      return { live, ...reading };
    };

    it('by a logout here', async () => {
      const { api } = await server.user();
      const { live, subscription } = await connected(api);
      const waiting = failureOf(live.publish({ channel: 'x', event: 'x' }));
      await api.auth.logout();
      expect([live.state, live.closed?.reason]).toEqual(['closed', 'logged_out']);
      expect(subscription.ended?.reason).toBe('connection_closed');
      await waiting;
    });

    it('by another device', async () => {
      const user = await server.user();
      const { live } = await connected(user.api);
      const other = server.client();
      await other.auth.login({ email: user.email, password: user.password });
      await other.auth.logoutAll();
      await reaches(live, 'closed');
      expect(live.closed?.reason).toBe('logged_out');
      expect(await user.api.auth.isSignedIn()).toBe(false);
    });

    it('by another login in the same client', async () => {
      const [one, two] = [await server.user(), await server.user()];
      const { live } = await connected(one.api);
      await one.api.auth.login({ email: two.email, password: two.password });
      expect(live.closed?.reason).toBe('logged_out');
    });

    it('by an admin who disables the account', async () => {
      const { api, id } = await server.user();
      const { live } = await connected(api);
      await admin.admin.users.update(id, { is_active: false });
      await reaches(live, 'closed');
      expect(live.closed?.reason).toBe('account_disabled');
    });

    it('by the end of the account', async () => {
      const { api, id } = await server.user();
      const { live } = await connected(api);
      await admin.users.delete(id);
      await reaches(live, 'closed');
      expect(live.closed?.reason).toBe('account_deleted');
    });

    it('and comes back when only the role is another one', async () => {
      const { api, id } = await server.user();
      const { live, subscription, messages } = await connected(api);
      const back = new Log<string>();
      live.on('state', (state, cause) => back.push(cause ? `${state}: ${cause.reason}` : state));
      await admin.admin.users.update(id, { role: 'admin' });
      await back.until((states) => states.at(-1) === 'connected');
      expect(back.items).toEqual(['reconnecting: role_changed', 'connected']);
      // What it may do now.
      await live.publish({ channel: subscription.channel, event: 'said', data: 'as an admin' });
      await messages.atLeast(1);
    });
  });
});
