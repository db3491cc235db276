import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { accountOf, call, signIn, signUp } from '../lib/api.mjs';
import { now } from '../lib/clock.mjs';
import { startDatabaseServer } from '../lib/database.mjs';
import { cpuOf, settledMemoryOf } from '../lib/process-usage.mjs';
import { print, printTable, ratio, round } from '../lib/report.mjs';
import { ADMIN, startBareSocketIo, startProduct } from '../lib/servers.mjs';
import { settings } from '../lib/settings.mjs';
import { median, quantile } from '../lib/statistics.mjs';
import { atMost, row } from '../lib/summary.mjs';
import { insistOnOpenFiles, startSubscribers } from '../lib/subscribers.mjs';

const CHANNEL = 'news';
const DATA = { text: randomBytes(768).toString('base64') };
const ACCOUNTS = 16;
const MESSAGES_A_ROUND = 10;
const PAUSE_MS = 50;
/** What the first connections load and compile belongs to none of them. */
const WARM_UP_SOCKETS = 200;
const WARM_UP_MESSAGES = 20;
const COLLECTING = ['--expose-gc', '--import', join(import.meta.dirname, '../lib/collect-on-signal.mjs')];

/** A message of 1 KB to all who read a channel, from the call that publishes it to the last of them; against Socket.IO by itself. */
export async function run(stage) {
  insistOnOpenFiles(settings.sockets);
  const database = await startDatabaseServer(stage);
  const environment = { DATABASE_URL: database.url(), BCRYPT_COST: '10', SOCKET_CONNECTIONS: '1000000' };
  const product = await startProduct(stage, environment, COLLECTING);
  const tokens = [];
  for (let n = 0; n < ACCOUNTS; n++) tokens.push(await signUp(product, accountOf(n)));
  const admin = await signIn(product, ADMIN);
  const bare = await startBareSocketIo(stage, COLLECTING);

  const toProduct = { path: '/api/v1/broadcasting/messages', body: { channel: CHANNEL, event: 'news', data: DATA } };
  const sent = await publish(product, { ...toProduct, token: admin });
  const sides = [
    // The very same bytes go out.
    { name: 'bare Socket.IO', server: bare, path: '/messages', body: sent, tokens: [''] },
    { name: 'Gatehouse', server: product, ...toProduct, token: admin, tokens },
  ].map((side) => ({ ...side, subscribers: startSubscribers(stage) }));
  for (const side of sides) await warmUp(side);

  const results = [];
  for (const share of [0.2, 0.5, 1]) {
    const sockets = Math.round(settings.sockets * share);
    for (const side of sides) {
      side.rounds = [];
      side.opened = await open(side, sockets);
      side.memory = await settledMemoryOf(side.server.pid);
    }
    for (let i = 0; i < settings.rounds; i++)
      for (const side of sides) side.rounds.push(await measure(side, sockets, MESSAGES_A_ROUND));
    results.push(...report(sides, sockets));
  }
  return { results, summary: summarise(results) };
}

/** Two sides of each number of sockets, Socket.IO's first. */
function summarise(results) {
  const pairs = results.flatMap((ours, i) => (i % 2 ? [[results[i - 1], ours]] : []));
  return pairs.flatMap(([bare, ours]) => {
    const beside = (key) => ({ ours: ours[key], beside: bare[key], by: bare.name });
    const title = `fan-out to ${ours.sockets.toLocaleString('en')} sockets, the last`;
    return [
      row(title, { unit: 'ms', ...beside('lastMs'), ratio: ours.ratio }, atMost('ratio', 1.5)),
      row('… p99 of all', { unit: 'ms', ...beside('p99') }, ...(ours.sockets <= 5000 ? [atMost('ours', 200)] : [])),
      row('… memory a socket', { unit: 'KB', ...beside('kilobytesEach') }, atMost('ours', 50)),
    ];
  });
}

const publish = ({ url }, { path, body, token }) => call(url + path, { method: 'POST', body, token, expect: 201 });

const open = ({ subscribers, server, tokens }, count) =>
  subscribers.tell('open', { count, url: server.url, tokens, channel: CHANNEL, follows: false });

async function warmUp(side) {
  await open(side, WARM_UP_SOCKETS);
  await measure(side, WARM_UP_SOCKETS, WARM_UP_MESSAGES);
  await side.subscribers.tell('close');
  side.idle = await settledMemoryOf(side.server.pid);
}

/** One message after the other: each when all have got the one before. */
async function measure(side, sockets, messages) {
  const { server, subscribers } = side;
  const cpuBefore = cpuOf(server.pid);
  const deliveries = [];
  for (let i = 0; i < messages; i++) {
    await subscribers.tell('expect');
    const publishedAt = now();
    const [stamps] = await Promise.all([subscribers.tell('received'), publish(server, side)]);
    deliveries.push(stamps.map((stamp) => stamp - publishedAt));
    await delay(PAUSE_MS);
  }
  const all = deliveries.flat();
  return {
    lastMs: median(deliveries.map((one) => quantile(one, 1))),
    slowestMs: quantile(all, 1),
    p50: quantile(all, 0.5),
    p99: quantile(all, 0.99),
    cpuMicroseconds: (cpuOf(server.pid) - cpuBefore) / (messages * sockets),
  };
}

function report(sides, sockets) {
  const results = sides.map(({ name, rounds, opened, idle, memory }) => {
    const middle = (key) => median(rounds.map((one) => one[key]));
    const kilobytesEach = (key) => ((memory[key] - idle.megabytes) * 1024) / sockets;
    return {
      sockets,
      name,
      lastMs: middle('lastMs'),
      ratio: median(rounds.map((one, i) => one.lastMs / sides[0].rounds[i].lastMs)),
      p50: middle('p50'),
      p99: middle('p99'),
      cpuMicroseconds: middle('cpuMicroseconds'),
      opened,
      idleMegabytes: idle.megabytes,
      kilobytesEach: kilobytesEach('megabytes'),
      kilobytesEachUncollected: kilobytesEach('before'),
      rounds,
    };
  });
  printTable(
    [
      `1 KB to ${sockets} sockets`,
      ...['last ms', 'ratio', 'p50 ms', 'p99 ms', 'CPU µs/delivery', 'CPU ratio', 'KB/socket', 'uncollected'],
    ],
    results.map((side) => [
      side.name,
      round(side.lastMs),
      round(side.ratio, 2),
      round(side.p50),
      round(side.p99),
      round(side.cpuMicroseconds, 1),
      ratio(results[0].cpuMicroseconds, side.cpuMicroseconds),
      round(side.kilobytesEach, 1),
      round(side.kilobytesEachUncollected, 1),
    ]),
  );
  print('');
  return results;
}
