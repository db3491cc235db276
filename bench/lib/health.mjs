import { load } from './load.mjs';
import { printTable, round } from './report.mjs';
import { quantile } from './statistics.mjs';

const PROBE_EVERY_MS = 50;

/** Asks for `/health` at a steady pace, whether or not the request before has been answered, for so many seconds or until the signal. */
export const probeHealth = (stage, server, seconds, signal) =>
  load(stage, 'probe', { url: `${server.url}/health`, everyMs: PROBE_EVERY_MS, seconds }, signal);

/** The same of each path, of a server in distress: it may still be starting, and what it answers is counted. */
export const probeDistress = (stage, server, paths, signal) =>
  Promise.all(
    paths.map((path) =>
      load(stage, 'probe', { url: server.url + path, everyMs: PROBE_EVERY_MS, mayFail: true }, signal),
    ),
  );

/** The result of `work`, with what somebody else had to wait for `/health` meanwhile. */
export async function withHealth(stage, server, work) {
  const isOver = new AbortController();
  const [result, { tookMs }] = await Promise.all([
    work().finally(() => isOver.abort()),
    probeHealth(stage, server, undefined, isOver.signal),
  ]);
  return { ...result, health: tookMs };
}

/** Of sides whose rounds have `health`: milliseconds. */
export function printHealth(sides) {
  const results = sides.map(({ name, rounds }) => {
    const tookMs = rounds.flatMap((one) => one.health);
    return {
      name,
      probes: tookMs.length,
      p50: quantile(tookMs, 0.5),
      p99: quantile(tookMs, 0.99),
      max: quantile(tookMs, 1),
      p99OfRounds: rounds.map((one) => quantile(one.health, 0.99)),
    };
  });
  printTable(
    ['GET /health meanwhile', 'probes', 'p50 ms', 'p99 ms', 'max ms'],
    results.map((side) => [side.name, side.probes, round(side.p50, 1), round(side.p99, 1), round(side.max, 1)]),
  );
  return results;
}
