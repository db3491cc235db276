import { call } from './api.mjs';
import { transfer } from './load.mjs';
import { memoryOf, usageDuring } from './process-usage.mjs';
import { printTable, ratio, round } from './report.mjs';
import { median } from './statistics.mjs';

export const MEGABYTE = 1_000_000;

/** Who is measured: what it has resident before the first byte is what its growth is counted from. */
export const transferSide = (name, server, path, token) => ({
  ...{ name, server, path, token },
  idleMegabytes: memoryOf(server.pid),
  rounds: [],
});

/** `count` uploads of so many megabytes, all at once or so many of them; they are thrown away afterwards. */
export async function upload(stage, { server, path, token }, { megabytes, count = 1, atOnce }) {
  const url = server.url + path;
  const { answers, ...result } = await measure(server, megabytes * count, () =>
    transfer(stage, 'send', { url, token, megabytes, count, atOnce }),
  );
  for (const { id } of answers) await call(`${url}/${id}`, { method: 'DELETE', token, expect: 204 });
  return result;
}

/** `count` downloads at once of one file that has so many megabytes. */
export function download(stage, { server, path, token }, { megabytes, count = 1 }) {
  const options = { url: server.url + path, token, bytes: megabytes * MEGABYTE, count };
  return measure(server, megabytes * count, () => transfer(stage, 'receive', options));
}

async function measure(server, megabytes, work) {
  const { seconds, cpuSeconds, ...result } = await usageDuring(server, work);
  return {
    ...result,
    seconds,
    megabytesPerSecond: megabytes / seconds,
    cpuSecondsPerGigabyte: (cpuSeconds / megabytes) * 1000,
  };
}

/** The sides beside the first of them. */
export function printTransfers(title, sides) {
  const results = sides.map(({ name, rounds, idleMegabytes }) => {
    const middle = (key) => median(rounds.map((one) => one[key]));
    return {
      name,
      megabytesPerSecond: middle('megabytesPerSecond'),
      ratio: median(rounds.map((one, i) => one.megabytesPerSecond / sides[0].rounds[i].megabytesPerSecond)),
      cpuSecondsPerGigabyte: middle('cpuSecondsPerGigabyte'),
      idleMegabytes,
      growthMegabytes: Math.max(...rounds.map((one) => one.peakMegabytes)) - idleMegabytes,
      rounds,
    };
  });
  printTable(
    [title, 'MB/s', 'ratio', 'CPU s/GB', 'CPU ratio', 'MB at idle', 'growth'],
    results.map((side) => [
      side.name,
      round(side.megabytesPerSecond),
      round(side.ratio, 2),
      round(side.cpuSecondsPerGigabyte, 2),
      ratio(results[0].cpuSecondsPerGigabyte, side.cpuSecondsPerGigabyte),
      round(side.idleMegabytes),
      round(side.growthMegabytes),
    ]),
  );
  return results;
}
