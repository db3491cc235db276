import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Program, temporaryDataDir } from '../support/program.js';

const README = readFileSync(join(__dirname, '../../README.md'), 'utf8');

/** What differs from one run to the next. */
const masked = (text: string) =>
  text.replace(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, 'ID').replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, 'TIME');

interface Step {
  command: string;
  output: string;
}

function session(): Step[] {
  const [, text] = /<!-- session -->\s*```console\n([\s\S]*?)```/.exec(README) ?? [];
  return text
    .split(/^\$ /m)
    .slice(1)
    .map((step) => ({ command: step.split('\n')[0], output: step.split('\n').slice(1).join('\n').trim() }));
}

it('the session in the README runs as it is printed', async () => {
  const data = temporaryDataDir();
  const program = new Program({ PORT: '0', DATA_DIR: data.path });
  try {
    const [, url] = await program.says(/listening on (http:\S+)/);
    const steps = session();
    expect(steps).toHaveLength(5);
    // One shell, because the session keeps a variable; a line of its own ends each answer.
    const script = steps
      .map(({ command }) => `${command.replaceAll('http://localhost:8000', url)}; printf '\\n<end of step>\\n'`)
      .join('\n');
    const { stdout } = await promisify(execFile)('bash', ['-c', script]);
    const outputs = stdout.split('<end of step>\n').slice(0, -1);
    expect(outputs.map((output) => masked(output.trim()))).toEqual(steps.map(({ output }) => masked(output)));
  } finally {
    program.signal('SIGTERM');
    expect((await program.exit()).code).toBe(0);
    data.remove();
  }
});
