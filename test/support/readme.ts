import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

export const README = readFileSync(join(__dirname, '../../README.md'), 'utf8');

/** What differs from one run to the next. */
export const masked = (text: string) =>
  text.replace(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, 'ID').replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, 'TIME');

export interface Step {
  command: string;
  output: string;
}

/** The steps of the block between `<!-- name -->` and its end. */
export function session(name: string): Step[] {
  const [, text] = new RegExp(`<!-- ${name} -->\\s*\`\`\`console\\n([\\s\\S]*?)\`\`\``).exec(README) ?? [];
  if (!text) throw new Error(`the README has no session ${name}`);
  return text
    .split(/^\$ /m)
    .slice(1)
    .map((step) => ({ command: step.split('\n')[0], output: step.split('\n').slice(1).join('\n').trim() }));
}

/** What stands in the block of another language between `<!-- name -->` and its end. */
export function block(name: string, language: string): string {
  const [, text] = new RegExp(`<!-- ${name} -->\\s*\`\`\`${language}\\n([\\s\\S]*?)\`\`\``).exec(README) ?? [];
  if (!text) throw new Error(`the README has no ${name}`);
  return text;
}

/** Runs them in one shell, because a session keeps variables and files; a line of its own ends each answer. */
export async function outputsOf(
  steps: Step[],
  url: string,
  variables: Record<string, string> = {},
  cwd?: string,
): Promise<string[]> {
  const directory = cwd ?? mkdtempSync(join(tmpdir(), 'gatehouse-readme-'));
  const script = steps
    .map(({ command }) => `${command.replaceAll('http://localhost:8000', url)}; printf '\\n<end of step>\\n'`)
    .join('\n');
  try {
    const env = { ...process.env, ...variables };
    const { stdout } = await promisify(execFile)('bash', ['-c', script], { cwd: directory, env });
    return stdout
      .split('<end of step>\n')
      .slice(0, -1)
      .map((output) => masked(output.trim()));
  } finally {
    if (!cwd) rmSync(directory, { recursive: true });
  }
}

export const printed = (steps: Step[]) => steps.map(({ output }) => masked(output));
