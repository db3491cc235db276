import { spawnSync } from 'node:child_process';
import { availableParallelism, cpus, loadavg, totalmem } from 'node:os';

let postgres = null;

/** Whoever starts a database server says what it is. */
export const noteDatabase = (version) => void (postgres = version);

const loadAtStart = loadavg()[0];

/** Where a figure comes from. */
export const machine = () => ({
  cores: availableParallelism(),
  model: cpus()[0]?.model.trim() ?? 'unknown',
  memoryGigabytes: Math.round(totalmem() / 2 ** 30),
  node: process.versions.node,
  postgres,
  commit: commit(),
  loadAtStart,
});

export function describeMachine() {
  const { cores, model, memoryGigabytes, node } = machine();
  return [
    `${new Date().toISOString()} · ${cores} cores (${model}) · ${memoryGigabytes} GB · Node ${node}`,
    `Server, database and load generator share the cores. Load average at the start: ${loadAtStart.toFixed(2)}`,
  ].join('\n');
}

const HERE = 'bench/lib/';
const IS_CHANGED = 1;

/** With a `+` where sources have been changed since; absent outside the program's own repository (a copy may lie in another one). */
function commit() {
  const git = (...args) => spawnSync('git', args, { cwd: import.meta.dirname, encoding: 'utf8' });
  if (git('rev-parse', '--show-prefix').stdout?.trim() !== HERE) return undefined;
  const { status, stdout } = git('rev-parse', '--short', 'HEAD');
  if (status !== 0) return undefined;
  const changes = git('diff', '--quiet', 'HEAD', '--', ':/src', ':/migrations');
  return stdout.trim() + (changes.status === IS_CHANGED ? '+' : '');
}
