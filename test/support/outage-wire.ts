import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface, type Interface } from 'node:readline';

const PROGRAM = join(__dirname, 'outage-wire-process.mjs');

/** A line to a server that can be swallowed, as when a machine or a network dies without a word. */
export class Wire {
  private constructor(
    private readonly process: ChildProcess,
    private readonly lines: Interface,
    readonly port: number,
  ) {}

  static async to(port: number): Promise<Wire> {
    const child = spawn(process.execPath, [PROGRAM, String(port)], { stdio: ['pipe', 'pipe', 'inherit'] });
    const lines = createInterface(child.stdout);
    const [own] = (await once(lines, 'line')) as [string];
    return new Wire(child, lines, Number(own));
  }

  /** What is connected hears nothing any more, ever; what connects from now on neither. */
  swallow(): Promise<void> {
    return this.tell('swallow');
  }

  /** For those that connect from now on. */
  restore(): Promise<void> {
    return this.tell('restore');
  }

  async close(): Promise<void> {
    const ended = once(this.process, 'exit');
    this.process.stdin?.end();
    await ended;
  }

  private async tell(line: string): Promise<void> {
    const done = once(this.lines, 'line');
    this.process.stdin?.write(`${line}\n`);
    await done;
  }
}
