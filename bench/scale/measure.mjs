import { setTimeout as delay } from 'node:timers/promises';
import { print, printTable, round } from '../lib/report.mjs';
import { settings } from '../lib/settings.mjs';
import { median, sum } from '../lib/statistics.mjs';
import { row } from '../lib/summary.mjs';
import { memoryOfCrew } from './crew.mjs';
import { LOADS, publishAnywhere, whoAmI } from './loads.mjs';

export const SIZES = [1, 2, 4];

const ROUNDS = Math.min(3, settings.rounds);
/** Of each process: the compiler goes by how often something ran, and on a busy machine seconds say nothing about that. */
const WARM_UP_CALLS = 4_000;
const WARM_UP_STEP_SECONDS = 3;
const WARM_UP_WITHIN_MS = 45_000;
/** The kernel counts processor time in hundredths of a second: what is idle takes long to say something. */
const IDLE_MS = 10_000;
/** What a start leaves to do. */
const SETTLE_MS = 5_000;
const KINDS = {
  node: 'Node',
  primary: 'primary',
  database: 'PostgreSQL',
  redis: 'Redis',
  nginx: 'nginx',
  clients: 'clients',
};

/** Every load of every crew, in turn. */
export async function measureCrews(stage, crews, names = Object.keys(LOADS)) {
  const idle = await measureIdle(crews);
  for (const crew of crews) crew.idleMegabytes = memoryOfCrew(crew);
  for (const crew of crews) await warmUp(stage, crew);
  const results = [];
  for (const name of names) {
    const { unit, measure, before } = LOADS[name];
    for (const crew of crews) {
      crew.rounds = [];
      await before?.(crew);
    }
    for (let i = 0; i < ROUNDS; i++) for (const crew of crews) crew.rounds.push(await measure(stage, crew));
    for (const crew of crews) await crew.subscribers.tell('close');
    results.push(...crews.map((crew) => summaryOf(name, unit, crew, crews[0])));
    printLoad(name, unit, results.slice(-crews.length));
  }
  printIdle(crews, idle);
  const memory = crews.map(({ name, idleMegabytes }) => ({ name, idleMegabytes }));
  return { results, memory, idle, summary: results.map(summarise(crews[0].name)) };
}

async function warmUp(stage, crew) {
  const calls = WARM_UP_CALLS * crew.entrances.length;
  for (const measure of [whoAmI, publishAnywhere]) {
    const end = performance.now() + WARM_UP_WITHIN_MS;
    for (let made = 0; made < calls && performance.now() < end;)
      made += (await measure(stage, crew, WARM_UP_STEP_SECONDS)).perSecond * WARM_UP_STEP_SECONDS;
  }
}

function summaryOf(load, unit, { name, rounds, kinds }, { rounds: reference }) {
  const middle = (read) => median(rounds.map(read));
  const cpu = Object.fromEntries(
    [...Object.keys(kinds), 'clients'].map((kind) => [kind, middle((one) => one.cpu[kind])]),
  );
  return {
    ...{ load, unit, name, cpu },
    perSecond: middle((one) => one.perSecond),
    ratio: median(rounds.map((one, i) => one.perSecond / reference[i].perSecond)),
    p50: middle((one) => one.p50),
    p99: middle((one) => one.p99),
    rounds,
  };
}

function printLoad(load, unit, sides) {
  const kinds = Object.keys(KINDS).filter((kind) => sides.some(({ cpu }) => kind in cpu));
  printTable(
    [load, `${unit}/s`, 'ratio', 'p50 ms', 'p99 ms', ...kinds.map((kind) => `${KINDS[kind]} µs`)],
    sides.map(({ name, perSecond, ratio, p50, p99, cpu }) => [
      name,
      ...[round(perSecond), round(ratio, 2), round(p50), round(p99)],
      ...kinds.map((kind) => round(cpu[kind], 1)),
    ]),
  );
  print('');
}

/** What all crews together take of a second while nobody asks: they share the database, so that its part is that of a process. */
async function measureIdle(crews) {
  const processes = crews.reduce((total, { entrances }) => total + entrances.length, 0);
  const read = () => ({ node: sum(crews.map(({ kinds }) => kinds.node())), database: crews[0].kinds.database() });
  await delay(SETTLE_MS);
  const before = read();
  await delay(IDLE_MS);
  const after = read();
  const each = (kind) => (after[kind] - before[kind]) / processes / (IDLE_MS / 1000);
  return { processes, nodeMicroseconds: each('node'), databaseMicroseconds: each('database') };
}

function printIdle(crews, { nodeMicroseconds, databaseMicroseconds }) {
  printTable(
    ['at idle', 'MB of all Node processes'],
    crews.map(({ name, idleMegabytes }) => [name, round(idleMegabytes)]),
  );
  const [node, database] = [nodeMicroseconds, databaseMicroseconds].map((value) => round(value));
  print(`A process that nobody asks takes ${node} µs of a second, and ${database} µs of PostgreSQL's`);
}

const summarise =
  (first) =>
  ({ load, unit, name, perSecond, ratio }) =>
    row(`${load}: ${name}`, { unit: `${unit}/s`, ours: perSecond, ...(name !== first && { ratio }) });
