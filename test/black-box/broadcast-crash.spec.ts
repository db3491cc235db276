import { setTimeout as delay } from 'node:timers/promises';
import { SocketReader, StreamReader } from '../support/broadcast-clients.js';
import { Cluster, type ClusterNode, type ClusterUser, type HistoryAnswer } from '../support/broadcast-cluster.js';
import {
  type Endpoint,
  Ledger,
  RestPublisher,
  SocketPublisher,
  storedNumbers,
} from '../support/broadcast-publishers.js';
import { Dice, seedOfRun, until } from '../support/uploads.js';

const SEED = seedOfRun();
/** A hundred take six minutes. */
const ROUNDS = Number(process.env.BROADCAST_CRASH_ROUNDS ?? 12);
/** In some rounds both nodes go at once, between some rounds the database goes. */
const BOTH_EVERY = 6;
const DATABASE_EVERY = 6;
/** Published before a kill, at most. */
const ANSWERS_MAX = 60;
const MOMENT_MAX_MS = 500;
/** On a machine that is busy with other things. */
const WITHIN_MS = 60_000;
const SETUP_MS = 300_000 + ROUNDS * 20_000;

/** All messages of a channel, page by page. */
const READ_MS = 300_000 + ROUNDS * 1_000;

type Reader = SocketReader | StreamReader;

const idsOf = (messages: { id: string }[]) => messages.map(({ id }) => id).join('\n');

describe('kill -9 of nodes while messages are published', () => {
  const dice = new Dice(SEED);
  const ledger = new Ledger(dice);
  const readers = new Map<Reader, ClusterNode>();
  let away: SocketReader;
  let newcomers: Reader[];
  let cluster: Cluster;
  let reader: ClusterUser;
  let publishers: (RestPublisher | SocketPublisher)[] = [];
  let channels: string[];
  let logs: Map<string, HistoryAnswer>;
  let databaseKills = 0;

  /** A node in the middle of its work, or with an answer that has just gone out. */
  function killAtSomeMoment(victims: readonly ClusterNode[]): Promise<unknown> {
    const kill = () => Promise.all(victims.map((victim) => victim.kill()));
    if (dice.int(0, 1) === 0) return delay(dice.int(0, MOMENT_MAX_MS)).then(kill);
    let answers = dice.int(1, ANSWERS_MAX);
    return new Promise((resolve) => {
      ledger.onAnswer((node, status) => {
        if (node === victims[0] && status === 201) answers--;
        if (answers > 0) return false;
        resolve(kill());
        return true;
      });
    });
  }

  const answersOf = (node: Endpoint, wanted: (status: number) => boolean) =>
    new Promise<void>((resolve) =>
      ledger.onAnswer((answering, status) => {
        const isIt = answering === node && wanted(status);
        if (isIt) resolve();
        return isIt;
      }),
    );

  /** Meanwhile publishing is refused, at each node; afterwards it works again, by itself. */
  async function killDatabase(): Promise<void> {
    databaseKills++;
    await cluster.database.kill();
    await Promise.all(cluster.nodes.map((node) => answersOf(node, (status) => status === 503)));
    await cluster.database.start();
    await Promise.all(cluster.nodes.map((node) => answersOf(node, (status) => status === 201)));
  }

  const isConnected = (some: Reader) => some instanceof StreamReader || some.socket.connected;

  async function killNodes(round: number): Promise<void> {
    const victims = round % BOTH_EVERY === 0 ? cluster.nodes : [dice.pick(cluster.nodes)];
    // Sometimes everybody is back when the next node goes, sometimes they are in the middle of what they have missed.
    if (dice.int(0, 1) === 0)
      await until(() => [...readers.keys()].every(isConnected), `all readers before round ${round}`, WITHIN_MS);
    await killAtSomeMoment(victims);
    await Promise.all(victims.map((victim) => victim.start()));
  }

  async function doRounds(): Promise<void> {
    for (let round = 1; round <= ROUNDS; round++) {
      await killNodes(round);
      if (round % DATABASE_EVERY === 0) await killDatabase();
    }
  }

  const hasAll = ({ handled }: Reader) =>
    handled.channels.every((channel) => handled.count(channel) >= (logs.get(channel)?.items.length ?? 0));

  beforeAll(async () => {
    cluster = await Cluster.start();
    reader = await cluster.aUser('reader');
    const { admin, nodes } = cluster;
    channels = ['news', 'chat', 'private-team', 'presence-lobby', `private-user.${reader.id}`];
    const put = (path: string, body?: object, status?: number) =>
      cluster.call(`/broadcasting/channels/${path}`, admin.token, { method: 'PUT', body }, status);
    await put('chat', { publish_policy: 'members' });
    await put(`private-team/members/${reader.id}`, undefined, 204);

    const { token } = reader;
    for (const node of nodes) {
      const add = (what: string, options: { transports?: string[]; remembersEvery?: number }) =>
        readers.set(new SocketReader(`${what} at ${node.name}`, node.url, { token, channels, ...options }), node);
      add('WebSocket', { transports: ['websocket'] });
      add('long polling', { transports: ['polling'] });
      add('as the library comes', {});
      add('forgetful', { transports: ['websocket'], remembersEvery: 10 });
      readers.set(new StreamReader(`stream at ${node.name}`, [node.url], token, 'news'), node);
    }
    away = new SocketReader('away', nodes[0].url, { token, channels, transports: ['websocket'] });

    const [a, b] = nodes;
    publishers = [
      new RestPublisher('REST at A', admin, [a, b], channels, ledger, dice),
      new RestPublisher('REST at B', admin, [b, a], channels, ledger, dice),
      new RestPublisher('REST at both', admin, [a, b], ['news'], ledger, dice),
      new RestPublisher('REST of a user', reader, [b, a], ['chat'], ledger, dice),
      new SocketPublisher('socket at A', admin, [a, b], channels, ledger, dice),
      new SocketPublisher('socket at B', reader, [b, a], ['chat'], ledger, dice),
    ];
    for (const publisher of publishers) publisher.start();
    await until(() => away.handled.count('news') > 0, 'the first message');
    away.close();

    await Promise.race([doRounds(), ...nodes.map(({ failure }) => failure)]);

    await Promise.all(publishers.map((publisher) => publisher.stop()));
    logs = new Map();
    for (const channel of channels) logs.set(channel, await cluster.history(channel, token));
    away.socket.connect();
    newcomers = nodes.map(
      (node) => new SocketReader(`newcomer at ${node.name}`, node.url, { token, channels, transports: ['websocket'] }),
    );
    for (const some of [...readers.keys(), away, ...newcomers])
      await until(
        () => hasAll(some),
        `everything to reach ${some.title}: ${some.handled.faults.join('; ')}`,
        WITHIN_MS,
      );
  }, SETUP_MS);

  afterAll(async () => {
    for (const some of [...readers.keys(), away, ...(newcomers ?? [])]) some?.close();
    await Promise.all(publishers.map((publisher) => publisher.stop()));
    await cluster?.end();
  });

  it('loses no acknowledged message: each is in its channel once, where the acknowledgement said', () => {
    const lost = ledger.lost(logs);
    const all = [...readers.keys(), away, ...newcomers];
    const sum = (count: (some: Reader) => number) => all.map(count).reduce((a, b) => a + b, 0);
    const kills = cluster.nodes.map((node) => node.kills).reduce((a, b) => a + b);
    process.stdout.write(
      `kill -9 during publishing, seed ${SEED}: ${ROUNDS} rounds, ${kills} kills of nodes and ${databaseKills} of the database, ` +
        `${ledger.sent.length} published, ${ledger.acknowledged.length} acknowledged, ${lost.length} lost, ` +
        `${sum(({ handled }) => handled.misplaced)} reordered, ${sum(({ handled }) => handled.duplicates)} duplicates, ` +
        `${sum((some) => (some instanceof SocketReader ? some.disconnects : some.connections - 1))} resumed, ` +
        `${ledger.retries} retries with a key, ${ledger.rediscovered} of what was stored\n`,
    );
    expect(lost).toEqual([]);
    expect(ledger.faults).toEqual([]);
    // Otherwise no kill came in the middle.
    expect(ledger.acknowledged.length).toBeGreaterThan(ROUNDS);
    expect(ledger.unanswered).toBeGreaterThan(0);
  });

  it(
    'gives out sequences without a gap, the same at every node',
    async () => {
      for (const [channel, { items, first_sequence, last_sequence }] of logs) {
        expect(items.findIndex(({ sequence }, at) => sequence !== at + 1)).toBe(-1);
        expect([first_sequence, last_sequence]).toEqual([1, items.length]);
        const other = await cluster.history(channel, reader.token, cluster.nodes[1]);
        // Too much for a comparison piece by piece.
        expect(JSON.stringify(other.items) === JSON.stringify(items)).toBe(true);
      }
    },
    READ_MS,
  );

  it('keeps the order of each publisher', () => {
    const last = new Map<string, number>();
    const wrong = ledger.acknowledged.filter(({ sent, message }) => {
      const key = `${sent.publisher} ${sent.channel}`;
      const isWrong = message.sequence <= (last.get(key) ?? 0);
      last.set(key, message.sequence);
      return isWrong;
    });
    expect(wrong).toEqual([]);
  });

  it('stores a message once however often it was sent, and one that was repeated until it was acknowledged for certain', () => {
    const stored = storedNumbers(logs);
    expect(new Set(stored).size).toBe(stored.length);
    expect(ledger.missing(logs)).toEqual([]);
    expect(ledger.retries).toBeGreaterThan(0);
  });

  it('brings every message to every reader, in order, whether it stayed, came back or is new', () => {
    for (const { handled } of [...readers.keys(), away, ...newcomers]) {
      expect(handled.faults).toEqual([]);
      for (const channel of handled.channels)
        expect(idsOf(handled.distinct(channel))).toBe(idsOf(logs.get(channel)?.items ?? []));
    }
  });

  it('repeats nothing to a reader that remembers where it was', () => {
    const [forgetful, others] = [true, false].map((is) =>
      [...readers.keys()].filter(({ title }) => title.startsWith('forgetful') === is),
    );
    expect(others.map(({ title, handled }) => [title, handled.duplicates])).toEqual(
      others.map(({ title }) => [title, 0]),
    );
    for (const { handled } of forgetful) expect(handled.duplicates).toBeGreaterThan(0);
  });

  it('ends the connections of the node that was killed, and no others but those that the database left in the middle of a replay', () => {
    for (const [some, { kills }] of readers)
      if (some instanceof SocketReader) expect(some.disconnects).toBeLessThanOrEqual(kills + some.cuts);
    expect(cluster.nodes.flatMap(({ faults }) => faults)).toEqual([]);
  });
});
