// Which results the model computes with: how large their runs were, when, and how busy the machine was.
import { formatTable, readResult, round } from './report.mjs';
import { isSmoke } from './settings.mjs';

/** The settings that a case goes by, besides its rounds. */
const SIZES = {
  'who-am-i': ['seconds', 'connections'],
  login: ['hashSeconds', 'loginsInFlight', 'bcryptCost'],
  'list-admin': ['users', 'files', 'samples'],
  'upload-small': ['seconds'],
  memory: ['seconds', 'sockets'],
  'broadcast-publish': ['seconds'],
  'broadcast-fan-out': ['sockets'],
  'broadcast-reconnect': ['sockets'],
  'scale-redis': ['seconds', 'connections'],
  'scale-workers': ['seconds', 'connections', 'sockets'],
  'scale-nodes': ['seconds', 'connections', 'sockets'],
};

function sourcesOf(evidence) {
  const names = [...new Set(Object.values(evidence).map(({ source }) => source))];
  return names.map((name) => ({ name, ...readResult(name) })).filter(({ at }) => at !== undefined);
}

/** Cases whose last run was too small to say how fast anything is. */
export const smokeAmong = (evidence) =>
  sourcesOf(evidence)
    .filter(({ settings }) => isSmoke(settings))
    .map(({ name }) => name);

export function describeSources(evidence) {
  const sources = sourcesOf(evidence);
  if (sources.length === 0) return 'Nothing has been measured here yet.';
  const newestFirst = sources.toSorted((a, b) => b.at.localeCompare(a.at));
  // Results from before the machine was told apart are a line of text.
  const { machine } = newestFirst.find((one) => typeof one.machine === 'object') ?? {};
  const rows = sources.map((one) => [
    `\`${one.name}\``,
    one.at.slice(0, 10),
    one.results?.[0]?.rounds?.length ?? 1,
    describeSizes(one),
    round(loadOf(one), 1),
    machineOf(one).commit ?? '',
    isSmoke(one.settings) ? 'yes' : '',
  ]);
  const table = formatTable(
    ['case', 'date', 'rounds', 'sizes', 'load at the start', 'commit', 'smaller than `--quick`'],
    rows,
  );
  return machine ? `${describeMachine(machine)}\n\n${table}` : table;
}

function describeMachine({ cores, model, memoryGigabytes, node, postgres }) {
  const versions = [`Node ${node}`, postgres && `PostgreSQL ${postgres}`].filter(Boolean).join(', ');
  return `Measured on ${cores} cores (${model}) with ${memoryGigabytes} GB, ${versions}.`;
}

const describeSizes = ({ name, settings }) =>
  (SIZES[name] ?? []).map((key) => `${key} ${settings[key]?.toLocaleString('en') ?? '–'}`).join(', ');

const machineOf = ({ machine }) => (typeof machine === 'object' ? machine : {});
const loadOf = ({ machine }) =>
  Number(typeof machine === 'string' ? /start: ([\d.]+)/.exec(machine)?.[1] : machine.loadAtStart);
