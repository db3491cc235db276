// What the kernel has counted for a process. Only Linux tells it; elsewhere the values are NaN and are printed as "–".
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

/** The kernel counts in hundredths of a second. */
const MICROSECONDS_A_TICK = 10_000;
const PARENT = 1;
const USER_TICKS = 11;
const SYSTEM_TICKS = 12;
const ENDED_USER_TICKS = 13;
const ENDED_SYSTEM_TICKS = 14;

/** The fields of /proc/<pid>/stat from the third on: the second, the name, may hold anything. */
function statOf(pid) {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return text.slice(text.lastIndexOf(')') + 2).split(' ');
  } catch {
    return null;
  }
}

const cpuIn = (stat) => (stat ? (Number(stat[USER_TICKS]) + Number(stat[SYSTEM_TICKS])) * MICROSECONDS_A_TICK : NaN);

/** Microseconds of processor time of all threads so far. */
export const cpuOf = (pid) => cpuIn(statOf(pid));

/** The same of a process and its children, those that have ended included: a PostgreSQL server with its sessions. */
export function cpuOfFamily(pid) {
  const own = statOf(pid);
  const ended = own ? (Number(own[ENDED_USER_TICKS]) + Number(own[ENDED_SYSTEM_TICKS])) * MICROSECONDS_A_TICK : NaN;
  return childrenOf(pid).reduce((total, child) => total + (cpuOf(child) || 0), cpuIn(own) + ended);
}

export function childrenOf(pid) {
  try {
    const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
    return pids.filter((candidate) => Number(statOf(candidate)?.[PARENT]) === pid).map(Number);
  } catch {
    return [];
  }
}

/** Megabytes that the process alone holds, with its share of what it shares (`Pss`), or all that it has resident (`Rss`). */
export function memoryOf(pid, kind = 'Rss') {
  try {
    const text = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
    return Number(new RegExp(`^${kind}:\\s+(\\d+) kB`, 'm').exec(text)?.[1]) / 1024;
  } catch {
    return NaN;
  }
}

/** What processes that share much of what they hold cost together, their children's included: a PostgreSQL server. */
export const memoryOfFamily = (pid) =>
  [pid, ...offspringOf(pid)].reduce((total, member) => total + (memoryOf(member, 'Pss') || 0), 0);

export const offspringOf = (pid) => childrenOf(pid).flatMap((child) => [child, ...offspringOf(child)]);

const LOOK_MS = 500;
/** Looks that have to agree. */
const STEADY_LOOKS = 5;
const STEADY_SHARE = 0.005;
const STEADY_WITHIN_MS = 60_000;

/** What is resident when it no longer changes, before and after the process (`collect-on-signal.mjs`) has given back what nobody needs. */
export async function settledMemoryOf(pid) {
  const before = await steadyMemoryOf(pid);
  process.kill(pid, 'SIGUSR2');
  return { before, megabytes: await steadyMemoryOf(pid) };
}

async function steadyMemoryOf(pid) {
  const looks = [];
  for (const end = performance.now() + STEADY_WITHIN_MS; performance.now() < end; await delay(LOOK_MS)) {
    looks.push(memoryOf(pid));
    const last = looks.slice(-STEADY_LOOKS);
    if (last.length === STEADY_LOOKS && Math.max(...last) - Math.min(...last) < STEADY_SHARE * last[0]) break;
  }
  return looks.at(-1);
}

/** What a piece of work costs a process: seconds of processor time, and the most that it has resident meanwhile. */
export async function usageDuring({ pid }, work) {
  restartPeak(pid);
  const before = cpuOf(pid);
  const result = await work();
  return { ...result, cpuSeconds: (cpuOf(pid) - before) / 1e6, peakMegabytes: peakOf(pid) };
}

const RESTART_PEAK = '5';

function restartPeak(pid) {
  try {
    writeFileSync(`/proc/${pid}/clear_refs`, RESTART_PEAK);
  } catch {
    // No such file: no peak either.
  }
}

function peakOf(pid) {
  try {
    return Number(/^VmHWM:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024;
  } catch {
    return NaN;
  }
}
