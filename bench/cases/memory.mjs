import { setTimeout as delay } from 'node:timers/promises';
import { accountOf, call, signIn, signUp } from '../lib/api.mjs';
import { startDatabaseServer } from '../lib/database.mjs';
import { load } from '../lib/load.mjs';
import { memoryOf, memoryOfFamily, usageDuring } from '../lib/process-usage.mjs';
import { print, printTable, round } from '../lib/report.mjs';
import { ADMIN, startBareSocketIo, startBaseline, startPlainUpload, startProduct } from '../lib/servers.mjs';
import { settings } from '../lib/settings.mjs';
import { startSubscribers } from '../lib/subscribers.mjs';
import { atMost, row } from '../lib/summary.mjs';
import { upload } from '../lib/transfers.mjs';

const IDLE_MS = 3_000;
const CHANNEL = 'news';
const DATA = 'x'.repeat(1000);
const SOCKETS = Math.min(2000, settings.sockets);
const MESSAGES = 20;
/** Long enough for the collector to settle: what is resident goes up and down. */
const LOAD_SECONDS = 3 * settings.seconds;
const FILES = { megabytes: 10, count: 64, atOnce: 32 };

const message = { channel: CHANNEL, event: 'news', data: DATA };

/** Each load meets servers that have just started: what they had, and the most that they have had resident when it is over. */
const LOADS = [
  {
    name: `who-am-i, ${settings.connections} connections`,
    startBeside: (stage, database) => startBaseline(stage, database.url()),
    async work(stage, { server, isOurs, token }) {
      const url = server.url + (isOurs ? '/api/v1/users/me' : '/users/me');
      const { connections } = settings;
      await load(stage, 'throughput', { url, tokens: [token], connections, seconds: LOAD_SECONDS });
    },
  },
  {
    name: `1 KB to ${SOCKETS} sockets, ${MESSAGES} times`,
    startBeside: (stage) => startBareSocketIo(stage),
    async work(stage, { server, isOurs, token, admin }) {
      const url = server.url + (isOurs ? '/api/v1/broadcasting/messages' : '/messages');
      const subscribers = startSubscribers(stage);
      const options = { url: server.url, tokens: [token], channel: CHANNEL, follows: false };
      await subscribers.tell('open', { count: SOCKETS, ...options });
      for (let i = 0; i < MESSAGES; i++) {
        await subscribers.tell('expect');
        const received = subscribers.tell('received');
        await call(url, { method: 'POST', body: message, token: isOurs ? admin : undefined, expect: 201 });
        await received;
      }
      await subscribers.tell('close');
    },
  },
  {
    name: `uploads of ${FILES.megabytes} MB, ${FILES.atOnce} at once`,
    startBeside: (stage) => startPlainUpload(stage),
    async work(stage, { server, isOurs, token }) {
      await upload(stage, { server, path: isOurs ? '/api/v1/uploads' : '/uploads', token: isOurs && token }, FILES);
    },
  },
];

/** The program alone: its PostgreSQL runs beside it, and is told apart. One round: it is about the most, not the middle. */
export async function run(stage) {
  const results = [];
  for (const [n, { name, startBeside, work }] of LOADS.entries()) {
    const database = await startDatabaseServer(stage);
    const environment = { DATABASE_URL: database.url(), BCRYPT_COST: '10', SOCKET_CONNECTIONS: '1000000' };
    const product = await startProduct(stage, environment);
    const beside = await startBeside(stage, database);
    await delay(IDLE_MS);
    const idle = { ours: memoryOf(product.pid), beside: memoryOf(beside.pid), database: memoryOfFamily(database.pid) };
    const tokens = { token: await signUp(product, accountOf(n)), admin: await signIn(product, ADMIN) };
    const peakOf = async (server, isOurs) =>
      (await usageDuring(server, () => work(stage, { server, isOurs, ...tokens }))).peakMegabytes;
    const peak = { beside: await peakOf(beside, false), ours: await peakOf(product, true) };
    results.push({ name, idle, peak: { ...peak, database: memoryOfFamily(database.pid) } });
    await beside.stop();
    await product.stop();
  }
  return report(results);
}

function report(results) {
  printTable(
    [
      'MB resident',
      'idle',
      'peak',
      'growth',
      'the bare server idle',
      'peak',
      'growth',
      'PostgreSQL idle',
      'afterwards',
    ],
    results.map(({ name, idle, peak }) => [
      name,
      ...['ours', 'beside'].flatMap((side) => [idle[side], peak[side], peak[side] - idle[side]]).map((mb) => round(mb)),
      ...[round(idle.database), round(peak.database)],
    ]),
  );
  print('aim: growth < 150 MB under uploads');
  return { results, summary: summarise(results) };
}

function summarise(results) {
  const facts = (ours, beside, by) => ({ unit: 'MB', ours, beside, by, ratio: ours / beside });
  const [{ idle }] = results;
  const uploads = results.at(-1);
  const growth = uploads.peak.ours - uploads.idle.ours;
  return [
    row('memory at idle', facts(idle.ours, idle.beside, 'bare Fastify + pg')),
    ...results.map(({ name, peak }) => row(`… most under ${name}`, facts(peak.ours, peak.beside, 'the bare server'))),
    row('… growth under uploads', { unit: 'MB', ours: growth }, atMost('ours', 150)),
  ];
}
