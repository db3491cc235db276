// Hashes what is in open files: descriptors are the process's, so a worker reads what the main thread has just written, from the
// kernel's cache, and no bytes travel between threads.
import { createHash } from 'node:crypto';
import { readSync } from 'node:fs';
import { parentPort } from 'node:worker_threads';

const block = Buffer.allocUnsafeSlow(256 * 1024);
/** @type {Map<string, import('node:crypto').Hash>} */
const hashes = new Map();

/** @param {{ id: string, fd: number, from: number, to: number }} task */
function take({ id, fd, from, to }) {
  let hash = hashes.get(id);
  if (!hash) hashes.set(id, (hash = createHash('sha256')));
  for (let position = from; position < to;) {
    const bytesRead = readSync(fd, block, 0, Math.min(block.length, to - position), position);
    if (bytesRead === 0) throw new Error(`the file ends at ${position}, before ${to}`);
    hash.update(block.subarray(0, bytesRead));
    position += bytesRead;
  }
}

/** @param {{ id: string }} task */
function digest({ id }) {
  const hash = hashes.get(id) ?? createHash('sha256');
  hashes.delete(id);
  return hash.digest('hex');
}

const actions = /** @type {Record<string, (task: any) => string | void | boolean>} */ ({
  take,
  digest,
  forget: ({ id }) => hashes.delete(id),
});

parentPort?.on('message', ({ call, action, ...task }) => {
  try {
    parentPort?.postMessage({ call, result: String(actions[action](task)) });
  } catch (error) {
    parentPort?.postMessage({ call, error: error instanceof Error ? error.message : String(error) });
  }
});
