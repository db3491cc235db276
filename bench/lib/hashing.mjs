import { probeHealth } from './health.mjs';
import { load } from './load.mjs';
import { cpuOf } from './process-usage.mjs';
import { printTable, ratio, round } from './report.mjs';
import { settings } from './settings.mjs';
import { median, quantile } from './statistics.mjs';

/** One round of requests that hash a password; meanwhile somebody else asks for `/health` at a steady pace. */
export async function measureHashing(stage, { server, url, body, expect }, warmUpSeconds) {
  const before = cpuOf(server.pid);
  const seconds = settings.hashSeconds;
  const inFlight = settings.loginsInFlight;
  const [posts, probes] = await Promise.all([
    load(stage, 'closedLoop', { url, body, inFlight, warmUpSeconds, seconds, expect }),
    probeHealth(stage, server, warmUpSeconds + seconds),
  ]);
  return {
    perSecond: posts.perSecond,
    p50: quantile(posts.tookMs, 0.5),
    cpuMsEach: (cpuOf(server.pid) - before) / 1000 / posts.sent,
    health: probes.tookMs,
  };
}

/** The rates beside the one that bcryptjs alone had in the same round. */
export function printHashing(unit, plain, sides) {
  const results = sides.map(({ name, rounds }) => ({
    name,
    perSecond: median(rounds.map((one) => one.perSecond)),
    ratio: median(rounds.map((one, i) => one.perSecond / plain[i].perSecond)),
    p50: median(rounds.map((one) => one.p50)),
    cpuMsEach: median(rounds.map((one) => one.cpuMsEach)),
    rounds: rounds.map(({ perSecond, cpuMsEach }) => ({ perSecond, cpuMsEach })),
  }));
  const alone = {
    name: 'bcryptjs alone, all cores',
    perSecond: median(plain.map((one) => one.perSecond)),
    ratio: 1,
    p50: NaN,
    cpuMsEach: median(plain.map((one) => one.cpuMsEach)),
    rounds: plain,
  };
  printTable(
    ['', unit, 'ratio', 'p50 ms', 'CPU ms each', 'CPU ratio'],
    [alone, ...results].map((side) => [
      side.name,
      round(side.perSecond, 2),
      round(side.ratio, 2),
      round(side.p50),
      round(side.cpuMsEach),
      ratio(alone.cpuMsEach, side.cpuMsEach),
    ]),
  );
  return [alone, ...results];
}
