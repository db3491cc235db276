import { AppError } from '../errors/app-error.js';
import { MalformedRequestError } from '../errors/errors.js';

const DEPTH_MAX = 64;
/** Fields and items of lists, all together. */
const VALUES_MAX = 50_000;

/**
 * What comes later walks the value, stores it and sends it to others: it must be neither deep nor wide, and it must have a form in JSON,
 * which binary data of a socket has not. The walk keeps a list of its own, so depth costs no stack.
 * @param name for the error: `body`, `event`
 * @throws MalformedRequestError, AppError
 */
export function refuseUnlikeJson(root: unknown, name: string): void {
  const pending: [unknown, number][] = [[root, 0]];
  let values = 0;
  for (let next = pending.pop(); next; next = pending.pop()) {
    const [value, depth] = next;
    if (typeof value !== 'object' || value === null) continue;
    if (ArrayBuffer.isView(value)) throw new MalformedRequestError('Binary data cannot be sent');
    const inner: unknown[] = Array.isArray(value) ? value : Object.values(value);
    values += inner.length;
    if (depth >= DEPTH_MAX) throw new MalformedRequestError(`The ${name} is nested too deeply`, 'body_too_complex');
    if (values > VALUES_MAX) throw new AppError('too_large', 'body_too_complex', `The ${name} has too many values`);
    for (const child of inner) if (typeof child === 'object' && child !== null) pending.push([child, depth + 1]);
  }
}
