import { signIn } from '../lib/api.mjs';
import { startDatabaseServer } from '../lib/database.mjs';
import { load } from '../lib/load.mjs';
import { findPgbench, pgbench } from '../lib/pgbench.mjs';
import { cpuOf, cpuOfFamily } from '../lib/process-usage.mjs';
import { print, printTable, ratio, round } from '../lib/report.mjs';
import { ADMIN, startProduct } from '../lib/servers.mjs';
import { settings } from '../lib/settings.mjs';
import { median, quantile } from '../lib/statistics.mjs';
import { startSubscribers } from '../lib/subscribers.mjs';
import { tableSizes } from '../lib/sizes.mjs';
import { atLeast, row } from '../lib/summary.mjs';

const PUBLISHERS = 32;
const CHANNELS = 100;
const DATA = 'x'.repeat(98);
const WARM_UP_SECONDS = 1;
/** A row of `messages`, its place in the channel known without a look; nobody waits for another's lock. */
const INSERT = `INSERT INTO bare_messages (channel_id, sequence, id, event, data, created_at)
  VALUES (:client_id, :n, gen_random_uuid(), 'tick', '"${DATA}"', now())`;

/** Messages of 100 bytes through REST, 32 at once, as durable as they are; against single-row inserts into such a table by pgbench. */
export async function run(stage) {
  const database = await startDatabaseServer(stage);
  const server = await startProduct(stage, { DATABASE_URL: database.url(), BCRYPT_COST: '10' });
  const token = await signIn(server, ADMIN);
  const subscribers = startSubscribers(stage);
  await subscribers.tell('open', { count: 1, url: server.url, tokens: [token], channel: 'read', follows: true });
  const program = findPgbench();
  if (program) await createBareTable(database);
  else print('pgbench is not on the PATH: no inserts beside it\n');

  const context = { stage, database, server, token };
  const sides = [
    ...(program ? [{ name: `pgbench, ${PUBLISHERS} clients`, measure: () => measureInserts(context, program) }] : []),
    { name: 'one channel', measure: () => measurePublishing(context, ['hot']) },
    { name: `${CHANNELS} channels`, measure: () => measurePublishing(context, channelNames()) },
    { name: 'one channel, one subscriber', measure: () => measurePublishing(context, ['read']) },
  ].map((side) => ({ ...side, rounds: [] }));
  for (let i = 0; i < settings.rounds; i++) for (const side of sides) side.rounds.push(await side.measure());
  const sizes = await database.withClient((client) => tableSizes(client, ['messages']));
  return { ...report(sides), sizes };
}

const channelNames = () => Array.from({ length: CHANNELS }, (_, n) => `channel-${n}`);

const createBareTable = (database) =>
  database.withClient((client) => client.query('CREATE TABLE bare_messages (LIKE messages INCLUDING ALL)'));

async function measurePublishing({ stage, database, server, token }, channels) {
  const last = await position(database);
  const before = [cpuOf(server.pid), cpuOfFamily(database.pid)];
  const { perSecond, tookMs, sent } = await load(stage, 'closedLoop', {
    url: `${server.url}/api/v1/broadcasting/messages`,
    bodies: channels.map((channel) => JSON.stringify({ channel, event: 'tick', data: DATA })),
    tokens: [token],
    inFlight: PUBLISHERS,
    warmUpSeconds: WARM_UP_SECONDS,
    seconds: settings.seconds,
    expect: 201,
  });
  return {
    perSecond,
    p50: quantile(tookMs, 0.5),
    p99: quantile(tookMs, 0.99),
    cpuMicroseconds: (cpuOf(server.pid) - before[0]) / sent,
    databaseCpuMicroseconds: (cpuOfFamily(database.pid) - before[1]) / sent,
    messagesATransaction: await messagesATransaction(database, last.transaction),
    logBytes: ((await position(database)).logBytes - last.logBytes) / sent,
  };
}

async function measureInserts({ stage, database }, program) {
  const { connection } = database;
  await database.withClient((client) => client.query('TRUNCATE bare_messages'));
  const before = cpuOfFamily(database.pid);
  const options = { program, connection, statement: INSERT, clients: PUBLISHERS, seconds: settings.seconds };
  const { perSecond, meanMs, transactions } = await pgbench(stage, options);
  return { perSecond, meanMs, databaseCpuMicroseconds: (cpuOfFamily(database.pid) - before) / transactions };
}

/** The last transaction, and how much has been written to the log (WAL) so far. */
async function position(database) {
  const { rows } = await database.withClient((client) =>
    client.query(
      `SELECT pg_current_xact_id()::text AS transaction, pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::float8 AS "logBytes"`,
    ),
  );
  return rows[0];
}

/** Of the messages that are kept: each row knows the transaction that wrote it. */
async function messagesATransaction(database, last) {
  const { rows } = await database.withClient((client) =>
    client.query(
      `SELECT count(*)::float / nullif(count(DISTINCT xmin::text), 0) AS messages FROM messages
       WHERE xmin::text::bigint > $1::bigint`,
      [last],
    ),
  );
  return rows[0].messages;
}

function report(sides) {
  const results = sides.map(({ name, rounds }) => {
    const middle = (key) => median(rounds.map((one) => one[key] ?? NaN));
    return {
      name,
      perSecond: middle('perSecond'),
      ratio: median(rounds.map((one, i) => one.perSecond / sides[0].rounds[i].perSecond)),
      p50: middle('p50'),
      p99: middle('p99'),
      cpuMicroseconds: middle('cpuMicroseconds'),
      databaseCpuMicroseconds: middle('databaseCpuMicroseconds'),
      messagesATransaction: middle('messagesATransaction'),
      logBytes: middle('logBytes'),
      rounds,
    };
  });
  printTable(
    [
      `100 bytes, ${PUBLISHERS} publishers`,
      ...['messages/s', 'ratio', 'p50 ms', 'p99 ms', 'CPU µs/message', 'database CPU µs/message', "database's share"],
      ...['messages/transaction', 'WAL bytes/message'],
    ],
    results.map((side) => [
      side.name,
      round(side.perSecond),
      round(side.ratio, 2),
      round(side.p50, 1),
      round(side.p99, 1),
      round(side.cpuMicroseconds),
      round(side.databaseCpuMicroseconds),
      ratio(side.databaseCpuMicroseconds, side.databaseCpuMicroseconds + side.cpuMicroseconds),
      round(side.messagesATransaction, 1),
      round(side.logBytes),
    ]),
  );
  print('aim: ≥ 2,000 messages/s');
  return { results, summary: summarise(results) };
}

function summarise(results) {
  const inserts = results.find(({ cpuMicroseconds }) => Number.isNaN(cpuMicroseconds));
  const describe = ({ name, perSecond, ratio }) => {
    const beside = inserts && { beside: inserts.perSecond, by: inserts.name, ratio };
    return row(`durable publish, ${name}`, { unit: '/s', ours: perSecond, ...beside }, atLeast('ours', 2000));
  };
  return results.filter((side) => side !== inserts).map(describe);
}
