import Table from 'cli-table3';
import type { Result, State } from './check.js';

const MARKS: Record<State, string> = { ok: 'ok', warning: 'warning', problem: 'PROBLEM', skipped: '–' };
const COLOURS: Record<State, number> = { ok: 32, warning: 33, problem: 31, skipped: 90 };
const STATE_WIDTH = 9;
const CHECK_WIDTH = 16;
const BORDERS = 4;
const WIDTH_MIN = 60;
const WIDTH_MAX = 120;

export interface Appearance {
  readonly columns: number;
  readonly hasColour: boolean;
}

const count = (results: readonly Result[], state: State) => results.filter((result) => result.state === state).length;

/** For people. */
export function renderTable(results: readonly Result[], { columns, hasColour }: Appearance): string {
  const width = Math.max(WIDTH_MIN, Math.min(columns, WIDTH_MAX)) - STATE_WIDTH - CHECK_WIDTH - BORDERS;
  const table = new Table({
    head: ['state', 'check', 'finding'],
    colWidths: [STATE_WIDTH, CHECK_WIDTH, width],
    wordWrap: true,
    style: { head: [], border: [] },
  });
  for (const { state, check, summary, advice } of results) {
    const mark = hasColour ? `\u001b[${COLOURS[state]}m${MARKS[state]}\u001b[39m` : MARKS[state];
    table.push([mark, check, advice ? `${summary}\n→ ${advice}` : summary]);
  }
  return `${table.toString()}\n${conclusion(results)}\n`;
}

function conclusion(results: readonly Result[]): string {
  const [problems, warnings] = [count(results, 'problem'), count(results, 'warning')];
  if (problems + warnings === 0) return 'Everything is in order.';
  return `${plural(problems, 'problem')}, ${plural(warnings, 'warning')}.`;
}

const plural = (number: number, word: string) => `${number} ${word}${number === 1 ? '' : 's'}`;

/** For programs. */
export function renderJson(results: readonly Result[], version: string): string {
  const document = {
    version,
    healthy: count(results, 'problem') === 0,
    problems: count(results, 'problem'),
    warnings: count(results, 'warning'),
    checks: results.map(({ check, state, summary, advice = null }) => ({ check, state, summary, advice })),
  };
  return `${JSON.stringify(document, null, 2)}\n`;
}
