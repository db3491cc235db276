import { setTimeout as delay } from 'node:timers/promises';
import { accountOf, call, signIn, signUp } from '../lib/api.mjs';
import { startDatabaseServer } from '../lib/database.mjs';
import { addFiles, COMMON_TYPE, RARE_TYPE, TERMS } from '../lib/files.mjs';
import { askInTurn, checkpoint, explain } from '../lib/lists.mjs';
import { print, printTable, round } from '../lib/report.mjs';
import { ADMIN, startProduct } from '../lib/servers.mjs';
import { settings } from '../lib/settings.mjs';
import { tableSizes } from '../lib/sizes.mjs';
import { atMost, row } from '../lib/summary.mjs';

const SMALL = 1_000;
const SIZE = 20;
/** Within the images too, of which there are 70 in a hundred. */
const DEEP_PAGE = Math.min(10_000, Math.floor((settings.files * 0.65) / SIZE));
/** How long the server may go on removing the bytes of a user who is gone before we stop watching. */
const WATCH_MS = 30_000;

const DEEP = `page=${DEEP_PAGE}`;

const QUERIES = [
  'page=1',
  DEEP,
  ...['upload_date', 'filename', 'file_size'].flatMap((sort) =>
    ['asc', 'desc'].map((order) => `sort_by=${sort}&sort_order=${order}`),
  ),
  `sort_by=filename&sort_order=asc&${DEEP}`,
  `content_type=${COMMON_TYPE}`,
  `content_type=${RARE_TYPE}`,
  'content_type=image/*',
  `content_type=image/*&${DEEP}`,
  'content_type=image/*&sort_by=file_size',
  `search=${TERMS.rare}`,
  `search=${TERMS.common}`,
  `search=${TERMS.prefix}`,
  `search=${TERMS.common}&content_type=${COMMON_TYPE}`,
  `search=${TERMS.common}&content_type=image/*`,
  `search=${TERMS.rare}&content_type=${RARE_TYPE}`,
];

/** Lists and searches in a thousand files and in a million: two users of one database, asked in turn. Then both users are deleted. */
export async function run(stage) {
  const database = await startDatabaseServer(stage);
  const server = await startProduct(stage, { DATABASE_URL: database.url(), BCRYPT_COST: '10' });
  const small = await anOwner(server, 0);
  const large = await anOwner(server, 1);
  const startedAt = performance.now();
  await database.withClient((client) =>
    addFiles(client, [
      [small.id, SMALL],
      [large.id, settings.files],
    ]),
  );
  print(`${SMALL} and ${settings.files} files made in ${round((performance.now() - startedAt) / 1000)} s`);
  await checkpoint(database);
  const results = [];
  for (const query of QUERIES) {
    const [few, many] = await askInTurn([small, large].map((owner) => () => ask(server, owner, query)));
    // The small list has no such page.
    const isDeep = query.includes(DEEP) && settings.files > SMALL;
    results.push({ query, few: isDeep ? { medianMs: NaN } : few, many });
  }
  printTimes(results);
  const plans = [];
  for (const query of QUERIES)
    plans.push({ query, plans: await explain(database, 'uploads', query, () => ask(server, large, query)) });
  const sizes = await database.withClient((client) => tableSizes(client, ['uploads']));
  const deletions = [];
  for (const owner of [small, large]) deletions.push(await deleteOwner(server, database, owner));
  return { results, plans, sizes, deletions, summary: summarise(results, deletions) };
}

function summarise(results, deletions) {
  const { few, many } = results.find(({ query }) => query === 'page=1');
  const total = settings.files.toLocaleString('en');
  const facts = { unit: 'ms', ours: many.medianMs, beside: few.medianMs, by: `${SMALL} files` };
  return [
    row(`list-files, ${total}, page 1`, { ...facts, ratio: many.medianMs / few.medianMs }, atMost('ratio', 2)),
    row(`… deletion of a user with ${total} files`, { unit: 's', ours: deletions.at(-1).seconds }, atMost('ours', 15)),
  ];
}

async function anOwner(server, n) {
  const token = await signUp(server, accountOf(n));
  const { id } = await call(`${server.url}/api/v1/users/me`, { token });
  return { id, token };
}

const ask = (server, { token }, query) => call(`${server.url}/api/v1/uploads?${query}`, { token });

function printTimes(results) {
  printTable(
    ['query', 'found', `ms at ${SMALL}`, `ms at ${settings.files}`, 'ratio'],
    results.map(({ query, few, many }) => [
      query,
      many.total,
      round(few.medianMs, 2),
      round(many.medianMs, 2),
      round(many.medianMs / few.medianMs, 2),
    ]),
  );
  print('aim: no sequential scan of uploads\n');
}

/** Rows, sums and the list of bytes to remove go in one statement, for which the product has 15 s; the bytes go afterwards. */
async function deleteOwner(server, database, { id }) {
  const token = await signIn(server, ADMIN);
  const files = await count(database, 'uploads WHERE owner_id = $1', [id]);
  const startedAt = performance.now();
  const { status } = await fetch(`${server.url}/api/v1/users/${id}`, {
    method: 'DELETE',
    headers: { authorization: `Bearer ${token}` },
  });
  const seconds = (performance.now() - startedAt) / 1000;
  print(`\nA user with ${files} files deleted: ${status} after ${round(seconds, 2)} s (limit of a statement: 15 s)`);
  const removals = await watchRemovals(database);
  return { files, status, seconds, removals };
}

/** Files here have no bytes: this is how soon the server gets through its list of them. */
async function watchRemovals(database) {
  const startedAt = performance.now();
  const listed = await count(database, 'removed_blobs');
  let left = listed;
  while (left > 0 && performance.now() - startedAt < WATCH_MS) {
    await delay(500);
    left = await count(database, 'removed_blobs');
  }
  const seconds = (performance.now() - startedAt) / 1000;
  print(`Of ${listed} entries in the list of bytes to remove, ${left} were left after ${round(seconds, 1)} s`);
  return { listed, left, seconds };
}

const count = (database, from, values) =>
  database.withClient(async (client) => {
    const { rows } = await client.query(`SELECT count(*)::int AS rows FROM ${from}`, values);
    return rows[0].rows;
  });
