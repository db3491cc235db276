import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { machine } from './machine.mjs';
import { isSmoke, settings } from './settings.mjs';

/** What a small run finds is kept apart: nothing is computed from it by mistake. */
const RESULTS = process.env.BENCH_RESULTS
  ? resolve(process.env.BENCH_RESULTS)
  : join(import.meta.dirname, '../results', isSmoke(settings) ? 'smoke' : '');
const EXTENSION = '.json';

export const print = (text) => void process.stdout.write(`${text}\n`);

export const round = (value, digits = 0) => (Number.isFinite(value) ? value.toFixed(digits) : '–');
export const ratio = (value, reference) => round(value / reference, 2);

/** A Markdown table; the first column is text, the others are numbers. */
export function formatTable(head, rows) {
  const lines = [head, ...rows].map((cells) => cells.map(String));
  const widths = head.map((_, column) => Math.max(...lines.map((cells) => cells[column].length)));
  const line = (cells) =>
    `| ${cells.map((cell, i) => (i ? cell.padStart(widths[i]) : cell.padEnd(widths[i]))).join(' | ')} |`;
  const rule = `| ${widths.map((width, i) => (i ? `${'-'.repeat(width - 1)}:` : '-'.repeat(width))).join(' | ')} |`;
  return [line(lines[0]), rule, ...lines.slice(1).map(line)].join('\n');
}

export const printTable = (head, rows) => print(formatTable(head, rows));

export function writeResult(name, result) {
  mkdirSync(RESULTS, { recursive: true });
  const file = join(RESULTS, name + EXTENSION);
  const context = { at: new Date().toISOString(), machine: machine(), settings };
  writeFileSync(file, `${JSON.stringify({ ...context, ...result }, null, 2)}\n`);
  return relative(process.cwd(), file);
}

/** The last result of a case; `null` where it has never run. */
export function readResult(name) {
  try {
    return JSON.parse(readFileSync(join(RESULTS, name + EXTENSION), 'utf8'));
  } catch (error) {
    if (error.code === 'ENOENT') return null;
    throw error;
  }
}

/** Of all cases that have ever run here. */
export function resultNames() {
  mkdirSync(RESULTS, { recursive: true });
  return readdirSync(RESULTS)
    .filter((file) => file.endsWith(EXTENSION))
    .map((file) => file.slice(0, -EXTENSION.length));
}
