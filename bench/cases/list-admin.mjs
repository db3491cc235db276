import { accountOf, call, register, signIn } from '../lib/api.mjs';
import { addAuditEntries, BUSY_ID, RARE_ACTION } from '../lib/audit-entries.mjs';
import { startDatabaseServer } from '../lib/database.mjs';
import { addFiles, COMMON_TYPE, RARE_TYPE, TERMS as FILE_TERMS } from '../lib/files.mjs';
import { askInTurn, checkpoint, explain } from '../lib/lists.mjs';
import { addPeople, TERMS } from '../lib/people.mjs';
import { print, printTable, round } from '../lib/report.mjs';
import { ADMIN, startProduct } from '../lib/servers.mjs';
import { addSessions } from '../lib/sessions.mjs';
import { settings } from '../lib/settings.mjs';
import { tableSizes } from '../lib/sizes.mjs';
import { atMost, row } from '../lib/summary.mjs';

const SMALL = 1_000;
const SIZE = 20;
const TOTAL = Math.min(settings.users, settings.files);
const DEEP = `page=${Math.min(10_000, Math.floor((TOTAL * 0.9) / SIZE))}`;

const QUERIES = {
  users: [
    '',
    DEEP,
    ...['username', 'email', 'last_login'].flatMap((sort) => [
      `sort_by=${sort}`,
      `sort_by=${sort}&sort_order=asc&${DEEP}`,
    ]),
    'active=false',
    'role=admin&sort_by=email',
    `search=${TERMS.rare}`,
    `search=${TERMS.common}&sort_by=last_login`,
  ],
  uploads: [
    '',
    DEEP,
    ...['filename', 'file_size'].flatMap((sort) => [`sort_by=${sort}`, `sort_by=${sort}&sort_order=asc&${DEEP}`]),
    `content_type=${COMMON_TYPE}`,
    `content_type=${RARE_TYPE}&sort_by=filename`,
    'content_type=image/*',
    `search=${FILE_TERMS.rare}`,
  ],
  'audit-log': [
    '',
    DEEP,
    `action=${RARE_ACTION}`,
    'action=login.failed',
    `actor_id=${BUSY_ID}`,
    `target_id=${BUSY_ID}`,
    `actor_id=${BUSY_ID}&action=${RARE_ACTION}`,
  ],
  stats: [''],
};
const SIZED = ['users', 'uploads', 'audit_log', 'sessions'];
const TABLES = { users: 'users', uploads: 'uploads', 'audit-log': 'audit_log', stats: 'users' };

/** What admins look at, with a thousand users, files and entries and with a million of each: two databases of one server, asked in turn. */
export async function run(stage) {
  const database = await startDatabaseServer(stage);
  const small = await startFilled(stage, database, SMALL);
  const large = await startFilled(stage, database, TOTAL);
  await checkpoint(database);
  const results = [];
  for (const [list, queries] of Object.entries(QUERIES)) {
    for (const query of queries) {
      const [few, many] = await askInTurn([small, large].map((side) => () => ask(side, list, query)));
      // The small list has no such page.
      results.push({ list, query, few: query.includes(DEEP) ? { medianMs: NaN } : few, many });
    }
  }
  printTimes(results);
  const plans = [];
  for (const [list, queries] of Object.entries(QUERIES))
    for (const query of queries)
      plans.push({
        list,
        query,
        plans: await explain(database, TABLES[list], `${list}?${query}`, () => ask(large, list, query)),
      });
  const sizes = await database.withClient((client) => tableSizes(client, SIZED), { database: large.name });
  return { results, plans, sizes, summary: summarise(results) };
}

async function startFilled(stage, database, total) {
  const name = `admin_${total}`;
  const server = await startProduct(stage, { DATABASE_URL: await database.createDatabase(name), BCRYPT_COST: '10' });
  const { id } = await register(server, accountOf(0));
  const startedAt = performance.now();
  await database.withClient(
    async (client) => {
      await addPeople(client, total);
      await addFiles(client, [[id, total]]);
      await addAuditEntries(client, total);
      await addSessions(client);
    },
    { database: name },
  );
  print(`${total} users, files, entries and sessions made in ${round((performance.now() - startedAt) / 1000)} s`);
  return { name, server, token: await signIn(server, ADMIN) };
}

function summarise(results) {
  const describe = ({ list, few, many }) => {
    const title = `list-admin, ${list} at ${TOTAL.toLocaleString('en')}, page 1`;
    const facts = { unit: 'ms', ours: many.medianMs, beside: few.medianMs, by: `${SMALL}` };
    return row(title, { ...facts, ratio: many.medianMs / few.medianMs }, atMost('ratio', 2));
  };
  return results.filter(({ query }) => query === '').map(describe);
}

const ask = ({ server, token }, list, query) => call(`${server.url}/api/v1/admin/${list}?${query}`, { token });

function printTimes(results) {
  printTable(
    ['query', 'found', `ms at ${SMALL}`, `ms at ${TOTAL}`, 'ratio'],
    results.map(({ list, query, few, many }) => [
      `${list}?${query}`,
      many.total ?? '',
      round(few.medianMs, 2),
      round(many.medianMs, 2),
      round(many.medianMs / few.medianMs, 2),
    ]),
  );
  print('aim: first pages within 2 times; no sequential scan of users, uploads or audit_log\n');
}
