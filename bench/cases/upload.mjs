import { accountOf, signUp } from '../lib/api.mjs';
import { startDatabaseServer } from '../lib/database.mjs';
import { printHealth, withHealth } from '../lib/health.mjs';
import { print } from '../lib/report.mjs';
import { startFastifyUpload, startPlainUpload, startProduct } from '../lib/servers.mjs';
import { settings } from '../lib/settings.mjs';
import { atLeast, atMost, row } from '../lib/summary.mjs';
import { printTransfers, transferSide, upload } from '../lib/transfers.mjs';

/** One large file, against a pipeline of Node's that receives, hashes and syncs the same bytes; and how soon others are answered. */
export async function run(stage) {
  const database = await startDatabaseServer(stage);
  const product = await startProduct(stage, { DATABASE_URL: database.url(), BCRYPT_COST: '10' });
  const token = await signUp(product, accountOf(0));
  const sides = [
    transferSide('plain Node pipeline', await startPlainUpload(stage), '/uploads'),
    transferSide('Gatehouse', product, '/api/v1/uploads', token),
    transferSide('bare Fastify, no hash, no fsync', await startFastifyUpload(stage), '/uploads'),
  ];
  const megabytes = settings.uploadMegabytes;
  for (const side of sides) await upload(stage, side, { megabytes: Math.min(100, megabytes) });
  for (let i = 0; i < settings.rounds; i++) {
    for (const side of sides)
      side.rounds.push(await withHealth(stage, side.server, () => upload(stage, side, { megabytes })));
  }
  const results = printTransfers(`one upload of ${megabytes} MB`, sides);
  print('aims: ratio ≥ 0.8, growth < 150 MB\n');
  const health = printHealth(sides);
  return { results, health, summary: summarise(results, health) };
}

function summarise([plain, ours], [bareHealth, health]) {
  const beside = (value) => ({ beside: value, by: plain.name });
  const rate = { unit: 'MB/s', ours: ours.megabytesPerSecond, ...beside(plain.megabytesPerSecond), ratio: ours.ratio };
  const growth = { unit: 'MB', ours: ours.growthMegabytes, ...beside(plain.growthMegabytes) };
  return [
    row(`upload, one of ${settings.uploadMegabytes} MB`, rate, atLeast('ratio', 0.8)),
    row('… memory above idle', growth, atMost('ours', 150)),
    row('… GET /health meanwhile, p99', { unit: 'ms', ours: health.p99, ...beside(bareHealth.p99) }),
  ];
}
