// `npm run bench:model [-- --write]`: the arithmetic of docs/scaling.md from the last results; `--write` puts it there.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { collectEvidence, describeSources } from './lib/evidence.mjs';
import { describeModel } from './lib/model.mjs';
import { print } from './lib/report.mjs';

const DOCUMENT = join(import.meta.dirname, '../docs/scaling.md');
const BEGIN = '<!-- model: begin, written by `npm run bench:model -- --write` -->';
const END = '<!-- model: end -->';

const { values } = parseArgs({ options: { write: { type: 'boolean' } } });
const evidence = collectEvidence();
const text = `${describeSources(evidence)}\n\n${describeModel(evidence)}`;
if (values.write) {
  const document = readFileSync(DOCUMENT, 'utf8');
  const [from, to] = [document.indexOf(BEGIN), document.indexOf(END)];
  if (from < 0 || to < from) throw new Error(`${DOCUMENT} has no place for it between ${BEGIN} and ${END}`);
  writeFileSync(DOCUMENT, `${document.slice(0, from + BEGIN.length)}\n\n${text}\n\n${document.slice(to)}`);
} else {
  print(text);
}
const missing = Object.values(evidence).filter(({ value }) => !Number.isFinite(value));
for (const { from } of missing) process.stderr.write(`not measured yet: ${from}\n`);
