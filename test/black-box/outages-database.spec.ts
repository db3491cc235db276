import { SocketReader } from '../support/broadcast-clients.js';
import type { ClusterNode } from '../support/broadcast-cluster.js';
import { Ledger, RestPublisher, SocketPublisher } from '../support/broadcast-publishers.js';
import {
  crosses,
  isHonest,
  json,
  Load,
  login,
  membersAt,
  send,
  statuses,
  times,
  Watcher,
} from '../support/outage-load.js';
import {
  ANSWERED_WITHIN_MS,
  during,
  type Failure,
  HEALTHY_WITHIN_MS,
  healthyAfter,
  Installation,
  OUTAGE_MS,
  report,
  residentMb,
  TEST_MS,
  WITHIN_MS,
} from '../support/outage.js';
import { Dice, seedOfRun, until } from '../support/uploads.js';

const SEED = seedOfRun();
const POSITIONS = 'positions';
const LOBBY = 'presence-lobby';
/** Longer than what is on its way is waited for, and a new connection after it. */
const GIVEN_UP_AND_TRIED_AGAIN_MS = 12_000;
/** Requests of each kind and node that come in a second, whether those before are answered or not. */
const FLOOD_PER_SECOND = 20;

type User = Awaited<ReturnType<Installation['aUser']>>;

describe(`PostgreSQL that goes away, seed ${SEED}`, () => {
  let installation: Installation;
  let [a, b]: ClusterNode[] = [];
  let [alice, bob]: User[] = [];
  let adminToken: string;
  const opened: { close(): unknown }[] = [];
  const opening = <T extends { close(): unknown }>(what: T): T => {
    opened.push(what);
    return what;
  };

  beforeAll(async () => {
    installation = await Installation.start();
    [a, b] = installation.nodes;
    adminToken = installation.cluster.admin.token;
    [alice, bob] = [await installation.aUser('alice'), await installation.aUser('bob')];
  });

  afterEach(() => {
    for (const what of opened.splice(0)) what.close();
  });
  afterAll(() => installation?.end());

  const failures: (Failure & { lastsMs?: number; refused: string[] })[] = [
    {
      title: 'is killed',
      begin: () => installation.cluster.database.kill(),
      end: () => installation.cluster.database.start(),
      refused: ['read', 'list', 'login'],
    },
    {
      title: 'hangs',
      begin: () => installation.freezeDatabase(),
      end: () => installation.thawDatabase(),
      // And for longer than the leases of the nodes.
      lastsMs: Math.max(OUTAGE_MS, GIVEN_UP_AND_TRIED_AGAIN_MS),
      // Of the others too few come in a short one.
      refused: ['read'],
    },
  ];

  /** Everything that needs the database, once at each node. */
  async function isWell(): Promise<boolean> {
    const calls = [a, b].flatMap((node) => [
      send(node, 'health', { path: '/health' }),
      send(node, 'read', { path: '/users/me', token: alice.token }),
      send(node, 'list', { path: '/uploads', token: alice.token }),
      send(node, 'publish', {
        ...{ path: '/broadcasting/messages', token: adminToken },
        ...json({ channel: 'probes', event: 'probe' }),
      }),
    ]);
    return (await Promise.all(calls)).every(({ status }) => status === 200 || status === 201);
  }

  const arePresent = async (names: string[]) => {
    const found = await Promise.all([a, b].map((node) => membersAt(node, adminToken, LOBBY)));
    return found.every((members) => members.join() === names.join());
  };

  it.each(failures)(
    'that $title is told to everybody, who lose nothing that was acknowledged',
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
      await until(() => arePresent(['alice', 'bob']), 'both to be present', WITHIN_MS);
      const publishers = [
        new RestPublisher('REST at A', cluster.admin, [a], [channel], ledger, dice),
        new SocketPublisher('socket at B', cluster.admin, [b], [channel], ledger, dice),
      ];
      const load = Load.of(cluster, bob, bob.email);
      for (const publisher of publishers) publisher.start();
      await until(
        () => new Set(ledger.acknowledged.map(({ sent }) => sent.publisher)).size === 2,
        'both publishers',
        WITHIN_MS,
      );
      const { unanswered } = ledger;
      const memory = [a, b].map(({ pid }) => residentMb(pid));
      const told = [atA, atB].map(({ presence }) => [...presence]);

      let newcomer: Promise<Watcher> | null = null;
      const flood = load.flood(FLOOD_PER_SECOND, (node) => send(node, 'read', { path: '/users/me', token: bob.token }));
      const health: unknown[] = [];
      const isRefused = (what: string, node: ClusterNode) =>
        load.samples.some((sample) => sample.what === what && sample.node === node.name && sample.status === 503);
      const { from, to } = await during(
        {
          ...failure,
          begin: async () => {
            await failure.begin();
            newcomer = Watcher.at(a, bob, [POSITIONS]);
            newcomer.catch(() => undefined);
            void Promise.all(
              [a, b].map(async (node) => {
                const { status, retryAfter, body } = await send(node, 'health', { path: '/health' });
                health.push([status, retryAfter !== null, body?.database]);
              }),
            );
          },
          end: async () => {
            memory.push(...[a, b].map(({ pid }) => residentMb(pid)));
            try {
              for (const what of failure.refused)
                await until(() => [a, b].every((node) => isRefused(what, node)), `a ${what} to be refused`);
            } finally {
              await failure.end();
            }
          },
        },
        failure.lastsMs,
      );
      flood.stop();
      const well = await healthyAfter(to, 'everything is answered', isWell);
      const events = await healthyAfter(to, 'volatile events cross the nodes', async () =>
        (await Promise.all([crosses(a, atB, adminToken, POSITIONS), crosses(b, atA, adminToken, POSITIONS)])).every(
          Boolean,
        ),
      );
      const present = await healthyAfter(to, 'who is present is known', () => arePresent(['alice', 'bob']));
      opening(await (newcomer as unknown as Promise<Watcher>));
      const back = Math.round(performance.now() - to);
      await until(
        async () =>
          (await Promise.all([a, b].map((node) => login(node, alice.email)))).every(({ status }) => status === 200),
        'logins',
        WITHIN_MS,
      );
      await Promise.all([load.stop(), ...publishers.map((publisher) => publisher.stop())]);

      const log = await cluster.history(channel, alice.token);
      const logs = new Map([[channel, log]]);
      const away = load.between(from, to);
      report(`postgresql ${failure.title}`, {
        answers: JSON.stringify(statuses(away)),
        'ms before': times(load.between(0, from).filter(({ what }) => what === 'read')),
        'ms during': times(away),
        acknowledged: ledger.acknowledged.length,
        lost: ledger.lost(logs).length,
        disconnects: readers.reduce((sum, { disconnects }) => sum + disconnects, 0),
        'MB before, during': memory.join('/'),
        'well after ms': well,
        'events cross after ms': events,
        'presence right after ms': present,
        'newcomer in after ms': back,
      });
      expect(Math.max(well, events, present, back)).toBeLessThanOrEqual(HEALTHY_WITHIN_MS);
      expect(statuses(load.samples.filter((sample) => !isHonest(sample)))).toEqual({});
      expect(Math.max(...load.samples.map(({ ms }) => ms))).toBeLessThan(ANSWERED_WITHIN_MS);
      const isDown = [503, true, 'unhealthy'];
      expect(health).toEqual([isDown, isDown]);
      expect([ledger.faults, ledger.unanswered, ledger.lost(logs), ledger.missing(logs)]).toEqual([
        [],
        unanswered,
        [],
        [],
      ]);
      await until(
        () => readers.every(({ handled }) => handled.count(channel) === log.items.length),
        'everything at all readers',
        WITHIN_MS,
      );
      for (const { handled, disconnects, cuts } of readers)
        expect([handled.faults, handled.duplicates, disconnects]).toEqual([[], 0, cuts]);
      // Sockets stay, and nobody is told of comings and goings that there were not.
      expect([atA, atB].map(({ disconnects, ends }) => [disconnects, ends])).toEqual([
        [0, []],
        [0, []],
      ]);
      expect([atA, atB].map(({ presence }) => presence)).toEqual(told);
      expect(cluster.nodes.flatMap(({ faults }) => faults)).toEqual([]);
    },
    TEST_MS,
  );
});
