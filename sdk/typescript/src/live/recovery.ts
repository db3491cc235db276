import type { LinkEnd } from './link.js';
import type { Closed } from './types.js';

/** What is done when a link is over. */
export type Plan =
  | { close: Closed['reason'] }
  | {
      close: null;
      /** The token that it was opened with is not to be used again. */
      renew: boolean;
      /** At least so long, in milliseconds; `null`: at once, unless it went wrong at once. */
      wait: number | null;
    };

const FINAL = new Set(['account_disabled', 'account_deleted', 'api_key_revoked']);
/** `logged_out` is one of them: whoever has signed in anew has another token, and whoever has not is refused another one. */
const BY_TOKEN = new Set(['logged_out', 'token_expired', 'role_changed']);
/** The server counts in windows of ten seconds by default. */
const RATE_LIMIT_MS = 10_000;
const REFUSED_FOR_NOW_MS = 5_000;

const again = (renew: boolean, wait: number | null): Plan => ({ close: null, renew, wait });

/** @param isRenewed whether the link was opened with a token that came in place of a refused one */
export function planAfter({ reason, error }: LinkEnd, isRenewed: boolean, usesApiKey: boolean): Plan {
  if (FINAL.has(reason)) return { close: reason as Closed['reason'] };
  if (BY_TOKEN.has(reason)) return again(!usesApiKey, null);
  if (reason === 'rate_limited') return again(false, RATE_LIMIT_MS);
  if (!error || error.status === 0 || error.status >= 500) return again(false, 0);
  if (error.status === 429) return again(false, REFUSED_FOR_NOW_MS);
  if (error.status === 401 && !isRenewed && !usesApiKey) return again(true, null);
  return { close: 'refused' };
}
