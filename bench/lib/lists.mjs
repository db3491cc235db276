import { blocksOf, describePlan, scansWhole } from './plans.mjs';
import { print } from './report.mjs';
import { settings } from './settings.mjs';
import { median, quantile } from './statistics.mjs';

/** A query that takes long is asked less often. */
const LONGEST_MS = 10_000;
const WARM_UP_MS = 3_000;
/** The access check, and what the product does on a schedule. */
const OF_NO_LIST = /sessions|removed_blobs|expired/;

/** What the inserts left to write is not the queries' affair. */
export const checkpoint = (database) =>
  database.withClient((client) => client.query('CHECKPOINT'), { user: 'postgres' });

/** Each of `asks` answers with a page. In turn, one request at a time, after as many for warming up. */
export async function askInTurn(asks) {
  const results = asks.map(() => ({ tookMs: [], total: 0 }));
  for (const isMeasured of [false, true]) {
    const end = performance.now() + (isMeasured ? LONGEST_MS : WARM_UP_MS);
    for (let i = 0; i < settings.samples && performance.now() < end; i++) {
      for (const [at, ask] of asks.entries()) {
        const sentAt = performance.now();
        const { total } = await ask();
        results[at].total = total;
        if (isMeasured) results[at].tookMs.push(performance.now() - sentAt);
      }
    }
  }
  return results.map(({ tookMs, total }) => ({
    medianMs: median(tookMs),
    p99Ms: quantile(tookMs, 0.99),
    samples: tookMs.length,
    total,
  }));
}

/** The statements of one request as PostgreSQL really ran them; says which of them read all of a table. */
export async function explain(database, table, name, ask) {
  const logged = await database.explained(ask);
  const plans = logged.filter((plan) => !OF_NO_LIST.test(plan['Query Text']));
  print(name);
  for (const plan of plans)
    print(`  ${scansWhole(plan.Plan, table) ? 'SEQUENTIAL ' : ''}${describePlan(plan)}; ${blocksOf(plan)} blocks`);
  return plans;
}
