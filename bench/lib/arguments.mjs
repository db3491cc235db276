import { parseArgs } from 'node:util';
import { print } from './report.mjs';

/** The names that the command line asks for, all of `cases` without one. Ends the program for `--list` and for what there is not. */
export function chosenFrom(cases, usage) {
  const { values, positionals } = parse(usage);
  if (values.list) {
    const width = Math.max(...Object.keys(cases).map((name) => name.length));
    for (const [name, about] of Object.entries(cases)) print(`${name.padEnd(width)}  ${about}`);
    process.exit(0);
  }
  const unknown = positionals.filter((name) => !Object.hasOwn(cases, name));
  if (unknown.length > 0) fail(`No such case: ${unknown.join(', ')}. There are ${Object.keys(cases).join(', ')}.`);
  return positionals.length > 0 ? positionals : Object.keys(cases);
}

function parse(usage) {
  try {
    return parseArgs({ allowPositionals: true, options: { list: { type: 'boolean' }, quick: { type: 'boolean' } } });
  } catch (error) {
    return fail(`${error.message}\n${usage}`);
  }
}

function fail(message) {
  process.stderr.write(`${message}\n`);
  process.exit(2);
}
