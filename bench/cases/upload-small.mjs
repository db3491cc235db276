import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { accountOf, signUp } from '../lib/api.mjs';
import { startDatabaseServer } from '../lib/database.mjs';
import { form } from '../lib/form.mjs';
import { load } from '../lib/load.mjs';
import { cpuOf, cpuOfFamily } from '../lib/process-usage.mjs';
import { print, printTable, round } from '../lib/report.mjs';
import { startPlainUpload, startProduct } from '../lib/servers.mjs';
import { settings } from '../lib/settings.mjs';
import { median, quantile } from '../lib/statistics.mjs';
import { row } from '../lib/summary.mjs';

const FILE_BYTES = 10_240;
const IN_FLIGHT = 32;
const WARM_UP_SECONDS = 1;
const USERS = [1, 8];
const WITHOUT_FILE_SYNC = ['--import', join(import.meta.dirname, '../lib/no-file-sync.mjs')];

/** Small files, 32 at once: how many a second, and how many it would be if nobody waited for the disk. */
export async function run(stage) {
  const safe = await startDatabaseServer(stage);
  const unsafe = await startDatabaseServer(stage, { fsync: 'off' });
  const sides = [
    await startSide(stage, 'Gatehouse', safe, 'all'),
    await startSide(stage, '… without fsync of files', safe, 'no_file_sync', WITHOUT_FILE_SYNC),
    await startSide(stage, '… without fsync of PostgreSQL', unsafe, 'no_database_sync'),
    await startSide(stage, '… without both', unsafe, 'no_sync', WITHOUT_FILE_SYNC),
    { name: 'plain Node pipeline, no database', server: await startPlainUpload(stage), path: '/uploads', tokens: [] },
  ];
  const results = [];
  for (const users of USERS) {
    const measured = sides.map((side) => ({ ...side, rounds: [] }));
    for (let i = 0; i < settings.rounds; i++) {
      for (const side of measured) side.rounds.push(await measure(stage, side, users));
    }
    results.push(...report(measured, users));
  }
  return { results, summary: USERS.map((users) => summarise(results.filter((one) => one.users === users))) };
}

function summarise(results) {
  const [ours, plain] = [results[0], results.at(-1)];
  const who = ours.users === 1 ? 'one user' : `${ours.users} users`;
  const facts = {
    unit: 'files/s',
    ours: ours.perSecond,
    beside: plain.perSecond,
    by: plain.name,
    ratio: 1 / plain.ratio,
  };
  return row(`upload-small, 10 KB, ${IN_FLIGHT} at once, ${who}`, facts);
}

async function startSide(stage, name, database, databaseName, nodeArguments) {
  const DATABASE_URL = await database.createDatabase(databaseName);
  const server = await startProduct(stage, { DATABASE_URL, BCRYPT_COST: '10' }, nodeArguments);
  const tokens = [];
  for (let n = 0; n < Math.max(...USERS); n++) tokens.push(await signUp(server, accountOf(n)));
  return { name, server, database, path: '/api/v1/uploads', tokens };
}

const { head, tail, contentType } = form('note %n.txt', 'text/plain');
const CONTENT = randomBytes(FILE_BYTES).toString('base64').slice(0, FILE_BYTES);
const REQUEST = { body: `${head}${CONTENT}${tail}`, contentType, inFlight: IN_FLIGHT, expect: 201 };

async function measure(stage, { server, database, path, tokens }, users) {
  const cpu = () => [cpuOf(server.pid), database ? cpuOfFamily(database.pid) : NaN];
  const before = cpu();
  const { perSecond, tookMs, sent } = await load(stage, 'closedLoop', {
    ...REQUEST,
    url: server.url + path,
    tokens: tokens.slice(0, users),
    warmUpSeconds: WARM_UP_SECONDS,
    seconds: settings.seconds,
  });
  const [cpuMicroseconds, databaseCpuMicroseconds] = cpu().map((value, i) => (value - before[i]) / sent);
  return {
    perSecond,
    p50: quantile(tookMs, 0.5),
    p99: quantile(tookMs, 0.99),
    cpuMicroseconds,
    databaseCpuMicroseconds,
  };
}

function report(sides, users) {
  const results = sides.map(({ name, rounds }) => {
    const middle = (key) => median(rounds.map((one) => one[key]));
    return {
      users,
      name,
      perSecond: middle('perSecond'),
      ratio: median(rounds.map((one, i) => one.perSecond / sides[0].rounds[i].perSecond)),
      p50: middle('p50'),
      p99: middle('p99'),
      cpuMicroseconds: middle('cpuMicroseconds'),
      databaseCpuMicroseconds: middle('databaseCpuMicroseconds'),
      rounds,
    };
  });
  printTable(
    [
      `10 KB, ${IN_FLIGHT} at once, ${users === 1 ? 'one user' : `${users} users`}`,
      ...['files/s', 'ratio', 'p50 ms', 'p99 ms', 'CPU µs/file', 'database CPU µs/file'],
    ],
    results.map((side) => [
      side.name,
      round(side.perSecond),
      round(side.ratio, 2),
      round(side.p50),
      round(side.p99),
      round(side.cpuMicroseconds),
      round(side.databaseCpuMicroseconds),
    ]),
  );
  const [, files, postgres, both] = results.map(({ ratio }) => `${round((1 - 1 / ratio) * 100)} %`);
  print(`share of fsync in the time of a file: files ${files}, PostgreSQL ${postgres}, both ${both}\n`);
  return results;
}
