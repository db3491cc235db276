import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const open = new Set();
const directories = new Set();
let isInterrupted = false;

/** What a case has started and made. All of it is undone, the last first, when the case ends or the run is interrupted. */
export class Stage {
  #steps = [];
  #closing = null;

  constructor() {
    open.add(this);
  }

  /** What an interruption finds half started is undone as soon as it has started. */
  onClose(step) {
    if (!this.#closing) return void this.#steps.push(step);
    this.#closing = this.#closing.then(step);
    throw new Error('Interrupted');
  }

  temporaryDirectory() {
    const directory = mkdtempSync(join(tmpdir(), 'gatehouse-bench-'));
    directories.add(directory);
    // Started by root, PostgreSQL runs as another user, who has to get in.
    chmodSync(directory, 0o711);
    this.onClose(() => remove(directory));
    return directory;
  }

  close() {
    return (this.#closing ??= this.#undo());
  }

  async #undo() {
    for (const step of this.#steps.reverse()) {
      try {
        await step();
      } catch (error) {
        process.stderr.write(`bench: cleaning up failed: ${error}\n`);
      }
    }
    open.delete(this);
  }
}

export const wasInterrupted = () => isInterrupted;

function remove(directory) {
  rmSync(directory, { recursive: true, force: true, maxRetries: 3 });
  directories.delete(directory);
}

// The case that is running fails when what it waits for has gone, and the run ends there; a second Ctrl-C does not wait.
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.on(signal, () => {
    if (isInterrupted) process.exit(130);
    isInterrupted = true;
    for (const stage of open) void stage.close();
  });
}
process.on('exit', () => directories.forEach(remove));
