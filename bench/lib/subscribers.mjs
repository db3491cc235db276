import { fork } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** What a server has open besides: database, log, HTTP. */
const OTHER_FILES = 500;

/** A process full of subscribers. */
export function startSubscribers(stage) {
  const child = fork(join(import.meta.dirname, 'subscribers-process.mjs'), { detached: true });
  stage.onClose(() => child.kill());
  return new Subscribers(child);
}

class Subscribers {
  #child;
  #waiting = new Map();
  #lastId = 0;

  constructor(child) {
    this.#child = child;
    child.on('message', ({ id, result, error }) => {
      const { resolve, reject } = this.#waiting.get(id);
      this.#waiting.delete(id);
      if (error) reject(new Error(error));
      else resolve(result);
    });
    child.once('exit', (code) => {
      for (const { reject } of this.#waiting.values()) reject(new Error(`The subscribers' process ended with ${code}`));
    });
  }

  get pid() {
    return this.#child.pid;
  }

  /** Jobs: see `subscribers-process.mjs`. */
  tell(kind, options) {
    const id = ++this.#lastId;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#child.send({ id, kind, options }, (error) => error && reject(error));
    });
  }
}

/** A process raises its own limit as far as it may; this is how far. @throws when that is not enough for so many sockets */
export function insistOnOpenFiles(sockets) {
  const needed = sockets + OTHER_FILES;
  const limit = openFilesLimit();
  if (limit < needed) throw new Error(`${sockets} sockets take \`ulimit -Hn ${needed}\`; it is ${limit} here`);
}

function openFilesLimit() {
  try {
    return Number(/^Max open files\s+\d+\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1] ?? Infinity);
  } catch {
    return Infinity;
  }
}
