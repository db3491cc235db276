import { accountOf, call, register, signIn } from '../lib/api.mjs';
import { startDatabaseServer } from '../lib/database.mjs';
import { askInTurn, checkpoint, explain } from '../lib/lists.mjs';
import { addPeople, TERMS } from '../lib/people.mjs';
import { print, printTable, round } from '../lib/report.mjs';
import { ADMIN, startProduct } from '../lib/servers.mjs';
import { settings } from '../lib/settings.mjs';
import { tableSizes } from '../lib/sizes.mjs';
import { atMost, row } from '../lib/summary.mjs';

const SMALL = 1_000;
const SIZE = 20;
/** Within the list for those too who do not see the users that are not active. */
const DEEP_PAGE = Math.min(10_000, Math.floor((settings.users * 0.9) / SIZE));

const DEEP = `page ${DEEP_PAGE}`;

const QUERIES = {
  'page 1': 'page=1',
  [DEEP]: `page=${DEEP_PAGE}`,
  'search, rare': `search=${TERMS.rare}`,
  'search, common': `search=${TERMS.common}`,
  'search, the newest': `search=${TERMS.newest}`,
  'search, two letters': `search=${TERMS.prefix}`,
};

/** Lists and searches in a thousand users and in a million: two databases of one server, asked in turn. */
export async function run(stage) {
  const database = await startDatabaseServer(stage);
  const small = await startWithPeople(stage, database, SMALL);
  const large = await startWithPeople(stage, database, settings.users);
  await checkpoint(database);
  const results = [];
  for (const role of ['admin', 'user']) {
    for (const [name, query] of Object.entries(QUERIES)) {
      const [few, many] = await askInTurn([small, large].map((side) => () => ask(side, role, query)));
      results.push(summary(role, name, few, many));
    }
  }
  printTimes(results);
  const plans = await explainAll(database, large);
  const sizes = await database.withClient((client) => tableSizes(client, ['users']), { database: large.name });
  return { results, plans, sizes, summary: summarise(results) };
}

async function startWithPeople(stage, database, total) {
  const name = `people_${total}`;
  const server = await startProduct(stage, { DATABASE_URL: await database.createDatabase(name), BCRYPT_COST: '10' });
  await register(server, accountOf(0));
  const startedAt = performance.now();
  await database.withClient((client) => addPeople(client, total), { database: name });
  print(`${total} users made in ${round((performance.now() - startedAt) / 1000)} s`);
  const tokens = { admin: await signIn(server, ADMIN), user: await signIn(server, accountOf(0)) };
  return { name, server, tokens };
}

function summarise(results) {
  const describe = ({ role, name, small, large, ratio }) => {
    const facts = { unit: 'ms', ours: large.medianMs, beside: small.medianMs, by: `${SMALL} users`, ratio };
    return row(`list-users, ${settings.users.toLocaleString('en')}, ${name}, as ${role}`, facts, atMost('ratio', 2));
  };
  return results.filter(({ name }) => name === 'page 1').map(describe);
}

const ask = ({ server, tokens }, role, query) => call(`${server.url}/api/v1/users?${query}`, { token: tokens[role] });

/** The small list has no deep page. */
function summary(role, name, small, large) {
  if (name === DEEP) return { role, name, small: { medianMs: NaN }, large, ratio: NaN };
  return { role, name, small, large, ratio: large.medianMs / small.medianMs };
}

function printTimes(results) {
  printTable(
    ['as, query', 'found', `ms at ${SMALL}`, `ms at ${settings.users}`, 'ratio'],
    results.map((query) => [
      `${query.role}, ${query.name}`,
      query.large.total,
      round(query.small.medianMs, 2),
      round(query.large.medianMs, 2),
      round(query.ratio, 2),
    ]),
  );
  print('aim: page 1 within 2 times; no sequential scan of users\n');
}

/** Of one request each. */
async function explainAll(database, side) {
  const all = [];
  for (const role of ['admin', 'user']) {
    for (const [name, query] of Object.entries(QUERIES)) {
      const plans = await explain(database, 'users', `${role}, ${name}`, () => ask(side, role, query));
      all.push({ role, name, plans });
    }
  }
  return all;
}
