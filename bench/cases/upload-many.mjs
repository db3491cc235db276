import { accountOf, signUp } from '../lib/api.mjs';
import { startDatabaseServer } from '../lib/database.mjs';
import { print } from '../lib/report.mjs';
import { startProduct } from '../lib/servers.mjs';
import { settings } from '../lib/settings.mjs';
import { atMost, row } from '../lib/summary.mjs';
import { printTransfers, transferSide, upload } from '../lib/transfers.mjs';

/** What a hundred uploads at once take of the server's memory. One round: it is about the most, not the middle. */
export async function run(stage) {
  const database = await startDatabaseServer(stage);
  const product = await startProduct(stage, { DATABASE_URL: database.url(), BCRYPT_COST: '10' });
  const side = transferSide('Gatehouse', product, '/api/v1/uploads', await signUp(product, accountOf(0)));
  const { parallelUploads: count, parallelMegabytes: megabytes } = settings;
  side.rounds.push(await upload(stage, side, { megabytes, count }));
  const results = printTransfers(`${count} uploads of ${megabytes} MB at once`, [side]);
  print('aim: growth < 150 MB');
  const facts = { unit: 'MB', ours: results[0].growthMegabytes };
  return { results, summary: [row(`${count} uploads at once, memory above idle`, facts, atMost('ours', 150))] };
}
