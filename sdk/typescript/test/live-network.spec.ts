import { type ChannelMessage, ConnectionError, Gatehouse } from '../src/index.js';
import { DeadLine, Log, range, reaches, read, sequences, stopWatching, watch } from './live-support.js';
import { failureOf, json, LocalServer, reset, TestServer } from './support.js';

const CHANNEL = 'news';
/** The server is silent for so long at most; a client gives it up after three times as much. */
const HEARTBEATS_MS = 45_000;

describe('a network that fails', () => {
  let server: TestServer;
  let line: DeadLine;
  let admin: Gatehouse;
  let api: Gatehouse;
  let last = 0;
  const publish = async (): Promise<ChannelMessage> => {
    const message = await admin.broadcasting.publish({ channel: CHANNEL, event: 'said', data: last + 1 });
    last = message.sequence as number;
    return message;
  };

  beforeAll(async () => {
    server = await TestServer.start();
    line = await DeadLine.to(server.url);
    admin = await server.admin();
    const { email, password } = await server.user();
    api = server.client({ baseURL: line.url, maxRetries: 0 });
    await api.auth.login({ email, password });
  });
  afterAll(async () => {
    stopWatching();
    await line?.close();
    await server?.stop();
  });

  it('cut again and again: everything once and in order', async () => {
    const live = api.broadcasting.connect({ reconnectDelayMax: 300 });
    const { subscription, messages } = read(live, CHANNEL, { after: last });
    const first = last + 1;
    await subscription.ready;
    for (let round = 0; round < 5; round++) {
      line.cut();
      await publish();
      await messages.until((items) => items.at(-1)?.sequence === last);
      await publish();
    }
    await messages.until((items) => items.at(-1)?.sequence === last);
    expect(sequences(messages)).toEqual(range(first, last));
    live.close();
  });

  it('dead without being closed: noticed by the missing heartbeats, and nothing is missed', async () => {
    const live = api.broadcasting.connect();
    const causes = new Log<string>();
    live.on('state', (state, cause) => causes.push(`${state} ${cause?.reason ?? ''}`));
    const { subscription, messages } = read(live, CHANNEL, { after: last });
    const stream = watch(api, CHANNEL, { after: last });
    const first = last + 1;
    await Promise.all([subscription.ready, stream.events.atLeast(1)]);
    line.stall();
    await publish();
    await publish();
    const patience = HEARTBEATS_MS + 20_000;
    await Promise.all([messages.atLeast(2, patience), stream.messages.atLeast(2, patience)]);
    expect(sequences(messages)).toEqual(range(first, last));
    expect(sequences(stream.messages)).toEqual(range(first, last));
    expect(causes.items).toEqual(['connected ', 'reconnecting ping timeout', 'connected ']);
    live.close();
  });

  it('dead while something is published: sent again on the next connection, and published once', async () => {
    const user = await server.admin({ baseURL: line.url });
    const live = user.broadcasting.connect();
    await reaches(live, 'connected');
    line.stall();
    const message = await live.publish({ channel: CHANNEL, event: 'said', data: 'through' });
    expect(message.sequence).toBe(last + 1);
    last++;
    const { items } = await admin.broadcasting.history(CHANNEL, { after: last - 1 });
    expect(items).toEqual([message]);

    // What is of the moment is not kept for another moment.
    line.cut();
    await reaches(live, 'reconnecting');
    const failure = failureOf(live.publish({ channel: CHANNEL, event: 'moved', durable: false }));
    expect(await failure).toBeInstanceOf(ConnectionError);
    live.close();
  });

  it('has a stream given up at once that never began, and gone on with that did', async () => {
    const signal = AbortSignal.timeout(60_000);
    expect(await watch(server.client({ apiKey: 'ghk_x' }), CHANNEL, { signal }).end).toMatchObject({ status: 401 });
    line.refuse();
    expect(await failureOf(api.broadcasting.stream(CHANNEL).next())).toBeInstanceOf(ConnectionError);
    line.mend();
    const stream = watch(api, CHANNEL, { after: last });
    await stream.events.atLeast(1);
    line.cut();
    await publish();
    await stream.messages.atLeast(1);
    expect(sequences(stream.messages)).toEqual([last]);
  });

  it('keeps a token out of addresses', () => {
    expect(line.sent).toContain('/socket.io/?EIO=4&transport=websocket');
    const targets = [...line.sent.matchAll(/(?:GET|POST) (\/\S+) HTTP/g)].map(([, target]) => target);
    expect(targets.length).toBeGreaterThan(5);
    expect(targets.filter((target) => /token|ticket|eyJ|ghk_/.test(target))).toEqual([]);
  });

  it('takes no page for a stream', async () => {
    const portal = await LocalServer.start((_request, response) => void response.end('<p>Sign in to the network</p>'));
    const stranger = new Gatehouse({ baseURL: portal.url, apiKey: 'ghk_x', maxRetries: 0 });
    expect(await failureOf(stranger.broadcasting.stream(CHANNEL).next())).toMatchObject({
      code: 'connection_failed',
      message: 'The answer is no event stream',
    });
    await portal.stop();
  });

  it('goes on trying when there is no Socket.IO, and closes when told to', async () => {
    const broken = await LocalServer.answering(reset, json(404, {}), json(503, {}));
    const live = new Gatehouse({ baseURL: `${broken.url}/base`, apiKey: 'ghk_x' }).broadcasting.connect({
      transports: ['polling'],
      reconnectDelayMax: 50,
    });
    const causes = new Log<unknown>();
    live.on('state', (_state, cause) => causes.push(cause?.reason));
    await causes.atLeast(4);
    expect(new Set(causes.items)).toEqual(new Set(['refused']));
    expect(live.state).toBe('connecting');
    expect(broken.asked[0].path).toMatch(/^\/base\/socket\.io\//);
    live.close();
    expect(live.state).toBe('closed');
    await broken.stop();
  });
});
