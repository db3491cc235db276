import { SocketReader } from '../support/broadcast-clients.js';
import type { ClusterNode } from '../support/broadcast-cluster.js';
import { Ledger, RestPublisher, SocketPublisher } from '../support/broadcast-publishers.js';
import {
  countTogether,
  crosses,
  Load,
  login,
  membersAt,
  newAddress,
  sendVolatile,
  statuses,
  times,
  Watcher,
} from '../support/outage-load.js';
import {
  during,
  type Failure,
  HEALTHY_WITHIN_MS,
  healthyAfter,
  Installation,
  report,
  TEST_MS,
  warnings,
  warningsMax,
  WITHIN_MS,
} from '../support/outage.js';
import { Dice, seedOfRun, until } from '../support/uploads.js';

const SEED = seedOfRun();
const CREDENTIALS_MAX = 5;
const POSITIONS = 'positions';
const LOBBY = 'presence-lobby';

type User = Awaited<ReturnType<Installation['aUser']>>;

describe(`Redis that goes away, seed ${SEED}`, () => {
  let installation: Installation;
  let [a, b]: ClusterNode[] = [];
  let [alice, bob]: User[] = [];
  let adminToken: string;
  const opened: { close(): unknown }[] = [];
  const opening = <T extends { close(): unknown }>(what: T): T => {
    opened.push(what);
    return what;
  };
  let userCount = 0;
  let startedAt: number;

  beforeAll(async () => {
    startedAt = performance.now();
    installation = await Installation.start();
    [a, b] = installation.nodes;
    adminToken = installation.cluster.admin.token;
    [alice, bob] = [await installation.aUser('alice'), await installation.aUser('bob')];
    await until(() => countTogether([a, b]), 'limits that are shared', WITHIN_MS);
  });

  afterEach(() => {
    for (const what of opened.splice(0)) what.close();
  });
  afterAll(() => installation?.end());

  /** Wrong passwords of one address, for accounts that there are not. */
  async function guess(node: ClusterNode, address: string, times: number): Promise<number[]> {
    const answers: number[] = [];
    for (let at = 0; at < times; at++)
      answers.push((await login(node, `nobody${++userCount}@example.com`, 'Wrong-One-1', address)).status);
    return answers;
  }

  const isPresentEverywhere = async (names: string[]) => {
    const found = await Promise.all([a, b].map((node) => membersAt(node, adminToken, LOBBY)));
    return found.every((members) => members.join() === names.join());
  };

  const failures: Failure[] = [
    { title: 'is killed', begin: () => installation.redis.stop(), end: () => installation.redis.start() },
    {
      title: 'hangs',
      begin: () => installation.redis.signal('SIGSTOP'),
      end: () => installation.redis.signal('SIGCONT'),
    },
    {
      title: 'is cut off without a word',
      begin: () => installation.wire.swallow(),
      end: () => installation.wire.restore(),
    },
  ];

  it.each(failures)(
    'that $title costs no request, no login, no socket and no durable message',
    async (failure) => {
      const channel = `news-${failure.title.replaceAll(' ', '-')}`;
      const dice = new Dice(SEED);
      const ledger = new Ledger(dice);
      const { cluster } = installation;
      const reading = { token: alice.token, channels: [channel], transports: ['websocket'] };
      const readers = [a, b].map((node) => opening(new SocketReader(`reader at ${node.name}`, node.url, reading)));
      const [atA, atB] = [
        opening(await Watcher.at(a, alice, [POSITIONS, LOBBY])),
        opening(await Watcher.at(b, bob, [POSITIONS, LOBBY])),
      ];
      const publishers = [
        new RestPublisher('REST at A', cluster.admin, [a], [channel], ledger, dice),
        new SocketPublisher('socket at B', cluster.admin, [b], [channel], ledger, dice),
      ];
      const load = Load.of(cluster, bob, bob.email);
      for (const publisher of publishers) publisher.start();
      await until(() => crosses(a, atB, adminToken, POSITIONS), 'what is not durable, from A to B', WITHIN_MS);
      await until(() => crosses(b, atA, adminToken, POSITIONS), 'what is not durable, from B to A', WITHIN_MS);

      await until(
        () => new Set(ledger.acknowledged.map(({ sent }) => sent.publisher)).size === 2,
        'both publishers',
        WITHIN_MS,
      );
      const unanswered = ledger.unanswered;
      const refusals: number[][] = [];
      const guest = await installation.aUser(`guest${++userCount}`);
      const { from, to } = await during({
        ...failure,
        begin: async () => {
          await failure.begin();
          // Each process counts for itself, from zero on.
          const address = newAddress();
          for (const node of [a, b]) refusals.push(await guess(node, address, CREDENTIALS_MAX + 2));
          for (const [node, watcher] of [
            [a, atA],
            [b, atB],
          ] as const) {
            const number = await sendVolatile(node, adminToken, POSITIONS);
            await until(() => watcher.seen.has(number), 'a volatile message at its own node', WITHIN_MS);
          }
          opening(await Watcher.at(a, guest, [LOBBY]));
          await until(
            () => isPresentEverywhere(['alice', 'bob', guest.email.split('@')[0]].sort()),
            'the guest',
            WITHIN_MS,
          );
        },
      });
      const limits = await healthyAfter(to, 'limits are shared', () => countTogether([a, b]));
      const events = await healthyAfter(to, 'volatile events cross the nodes', async () =>
        (await Promise.all([crosses(a, atB, adminToken, POSITIONS), crosses(b, atA, adminToken, POSITIONS)])).every(
          Boolean,
        ),
      );
      await Promise.all([load.stop(), ...publishers.map((publisher) => publisher.stop())]);
      const together = async () => {
        const address = newAddress();
        const answers = [...(await guess(a, address, 3)), ...(await guess(b, address, 3))];
        return answers.join() === '401,401,401,401,401,429';
      };
      // Where the machine is busy an answer of Redis may be late, and is counted at one node.
      await until(together, 'credentials to be counted together', WITHIN_MS);

      const samples = load.samples;
      const log = await cluster.history(channel, alice.token);
      report(`redis ${failure.title}`, {
        answers: JSON.stringify(statuses(load.between(from, to))),
        'ms before': times(load.between(0, from).filter(({ what }) => what === 'read')),
        'ms during': times(load.between(from, to).filter(({ what }) => what === 'read')),
        acknowledged: ledger.acknowledged.length,
        lost: ledger.lost(new Map([[channel, log]])).length,
        disconnects: readers.reduce((sum, { disconnects }) => sum + disconnects, 0),
        'limits shared after ms': limits,
        'events cross after ms': events,
      });
      expect(Math.max(limits, events)).toBeLessThanOrEqual(HEALTHY_WITHIN_MS);
      expect(new Set(samples.map(({ status }) => status))).toEqual(new Set([200]));
      const allowed = [...Array<number>(CREDENTIALS_MAX).fill(401), 429, 429];
      expect(refusals).toEqual([allowed, allowed]);
      expect([ledger.faults, ledger.unanswered]).toEqual([[], unanswered]);
      expect(ledger.lost(new Map([[channel, log]]))).toEqual([]);
      await until(
        () => readers.every(({ handled }) => handled.count(channel) === log.items.length),
        'everything at all readers',
        WITHIN_MS,
      );
      for (const { handled, disconnects } of readers)
        expect([handled.faults, handled.duplicates, disconnects]).toEqual([[], 0, 0]);
      expect([atA, atB].map(({ disconnects }) => disconnects)).toEqual([0, 0]);
      expect(cluster.nodes.flatMap(({ faults }) => faults)).toEqual([]);
      for (const node of [a, b]) {
        const said = warnings(node, /counted by each process/).length;
        expect(said).toBeGreaterThan(0);
        expect(said).toBeLessThanOrEqual(warningsMax(startedAt));
      }
    },
    TEST_MS,
  );
});
