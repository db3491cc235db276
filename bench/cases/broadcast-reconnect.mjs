import { join } from 'node:path';
import { accountOf, call, signIn, signUp } from '../lib/api.mjs';
import { now } from '../lib/clock.mjs';
import { startDatabaseServer } from '../lib/database.mjs';
import { probeDistress } from '../lib/health.mjs';
import { cpuOf, cpuOfFamily } from '../lib/process-usage.mjs';
import { print, printTable, round } from '../lib/report.mjs';
import { ADMIN, startProduct } from '../lib/servers.mjs';
import { settings } from '../lib/settings.mjs';
import { median, quantile, sum } from '../lib/statistics.mjs';
import { atMost, row } from '../lib/summary.mjs';
import { insistOnOpenFiles, startSubscribers } from '../lib/subscribers.mjs';

const CHANNEL = 'news';
const DATA = { text: 'x'.repeat(88) };
const ACCOUNTS = 16;
/** While the node is down, by another one; and by itself as soon as it is back. */
const MESSAGES_BEFORE = 5;
const MESSAGES_AFTER = 5;
const WAYS = [
  { name: 'all at the same moment', how: null },
  { name: "after the stock client's back-off", how: 'back-off' },
];
const HEALTH = ['/health', '/api/v1/health'];

/** A node with thousands of readers is killed and started again: how long until all have what was published meanwhile. */
export async function run(stage) {
  const sockets = Math.ceil(settings.sockets / 2);
  insistOnOpenFiles(sockets);
  const database = await startDatabaseServer(stage);
  const environment = { DATABASE_URL: database.url(), BCRYPT_COST: '10', SOCKET_CONNECTIONS: '1000000' };
  const other = await startProduct(stage, environment);
  const tokens = [];
  for (let n = 0; n < ACCOUNTS; n++) tokens.push(await signUp(other, accountOf(n)));
  const admin = await signIn(other, ADMIN);
  const context = { stage, database, other, admin, sockets };

  const DATA_DIR = join(stage.temporaryDirectory(), 'data');
  const startNode = (PORT) => startProduct(stage, { ...environment, DATA_DIR, ...(PORT && { PORT }) });
  let server = await startNode();
  const subscribers = startSubscribers(stage);
  await subscribers.tell('open', { count: sockets, url: server.url, tokens, channel: CHANNEL, follows: true });
  const ways = WAYS.map((way) => ({ ...way, rounds: [] }));
  for (let i = 0; i < stormRounds(); i++) {
    for (const way of ways) {
      const { round, server: restarted } = await storm({ ...context, subscribers, startNode, server }, way);
      server = restarted;
      way.rounds.push(round);
    }
  }
  return report(ways, sockets);
}

/** A storm is long: three say as much as five. */
const stormRounds = () => Math.min(3, settings.rounds);

async function storm({ stage, database, other, admin, subscribers, startNode, server: killed }, { how }) {
  await subscribers.tell('comeBack', { how });
  const killedAt = now();
  await killed.kill();
  for (let i = 0; i < MESSAGES_BEFORE; i++) await publish(other, admin);
  const isOver = new AbortController();
  const probing = probeDistress(stage, killed, HEALTH, isOver.signal);
  // It is waited for later; until then a failure is nobody's.
  probing.catch(() => undefined);
  const server = await startNode(new URL(killed.url).port);
  const readyAt = now();
  const cpuBefore = [cpuOf(server.pid), cpuOfFamily(database.pid)];
  if (!how) await subscribers.tell('release');
  let last;
  for (let i = 0; i < MESSAGES_AFTER; i++) last = await publish(server, admin);
  const { at, missed, repeated, failures } = await subscribers.tell('recovered', { sequence: last.sequence });
  const cpu = [cpuOf(server.pid) - cpuBefore[0], cpuOfFamily(database.pid) - cpuBefore[1]];
  isOver.abort();
  const health = await probing;
  const round = {
    downSeconds: (readyAt - killedAt) / 1000,
    lastSeconds: (Math.max(...at) - readyAt) / 1000,
    medianSeconds: (median(at) - readyAt) / 1000,
    cpuMicroseconds: cpu[0] / at.length,
    databaseCpuMicroseconds: cpu[1] / at.length,
    ...{ missed, repeated, failures, health },
  };
  return { round, server };
}

const publish = ({ url }, token) =>
  call(`${url}/api/v1/broadcasting/messages`, {
    method: 'POST',
    token,
    body: { channel: CHANNEL, event: 'news', data: DATA },
    expect: 201,
  });

function report(ways, sockets) {
  const results = ways.map(({ name, rounds }) => {
    const middle = (key) => median(rounds.map((one) => one[key]));
    const health = HEALTH.map((path, i) => {
      const tookMs = rounds.flatMap((one) => one.health[i].tookMs);
      const failed = sum(rounds.map((one) => one.health[i].failed));
      return { path, probes: tookMs.length, p99: quantile(tookMs, 0.99), max: quantile(tookMs, 1), failed };
    });
    return {
      name,
      downSeconds: middle('downSeconds'),
      lastSeconds: middle('lastSeconds'),
      slowestSeconds: Math.max(...rounds.map((one) => one.lastSeconds)),
      medianSeconds: middle('medianSeconds'),
      cpuMicroseconds: middle('cpuMicroseconds'),
      databaseCpuMicroseconds: middle('databaseCpuMicroseconds'),
      missed: Math.max(...rounds.map((one) => one.missed)),
      repeated: Math.max(...rounds.map((one) => one.repeated)),
      health,
      rounds,
    };
  });
  printTable(
    [
      `${sockets} sockets come back`,
      ...['down s', 'half s', 'last s', 'slowest s', 'CPU µs/socket', 'database CPU µs/socket', 'missed', 'repeated'],
    ],
    results.map((way) => [
      way.name,
      round(way.downSeconds, 1),
      round(way.medianSeconds, 1),
      round(way.lastSeconds, 1),
      round(way.slowestSeconds, 1),
      round(way.cpuMicroseconds),
      round(way.databaseCpuMicroseconds),
      way.missed,
      way.repeated,
    ]),
  );
  print('aim: the last < 30 s after the node is back\n');
  printTable(
    ['health meanwhile', 'probes', 'p99 ms', 'max ms', 'not 200'],
    results.flatMap((way) =>
      way.health.map(({ path, probes, p99, max, failed }) => [
        `${path}, ${way.name}`,
        ...[probes, round(p99), round(max), failed],
      ]),
    ),
  );
  print('aim: p99 < 1,000 ms');
  return { results, summary: results.flatMap((way) => summarise(way, sockets)) };
}

function summarise({ name, slowestSeconds, missed, health }, sockets) {
  const title = `${sockets.toLocaleString('en')} sockets come back ${name}, the last`;
  return [
    row(title, { unit: 's', ours: slowestSeconds }, atMost('ours', 30)),
    row('… messages missed', { unit: '', ours: missed }, atMost('ours', 0)),
    row('… GET /health meanwhile, p99', { unit: 'ms', ours: health[0].p99 }, atMost('ours', 1000)),
  ];
}
