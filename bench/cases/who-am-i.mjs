import { accountOf, register, signIn } from '../lib/api.mjs';
import { startDatabaseServer } from '../lib/database.mjs';
import { load } from '../lib/load.mjs';
import { cpuOf, cpuOfFamily } from '../lib/process-usage.mjs';
import { print, printTable, ratio, round } from '../lib/report.mjs';
import { startBaseline, startProduct, startWithPassport } from '../lib/servers.mjs';
import { settings } from '../lib/settings.mjs';
import { median } from '../lib/statistics.mjs';
import { atLeast, row } from '../lib/summary.mjs';

const ACCOUNTS = 16;
const WARM_UP_SECONDS = 10;

/** `GET /users/me`: token, live session, rate limits, answer; against a JWT check and a primary-key read in bare Fastify. */
export async function run(stage) {
  const database = await startDatabaseServer(stage);
  // The cost of a hash is of no account here; sixteen sign-ins are sooner done at the lowest.
  const environment = { DATABASE_URL: database.url(), BCRYPT_COST: '10' };
  const logging = await startProduct(stage, { ...environment, LOG_LEVEL: 'info' });
  const quiet = await startProduct(stage, { ...environment, LOG_LEVEL: 'warn' });
  const baseline = await startBaseline(stage, database.url());
  const passport = await startWithPassport(stage, { ...environment, LOG_LEVEL: 'info' });
  const tokens = await signInSome(logging);
  const sides = [
    { name: 'bare Fastify + pg', server: baseline, path: '/users/me', rounds: [] },
    { name: 'Gatehouse', server: logging, path: '/api/v1/users/me', rounds: [] },
    { name: 'Gatehouse, LOG_LEVEL=warn', server: quiet, path: '/api/v1/users/me', rounds: [] },
    { name: 'Gatehouse, guarded by Passport', server: passport, path: '/passport/me', rounds: [] },
  ];
  for (const side of sides) await measure(stage, side, tokens, WARM_UP_SECONDS, database);
  for (let i = 0; i < settings.rounds; i++) {
    for (const side of sides) side.rounds.push(await measure(stage, side, tokens, settings.seconds, database));
  }
  return report(sides);
}

async function signInSome(server) {
  const accounts = Array.from({ length: ACCOUNTS }, (_, n) => accountOf(n));
  for (const account of accounts) await register(server, account);
  return Promise.all(accounts.map((account) => signIn(server, account)));
}

async function measure(stage, { server, path }, tokens, seconds, database) {
  const options = { url: server.url + path, tokens, connections: settings.connections, seconds };
  const before = [cpuOf(server.pid), cpuOfFamily(database.pid)];
  const result = await load(stage, 'throughput', options);
  return {
    ...result,
    cpuMicroseconds: (cpuOf(server.pid) - before[0]) / result.requests,
    databaseCpuMicroseconds: (cpuOfFamily(database.pid) - before[1]) / result.requests,
  };
}

function report(sides) {
  const results = sides.map(({ name, rounds }) => {
    const middle = (key) => median(rounds.map((round) => round[key]));
    return {
      name,
      perSecond: middle('perSecond'),
      p50: middle('p50'),
      p99: middle('p99'),
      cpuMicroseconds: middle('cpuMicroseconds'),
      databaseCpuMicroseconds: middle('databaseCpuMicroseconds'),
      // Within a round both sides meet the same neighbours.
      ratio: median(rounds.map((round, i) => round.perSecond / sides[0].rounds[i].perSecond)),
      rounds,
    };
  });
  printTable(
    ['', 'req/s', 'ratio', 'p50 ms', 'p99 ms', 'CPU µs/req', 'CPU ratio', 'database CPU µs/req'],
    results.map((side) => [
      side.name,
      round(side.perSecond),
      round(side.ratio, 2),
      round(side.p50),
      round(side.p99),
      round(side.cpuMicroseconds),
      ratio(results[0].cpuMicroseconds, side.cpuMicroseconds),
      round(side.databaseCpuMicroseconds),
    ]),
  );
  print('aim: ratio ≥ 0.75');
  return { results, summary: summarise(results) };
}

function summarise([bare, ours, quiet]) {
  const besideOf = (key) => ({ beside: bare[key], by: bare.name });
  const each = (key) => ({ ours: ours[key], ...besideOf(key), ratio: bare[key] / ours[key] });
  const requests = (side) => ({ unit: 'req/s', ours: side.perSecond, ...besideOf('perSecond'), ratio: side.ratio });
  return [
    row('who-am-i', requests(ours), atLeast('ratio', 0.75)),
    row('… its processor time', { unit: 'µs', ...each('cpuMicroseconds') }),
    row("… the database's", { unit: 'µs', ...each('databaseCpuMicroseconds') }),
    row('… with LOG_LEVEL=warn', requests(quiet)),
  ];
}
