import type { IncomingMessage } from 'node:http';
import { isPercentEncodedUtf8 } from './percent-encoding.js';

export const API_PREFIX = '/api/v1';
const ROOT_PATH = /^\/(auth|users)(?=[/?]|$)/;
/** Nobody's route, so that the request takes the way of an unknown one, through all hooks. */
const MALFORMED_PATH = '/.malformed';

const rootRequests = new WeakSet<IncomingMessage>();
const malformedRequests = new WeakSet<IncomingMessage>();

/** Whether the request came by a path of the root dialect. */
export const isRootDialect = (request: IncomingMessage): boolean => rootRequests.has(request);

/** Whether the request's path was not percent-encoded UTF-8. */
export const hasMalformedPath = (request: IncomingMessage): boolean => malformedRequests.has(request);

/**
 * What the router gets to see. `/auth/…` and `/users/…` without the prefix are the same routes. A path that cannot be decoded would be
 * answered by the router itself, without headers, limit and log: it is sent the way of an unknown route instead.
 */
export function rewriteUrl(request: IncomingMessage): string {
  const url = withoutOrigin(request.url ?? '/');
  if (!isPercentEncodedUtf8(url.split('?')[0])) {
    malformedRequests.add(request);
    return MALFORMED_PATH;
  }
  if (!ROOT_PATH.test(url)) return url;
  rootRequests.add(request);
  return API_PREFIX + url;
}

/** A request target may be a whole URL (RFC 9112, section 3.2.2). */
const withoutOrigin = (target: string) => target.replace(/^https?:\/\/[^/?#]*/i, '') || '/';
