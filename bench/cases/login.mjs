import { accountOf, register } from '../lib/api.mjs';
import { startDatabaseServer } from '../lib/database.mjs';
import { hashOf } from '../baselines/native-bcrypt.mjs';
import { measureHashing, printHashing } from '../lib/hashing.mjs';
import { printHealth } from '../lib/health.mjs';
import { plainHashRate } from '../lib/load.mjs';
import { print } from '../lib/report.mjs';
import { startBaseline, startProduct } from '../lib/servers.mjs';
import { settings } from '../lib/settings.mjs';
import { median } from '../lib/statistics.mjs';
import { atLeast, atMost, row } from '../lib/summary.mjs';

const ACCOUNT = accountOf(0);
const WARM_UP_SECONDS = 2;

/** Sign-ins against what bcryptjs alone allows, and how soon others are answered meanwhile, against native bcrypt. */
export async function run(stage) {
  const database = await startDatabaseServer(stage);
  const product = await startProduct(stage, {
    DATABASE_URL: database.url(),
    BCRYPT_COST: String(settings.bcryptCost),
  });
  await register(product, ACCOUNT);
  const baseline = await startBaseline(stage, await bareDatabase(database));
  const { name: nativeName } = await (await fetch(`${baseline.url}/password-hash`)).json();

  const plain = [];
  const sides = [
    { name: 'Gatehouse', server: product, path: '/api/v1/auth/login', rounds: [] },
    { name: `bare Fastify, ${nativeName}`, server: baseline, path: '/auth/login', rounds: [] },
  ];
  const body = JSON.stringify({ email: ACCOUNT.email, password: ACCOUNT.password });
  for (let i = 0; i < hashRounds(); i++) {
    plain.push(await plainHashRate(stage, { cost: settings.bcryptCost, seconds: settings.hashSeconds }));
    for (const { server, path, rounds } of sides) {
      const target = { server, url: server.url + path, body, expect: 200 };
      rounds.push(await measureHashing(stage, target, WARM_UP_SECONDS));
    }
  }
  return report(plain, sides, nativeName);
}

/** A round is long: three say as much as five short ones. */
const hashRounds = () => Math.min(3, settings.rounds);

/** The baseline's accounts, in the same server and in a database of their own. */
async function bareDatabase(database) {
  const url = await database.createDatabase('bare');
  await database.withClient(
    async (client) => {
      await client.query('CREATE TABLE bare_accounts (id int PRIMARY KEY, email text, password_hash text)');
      await client.query('CREATE UNIQUE INDEX ON bare_accounts (lower(email))');
      const hash = hashOf(ACCOUNT.password, settings.bcryptCost);
      await client.query('INSERT INTO bare_accounts VALUES (1, $1, $2)', [ACCOUNT.email, hash]);
    },
    { database: 'bare' },
  );
  return url;
}

function report(plain, sides, nativeName) {
  const results = printHashing('logins/s', plain, sides);
  print('aim: ratio ≥ 0.9\n');
  const health = printHealth(sides);
  print(`aim: p99 of Gatehouse no higher than of bare Fastify (here with ${nativeName})`);
  const summary = summarise(results, health);
  return { plainPerSecond: median(plain.map((one) => one.perSecond)), results, health, summary };
}

function summarise([alone, ours], [health, bareHealth]) {
  const facts = { unit: '/s', ours: ours.perSecond, beside: alone.perSecond, by: alone.name, ratio: ours.ratio };
  const waits = { unit: 'ms', ours: health.p99, beside: bareHealth.p99, by: bareHealth.name };
  return [
    row('login', facts, atLeast('ratio', 0.9)),
    row('… GET /health meanwhile, p99', { ...waits, ratio: health.p99 / bareHealth.p99 }, atMost('ratio', 1)),
  ];
}
