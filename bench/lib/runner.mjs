import { describeMachine } from './machine.mjs';
import { print, round, writeResult } from './report.mjs';
import { settings } from './settings.mjs';
import { Stage, wasInterrupted } from './stage.mjs';
import { printSummary, writeSummary } from './summary.mjs';

/** Runs cases one after the other, prints what each has found and all of it at the end. Asserts nothing. @returns the exit code */
export async function runCases(names, { importCase, fileOf = (name) => name }) {
  print(`${describeMachine()}\nSettings: ${JSON.stringify(settings)}`);
  const rows = [];
  const failures = [];
  for (const name of names) {
    print(`\n## ${name}\n`);
    const stage = new Stage();
    const startedAt = performance.now();
    try {
      const { run } = await importCase(name);
      const result = await run(stage);
      const seconds = (performance.now() - startedAt) / 1000;
      print(`\n${round(seconds)} s, written to ${writeResult(fileOf(name), { seconds, ...result })}`);
      rows.push(...(result.summary ?? []));
    } catch (error) {
      failures.push(name);
      if (!wasInterrupted()) print(`${name} failed: ${error instanceof Error ? error.stack : String(error)}`);
    } finally {
      await stage.close();
    }
    if (wasInterrupted()) return 130;
  }
  printSummary(rows);
  print(`\nwritten to ${writeSummary()}`);
  if (failures.length > 0) print(`failed: ${failures.join(', ')}`);
  return failures.length > 0 ? 1 : 0;
}
