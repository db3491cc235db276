import type { CallOptions } from './http/transport.js';
import { Transport } from './http/transport.js';
import { Admin } from './resources/admin.js';
import { Auth } from './resources/auth.js';
import { Broadcasting } from './resources/broadcasting.js';
import { Health } from './resources/health.js';
import { Uploads } from './resources/uploads.js';
import { Users } from './resources/users.js';
import { memoryTokens, type TokenStorage } from './session/tokens.js';

/** What a client is made of. */
export interface GatehouseOptions {
  /** Where the server is: `https://api.example.com`. A `/api/v1` at its end is cut. */
  baseURL: string;
  /** Acts by this key instead of a login. */
  apiKey?: string;
  /** Where the tokens of a login are kept; in memory by default. */
  tokens?: TokenStorage;
  /** Milliseconds for one attempt of an ordinary call, 30,000 by default; 0: no limit. Uploads, downloads and streams have none. */
  timeout?: number;
  /** How often a call that may be repeated is sent again after a 429, a 503 or a broken connection; 2 by default. */
  maxRetries?: number;
  /** In place of the global one. */
  fetch?: typeof fetch;
}

/**
 * The client.
 *
 * ```ts
 * const api = new Gatehouse({ baseURL: 'http://localhost:8000', apiKey: '…' });
 * const result = await api.uploads.create(file, { description: 'Test file' });
 * ```
 */
export class Gatehouse {
  readonly auth: Auth;
  readonly users: Users;
  readonly uploads: Uploads;
  readonly admin: Admin;
  readonly broadcasting: Broadcasting;
  readonly health: Health;

  constructor(options: GatehouseOptions) {
    assertUsable(options);
    const transport = new Transport({
      baseURL: options.baseURL,
      apiKey: options.apiKey,
      tokens: options.tokens ?? memoryTokens(),
      timeout: options.timeout ?? 30_000,
      maxRetries: options.maxRetries ?? 2,
      // Called as a method of something else, the browser's fetch refuses.
      fetch: options.fetch ?? ((input, init) => fetch(input, init)),
    });
    this.auth = new Auth(transport);
    this.users = new Users(transport);
    this.uploads = new Uploads(transport);
    this.admin = new Admin(transport);
    this.broadcasting = new Broadcasting(transport);
    this.health = new Health(transport);
  }
}

const BASE_URL =
  "baseURL must begin with http:// or https://, as in new Gatehouse({ baseURL: 'https://api.example.com' })";

/** Names what is wrong, and does not repeat it: what stands there by mistake may be a secret. */
function assertUsable(options: GatehouseOptions): void {
  const { baseURL, apiKey } = (options as GatehouseOptions | undefined) ?? { baseURL: '' };
  const { protocol, username, password, search, hash } = urlOf(baseURL);
  if (!/^https?:$/.test(protocol)) throw new TypeError(BASE_URL);
  if (username || password) throw new TypeError('baseURL must not hold a name or a password');
  if (search || hash) throw new TypeError('baseURL must not have a query or a fragment');
  // fetch would quote it in its error.
  if (apiKey !== undefined && !/^[\x21-\x7e]+$/.test(apiKey))
    throw new TypeError('apiKey is empty, or has spaces, line breaks or other characters that no key has');
}

function urlOf(baseURL: string): URL {
  try {
    return new URL(baseURL);
  } catch {
    throw new TypeError(BASE_URL);
  }
}

export type { CallOptions };
