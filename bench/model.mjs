// `npm run bench:model [-- --write]`: the arithmetic of docs/scaling.md from the last results; `--write` puts it there, and the summary
// of the last results into bench/README.md.
import { readFileSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { parseArgs } from 'node:util';
import { collectEvidence } from './lib/evidence.mjs';
import { describeModel } from './lib/model.mjs';
import { print } from './lib/report.mjs';
import { describeSources, smokeAmong } from './lib/sources.mjs';
import { describeSummary } from './lib/summary.mjs';

const SCALING = join(import.meta.dirname, '../docs/scaling.md');
const README = join(import.meta.dirname, 'README.md');

const { values } = parseArgs({ options: { write: { type: 'boolean' } } });
const evidence = collectEvidence();
const figures = Object.values(evidence);
const model = `${describeSources(evidence)}\n\n${describeModel(evidence)}`;
const missing = figures.filter(({ value }) => !Number.isFinite(value));
for (const { from } of missing) process.stderr.write(`not measured yet: ${from}\n`);
const smoke = smokeAmong(evidence);
const advice = adviceOn(smoke);
if (!values.write) {
  print(model);
  if (advice) process.stderr.write(`${advice}\n`);
} else if (advice) {
  process.stderr.write(`Nothing was written. ${advice}\n`);
  process.exitCode = 1;
} else {
  replace(SCALING, 'model', model);
  replace(README, 'summary', describeSummary());
}

/** Why nothing should be written; null where all is well. What is missing by itself prints as "–". */
function adviceOn(small) {
  if (missing.length === figures.length) return 'no results';
  return small.length > 0 ? `smaller than --quick: ${small.join(', ')}; run them again` : null;
}

/** What stands in a document between the two markers of that name. */
function replace(file, name, text) {
  const begin = `<!-- ${name}: begin, written by \`npm run bench:model -- --write\` -->`;
  const end = `<!-- ${name}: end -->`;
  const document = readFileSync(file, 'utf8');
  const [from, to] = [document.indexOf(begin), document.indexOf(end)];
  if (from < 0 || to < from) throw new Error(`${file} has no place for it between ${begin} and ${end}`);
  writeFileSync(file, `${document.slice(0, from + begin.length)}\n\n${text}\n\n${document.slice(to)}`);
  print(`written to ${relative(process.cwd(), file)}`);
}
