import { fork } from 'node:child_process';
import { join } from 'node:path';

const BENCH = join(import.meta.dirname, '..');

/** Sends requests from a process of its own, the same for whoever is measured. Jobs: see `load-process.mjs`. */
export const load = (stage, kind, options, signal) =>
  runProcess(stage, 'lib/load-process.mjs', { kind, options }, signal);

/** Sends or receives large bodies, likewise. Jobs: see `transfer-process.mjs`. */
export const transfer = (stage, kind, options) => runProcess(stage, 'lib/transfer-process.mjs', { kind, options });

/** What bcryptjs does on all cores with no server around it. */
export const plainHashRate = (stage, options) => runProcess(stage, 'baselines/hash-rate.mjs', options);

/** A signal tells the process to come to an end with what it has. */
function runProcess(stage, file, message, signal) {
  return new Promise((resolve, reject) => {
    const child = fork(join(BENCH, file), { detached: true });
    stage.onClose(() => child.kill());
    child.once('message', resolve);
    child.once('exit', (code) => reject(new Error(`${file} ended with ${code} and no result`)));
    child.send(message);
    signal?.addEventListener('abort', () => child.connected && child.send('stop'));
  });
}
