import { mkdirSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus, loadavg, totalmem } from 'node:os';
import { join, relative } from 'node:path';
import { settings } from './settings.mjs';

const RESULTS = join(import.meta.dirname, '../results');

export const print = (text) => void process.stdout.write(`${text}\n`);

export function describeMachine() {
  const memory = Math.round(totalmem() / 2 ** 30);
  return [
    `${new Date().toISOString()} · ${availableParallelism()} cores (${cpus()[0]?.model.trim()}) · ${memory} GB · Node ${process.versions.node}`,
    `Server, database and load generator share the cores. Load average at the start: ${loadavg()[0].toFixed(2)}`,
  ].join('\n');
}

export const round = (value, digits = 0) => (Number.isFinite(value) ? value.toFixed(digits) : '–');
export const ratio = (value, reference) => round(value / reference, 2);

/** A Markdown table; the first column is text, the others are numbers. */
export function printTable(head, rows) {
  const lines = [head, ...rows].map((cells) => cells.map(String));
  const widths = head.map((_, column) => Math.max(...lines.map((cells) => cells[column].length)));
  const line = (cells) =>
    `| ${cells.map((cell, i) => (i ? cell.padStart(widths[i]) : cell.padEnd(widths[i]))).join(' | ')} |`;
  const rule = `| ${widths.map((width, i) => (i ? `${'-'.repeat(width - 1)}:` : '-'.repeat(width))).join(' | ')} |`;
  print([line(lines[0]), rule, ...lines.slice(1).map(line)].join('\n'));
}

export function writeResult(name, result) {
  mkdirSync(RESULTS, { recursive: true });
  const file = join(RESULTS, `${name}.json`);
  const context = { at: new Date().toISOString(), machine: describeMachine(), settings };
  writeFileSync(file, `${JSON.stringify({ ...context, ...result }, null, 2)}\n`);
  return relative(process.cwd(), file);
}
