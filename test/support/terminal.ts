import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { tmpdir } from 'node:os';
import { CLI } from './program.js';

/** Whether there is `script` (util-linux), which makes a terminal for a program. */
export const hasTerminals = spawnSync('script', ['-qec', 'true', '/dev/null']).status === 0;

const quoted = (text: string) => `'${text.replaceAll("'", `'\\''`)}'`;

/** The program on a terminal of its own. */
export class Terminal {
  private shown = '';
  private readonly child: ChildProcess;
  private readonly ended: Promise<number | null>;

  constructor(environment: Record<string, string>, args: string[]) {
    const command = [process.execPath, CLI, ...args].map(quoted).join(' ');
    this.child = spawn('script', ['-qec', command, '/dev/null'], {
      cwd: tmpdir(),
      env: { PATH: process.env.PATH ?? '', HOME: process.env.HOME ?? '/', TERM: 'xterm', ...environment },
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    this.ended = new Promise((resolve) => this.child.on('close', (code) => resolve(code)));
  }

  /** Types an answer each time that the program asks. */
  async answer(question: RegExp, answers: string[] = []): Promise<{ code: number | null; shown: string }> {
    const rest = [...answers];
    let asked = '';
    this.child.stdout?.on('data', (chunk: Buffer) => {
      this.shown += chunk.toString();
      asked += chunk.toString();
      if (!question.test(asked)) return;
      asked = '';
      this.child.stdin?.write(`${rest.shift() ?? ''}\r`);
    });
    const code = await this.ended;
    return { code, shown: this.shown };
  }
}
