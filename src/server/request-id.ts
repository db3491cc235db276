import { randomFillSync } from 'node:crypto';
import { v7 as uuidv7 } from 'uuid';

const ID_BYTES = 16;
/** One call for randomness serves so many ids; a call for each was 2 % of a request. */
const POOL = new Uint8Array(ID_BYTES * 256);
let used = POOL.length;

/** An id for a request, sortable by time (UUIDv7). */
export function newRequestId(): string {
  if (used === POOL.length) {
    randomFillSync(POOL);
    used = 0;
  }
  const random = POOL.subarray(used, (used += ID_BYTES));
  return uuidv7({ random });
}

/** A proxy that is trusted may name the request; anybody else's name could be made to look like another line of the log. */
export function requestIdMaker(isProxyTrusted: boolean): (request: { headers: Record<string, unknown> }) => string {
  return ({ headers }) => {
    const given = isProxyTrusted ? headers['x-request-id'] : undefined;
    return typeof given === 'string' && /^[\w.:-]{1,128}$/.test(given) ? given : newRequestId();
  };
}
