import { startDatabaseServer } from '../lib/database.mjs';
import { measureHashing, printHashing } from '../lib/hashing.mjs';
import { plainHashRate } from '../lib/load.mjs';
import { print } from '../lib/report.mjs';
import { startProduct } from '../lib/servers.mjs';
import { settings } from '../lib/settings.mjs';
import { atLeast, row } from '../lib/summary.mjs';

const WARM_UP_SECONDS = 2;

/** Sign-ups, one hash each, against what bcryptjs alone allows. */
export async function run(stage) {
  const database = await startDatabaseServer(stage);
  const product = await startProduct(stage, {
    DATABASE_URL: database.url(),
    BCRYPT_COST: String(settings.bcryptCost),
  });
  const plain = [];
  const rounds = [];
  for (let i = 0; i < Math.min(3, settings.rounds); i++) {
    plain.push(await plainHashRate(stage, { cost: settings.bcryptCost, seconds: settings.hashSeconds }));
    const body = JSON.stringify({ email: `person${i}.%n@example.com`, password: 'Bench-Passw0rd' });
    const target = { server: product, url: `${product.url}/api/v1/auth/register`, body, expect: 201 };
    rounds.push(await measureHashing(stage, target, WARM_UP_SECONDS));
  }
  const results = printHashing('sign-ups/s', plain, [{ name: 'Gatehouse', rounds }]);
  print('aim: ratio ≥ 0.9');
  const [alone, ours] = results;
  const facts = { unit: '/s', ours: ours.perSecond, beside: alone.perSecond, by: alone.name, ratio: ours.ratio };
  return { results, summary: [row('register', facts, atLeast('ratio', 0.9))] };
}
