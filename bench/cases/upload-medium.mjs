import { accountOf, signUp } from '../lib/api.mjs';
import { startDatabaseServer } from '../lib/database.mjs';
import { print } from '../lib/report.mjs';
import { startPlainUpload, startProduct } from '../lib/servers.mjs';
import { settings } from '../lib/settings.mjs';
import { atLeast, row } from '../lib/summary.mjs';
import { printTransfers, transferSide, upload } from '../lib/transfers.mjs';

const MEGABYTES = 10;
const COUNT = 32;
const WAYS = [
  { name: 'one by one', atOnce: 1 },
  { name: `${COUNT} at once`, atOnce: COUNT },
];

/** Files of 10 MB, against a pipeline of Node's that receives, hashes and syncs the same bytes. */
export async function run(stage) {
  const database = await startDatabaseServer(stage);
  const product = await startProduct(stage, { DATABASE_URL: database.url(), BCRYPT_COST: '10' });
  const token = await signUp(product, accountOf(0));
  const servers = [
    transferSide('plain Node pipeline', await startPlainUpload(stage), '/uploads'),
    transferSide('Gatehouse', product, '/api/v1/uploads', token),
  ];
  const results = [];
  for (const { name, atOnce } of WAYS) {
    const sides = servers.map((side) => ({ ...side, rounds: [] }));
    const transfers = { megabytes: MEGABYTES, count: COUNT, atOnce };
    for (const side of sides) await upload(stage, side, transfers);
    for (let i = 0; i < settings.rounds; i++)
      for (const side of sides) side.rounds.push(await upload(stage, side, transfers));
    const title = `uploads of ${MEGABYTES} MB, ${name}`;
    results.push({ title, sides: printTransfers(title, sides) });
    print('aims: ratio ≥ 0.8, growth < 150 MB\n');
  }
  return { results, summary: results.map(summarise) };
}

function summarise({ title, sides: [plain, ours] }) {
  const facts = { unit: 'MB/s', ours: ours.megabytesPerSecond, beside: plain.megabytesPerSecond, by: plain.name };
  return row(title, { ...facts, ratio: ours.ratio }, atLeast('ratio', 0.8));
}
