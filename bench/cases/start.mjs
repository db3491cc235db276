import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { memoryOf, offspringOf } from '../lib/process-usage.mjs';
import { print, printTable, round } from '../lib/report.mjs';
import { startProduct } from '../lib/servers.mjs';
import { settings } from '../lib/settings.mjs';
import { median, sum } from '../lib/statistics.mjs';
import { atMost, row } from '../lib/summary.mjs';

const IDLE_MS = 3_000;

/** From the command to the first 200 of `/api/v1/health`, with the embedded PostgreSQL, on an empty folder and on a used one. */
export async function run(stage) {
  const rounds = [];
  for (let i = 0; i < settings.rounds; i++) {
    const DATA_DIR = join(stage.temporaryDirectory(), 'data');
    const first = await startProduct(stage, { DATA_DIR });
    await first.stop();
    const second = await startProduct(stage, { DATA_DIR });
    await delay(IDLE_MS);
    const memory = memoryAtIdle(second.pid);
    await second.stop();
    rounds.push({ coldMs: first.startMs, warmMs: second.startMs, ...memory });
  }
  return report(rounds);
}

/** PostgreSQL's processes share most of what they hold: the sum of their shares is what they cost. */
function memoryAtIdle(pid) {
  return {
    megabytes: memoryOf(pid),
    databaseMegabytes: sum(offspringOf(pid).map((child) => memoryOf(child, 'Pss') || 0)),
  };
}

function report(rounds) {
  const middle = (key) => median(rounds.map((one) => one[key]));
  const slowest = (key) => Math.max(...rounds.map((one) => one[key]));
  printTable(
    ['to the first 200', 'median s', 'slowest s'],
    [
      ['cold, empty DATA_DIR', round(middle('coldMs') / 1000, 2), round(slowest('coldMs') / 1000, 2)],
      ['warm', round(middle('warmMs') / 1000, 2), round(slowest('warmMs') / 1000, 2)],
    ],
  );
  print('aims: cold ≤ 10 s, warm ≤ 3 s');
  const [node, database] = [middle('megabytes'), middle('databaseMegabytes')];
  print(`Memory at idle: Gatehouse ${round(node)} MB resident, its PostgreSQL ${round(database)} MB`);
  const result = { coldMs: middle('coldMs'), warmMs: middle('warmMs'), megabytes: node, databaseMegabytes: database };
  const summary = [
    row('start, cold', { unit: 's', ours: result.coldMs / 1000 }, atMost('ours', 10)),
    row('start, warm', { unit: 's', ours: result.warmMs / 1000 }, atMost('ours', 3)),
  ];
  return { result, rounds, summary };
}
