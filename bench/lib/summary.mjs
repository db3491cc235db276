import { formatTable, print, printTable, readResult, resultNames, writeResult } from './report.mjs';
import { isSmoke } from './settings.mjs';

const SUMMARY = 'summary';

/** What an aim is held against, and how it is written. */
export const atLeast = (of, value) => ({ of, sign: '≥', value });
export const atMost = (of, value) => ({ of, sign: '≤', value });

/**
 * One line of the table at the end of a run.
 *
 * @param facts `ours` and `beside` in `unit`; `by`: whose `beside` is; `ratio`, as the case defines it
 * @param aims of `ours` or `ratio`
 */
export function row(what, facts, ...aims) {
  const hasMissed = aims.some(({ of, sign, value }) => (sign === '≥' ? !(facts[of] >= value) : !(facts[of] <= value)));
  return { what, ...facts, aims, isMet: aims.length > 0 ? !hasMissed : null };
}

/** Three digits that say something. */
export function brief(value) {
  if (!Number.isFinite(value)) return '–';
  if (value === 0) return '0';
  const size = Math.abs(value);
  return value.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : 2);
}

const describeAim = ({ unit }, { of, sign, value }) =>
  of === 'ratio' ? `${sign} ${value}` : `${sign} ${value.toLocaleString('en')} ${unit}`.trimEnd();

const describeBeside = ({ beside, by }) => (by ? `${brief(beside)} (${by})` : '');

const HEAD = ['', 'Gatehouse', 'beside it', 'ratio', 'aim', 'met'];

const cellsOf = (one) => [
  one.what,
  `${brief(one.ours)} ${one.unit}`.trimEnd(),
  describeBeside(one),
  one.ratio === undefined ? '' : brief(one.ratio),
  one.aims.map((aim) => describeAim(one, aim)).join(', '),
  one.isMet === null ? '' : one.isMet ? 'yes' : 'no',
];

export function printSummary(rows) {
  if (rows.length === 0) return;
  print('\n## Summary\n');
  printTable(HEAD, rows.map(cellsOf));
}

/** The same of the last summary, for a document: what a run that was too small has found is left out. */
export function describeSummary() {
  const rows = (readResult(SUMMARY)?.rows ?? []).filter((one) => one.isSmoke === false);
  if (rows.length === 0) return 'The last summary has no case that was run with at least the settings of `--quick`.';
  const dated = rows.map((one) => [...cellsOf(one), `${one.at.slice(0, 10)}, ${one.rounds}`]);
  return formatTable([...HEAD, 'date, rounds'], dated);
}

/** The last rows of every case that has run here, each with its date: a run of some cases leaves those of the others. */
export function writeSummary() {
  const results = resultNames()
    .filter((name) => name !== SUMMARY)
    .map((name) => ({ name, ...readResult(name) }));
  const rows = results.flatMap(({ name, at, settings, summary = [] }) =>
    summary.map((one) => ({ case: name, at, rounds: settings.rounds, isSmoke: isSmoke(settings), ...one })),
  );
  return writeResult(SUMMARY, { rows });
}
