import { AppError } from '../../common/errors/app-error.js';
import { MalformedRequestError } from '../../common/errors/errors.js';

/** As for the bodies of requests. */
const DEPTH_MAX = 64;
const VALUES_MAX = 50_000;

/**
 * Socket.IO brings JSON of any depth, and binary data, which has no form in JSON: what comes later walks the value, stores it and sends it
 * to others. The walk keeps a list of its own, so depth costs no stack.
 * @throws MalformedRequestError, AppError
 */
export function refuseUnlikeJson(payload: readonly unknown[]): void {
  const pending: [unknown, number][] = payload.map((value) => [value, 0]);
  let values = 0;
  for (let next = pending.pop(); next; next = pending.pop()) {
    const [value, depth] = next;
    if (typeof value !== 'object' || value === null) continue;
    if (ArrayBuffer.isView(value)) throw new MalformedRequestError('Binary data cannot be sent');
    const inner: unknown[] = Array.isArray(value) ? value : Object.values(value);
    values += inner.length;
    if (depth >= DEPTH_MAX) throw new MalformedRequestError('The event is nested too deeply', 'body_too_complex');
    if (values > VALUES_MAX) throw new AppError('too_large', 'body_too_complex', 'The event has too many values');
    for (const child of inner) if (typeof child === 'object' && child !== null) pending.push([child, depth + 1]);
  }
}
