import { constants, setPriority } from 'node:os';
import { isMainThread } from 'node:worker_threads';
import bcrypt from 'bcryptjs';

// On Linux this sets the priority of the calling thread alone: requests go before. Not the lowest one, by which a machine that is busy
// with requests would hardly hash at all, and nobody could sign in.
try {
  if (!isMainThread) setPriority(constants.priority.PRIORITY_BELOW_NORMAL);
} catch {
  // Without the right to it, hashing runs at the priority of everything else.
}

/**
 * A text that does not belong to `hash` is compared with the `decoys` too, which no text belongs to: for the time that it takes.
 * @param {{ text: string, cost: number } | { text: string, hash: string, decoys: string[] }} task
 * @returns {string | boolean} the hash made, or whether the text belongs to the hash given
 */
export default function run(task) {
  if (!('hash' in task)) return bcrypt.hashSync(task.text, task.cost);
  if (bcrypt.compareSync(task.text, task.hash)) return true;
  for (const decoy of task.decoys) bcrypt.compareSync(task.text, decoy);
  return false;
}
