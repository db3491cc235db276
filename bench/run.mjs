// `npm run bench [-- name…]`: runs the cases, prints medians and ratios, writes bench/results/<name>.json. Asserts nothing.
import { parseArgs } from 'node:util';
import { describeMachine, print, writeResult } from './lib/report.mjs';
import { settings } from './lib/settings.mjs';
import { Stage, wasInterrupted } from './lib/stage.mjs';

const CASES = [
  ...['who-am-i', 'login', 'register', 'list-users', 'start'],
  ...['upload', 'upload-many', 'upload-small', 'download', 'list-files', 'list-admin'],
  ...['broadcast-fan-out', 'broadcast-publish', 'broadcast-reconnect'],
];

const { positionals } = parseArgs({ allowPositionals: true });
const unknown = positionals.filter((name) => !CASES.includes(name));
if (unknown.length > 0) {
  print(`No such case: ${unknown.join(', ')}. There are ${CASES.join(', ')}.`);
  process.exit(2);
}

print(`${describeMachine()}\nSettings: ${JSON.stringify(settings)}`);
let failed = false;
for (const name of positionals.length > 0 ? positionals : CASES) {
  print(`\n## ${name}\n`);
  const stage = new Stage();
  try {
    const { run } = await import(`./cases/${name}.mjs`);
    const result = await run(stage);
    print(`\nwritten to ${writeResult(name, result)}`);
  } catch (error) {
    failed = true;
    if (!wasInterrupted()) print(`${name} failed: ${error instanceof Error ? error.stack : String(error)}`);
  } finally {
    await stage.close();
  }
  if (wasInterrupted()) process.exit(130);
}
process.exit(failed ? 1 : 0);
