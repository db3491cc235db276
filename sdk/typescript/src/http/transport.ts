import {
  AuthenticationError,
  ConnectionError,
  errorFromResponse,
  GatehouseError,
  NotFoundError,
  TimeoutError,
} from '../errors.js';
import { SessionTokens } from '../session/session.js';
import type { TokenStorage } from '../session/tokens.js';
import type { TokenPair } from '../types.js';
import { retryDelay, sleep } from './retry.js';

/** What every method takes as its last argument. */
export interface CallOptions {
  /** Stops the call, which then throws the signal's reason. */
  signal?: AbortSignal;
  /** Milliseconds for one attempt, in place of the client's. 0: no limit. */
  timeout?: number;
}

export type Method = 'GET' | 'HEAD' | 'OPTIONS' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

/** A call of the API, as the resources describe it. */
export interface Call extends CallOptions {
  method: Method;
  /** From the root of the server on, with everything escaped; a whole URL for links that the server gave. */
  path: string;
  query?: object;
  /** Goes as JSON. */
  json?: unknown;
  /** Goes as it is; for what is not JSON. A function makes it anew for every attempt. */
  body?: BodyInit | (() => BodyInit);
  headers?: Record<string, string>;
  /** `false` for calls that need no credentials and are not to be told any. */
  isAuthenticated?: boolean;
  /** Whether it may be sent again when its answer is lost. By default all methods but POST: even PATCH changes to what is given. */
  isRepeatable?: boolean;
  /** In place of the client's. */
  fetch?: typeof fetch;
  /** Statuses of 400 and above that are an answer here. */
  accepts?: number[];
}

export interface TransportOptions {
  baseURL: string;
  apiKey?: string;
  tokens: TokenStorage;
  timeout: number;
  maxRetries: number;
  fetch: typeof fetch;
}

/** Shorter than the server's grace window, so that a refresh whose answer was lost is sent again within it. */
const REFRESH_TIMEOUT_MS = 8_000;

/** Sends calls: credentials, time-outs, retries, errors. */
export class Transport {
  readonly baseURL: string;
  readonly session: SessionTokens;
  /** Not enumerable: whoever prints a client does not print its key. */
  declare private readonly options: TransportOptions;

  constructor(options: TransportOptions) {
    Object.defineProperty(this, 'options', { value: options });
    this.baseURL = options.baseURL.replace(/\/+$/, '');
    this.session = new SessionTokens(options.tokens, (refreshToken) => this.requestPair(refreshToken));
  }

  get usesApiKey(): boolean {
    return this.options.apiKey !== undefined;
  }

  /** The body of the answer, parsed; undefined for 204. */
  async json<T>(call: Call): Promise<T> {
    return this.perform(call, async (response) => {
      if (response.status === 204) return undefined as T;
      return parse<T>(response.status, await response.text());
    });
  }

  async text(call: Call): Promise<string> {
    return this.perform(call, (response) => response.text());
  }

  /** The answer with its body unread; the time-out holds until the headers have come. */
  async response(call: Call): Promise<Response> {
    return this.perform(call, (response) => Promise.resolve(response));
  }

  /** The bearer token of the next request: the API key or a fresh access token; null when there is neither. */
  async token(): Promise<string | null> {
    return this.options.apiKey ?? (await this.session.fresh())?.access_token ?? null;
  }

  /** Another token in place of one that was refused; null when there is none to be had. */
  async renewToken(refused: string): Promise<string | null> {
    if (this.usesApiKey || !(await this.session.current())) return null;
    return (await this.session.renew(refused)).access_token;
  }

  url(path: string, query: object = {}): string {
    // URLs drop such parts: the call would be another one, as of the whole list instead of one item.
    if (/^\/(.*\/)?\.{0,2}(\/|$)/.test(path))
      throw new TypeError('An id or a name in the path is empty or made of dots');
    const url = new URL(/^https?:/.test(path) ? path : this.baseURL + path);
    for (const [name, value] of Object.entries(query))
      if (value !== undefined && value !== null)
        url.searchParams.set(name, value instanceof Date ? value.toISOString() : String(value));
    return url.href;
  }

  private async perform<T>(call: Call, read: (response: Response) => Promise<T>): Promise<T> {
    const isRepeatable = call.isRepeatable ?? call.method !== 'POST';
    const { epoch } = this.session;
    let isAnswerLost = false;
    for (let attempt = 0; ; attempt++) {
      try {
        return await this.attempt(call, epoch, read);
      } catch (error) {
        // The attempt whose answer was lost has deleted it.
        if (isAnswerLost && call.method === 'DELETE' && error instanceof NotFoundError) return undefined as T;
        const delay = isRepeatable && attempt < this.options.maxRetries ? retryDelay(error, attempt) : null;
        if (delay === null) throw error;
        isAnswerLost ||= mayBeDone(error);
        await sleep(delay, call.signal);
      }
    }
  }

  /** One attempt, and a second one with another token when the first token was refused. */
  private async attempt<T>(call: Call, epoch: number, read: (response: Response) => Promise<T>): Promise<T> {
    call.signal?.throwIfAborted();
    // What one user began is not sent as another one, who has signed in meanwhile.
    const inSession = async (asked: Promise<string | null>) => {
      const token = await unlessAborted(asked, call.signal);
      this.session.assertEpoch(epoch);
      return token;
    };
    const token = call.isAuthenticated === false ? null : await inSession(this.token());
    try {
      return await this.send(call, token, read);
    } catch (error) {
      // A stream has been read by now.
      const canResend = !(call.body instanceof ReadableStream);
      if (token === null || !canResend || !(error instanceof AuthenticationError)) throw error;
      const renewed = await inSession(this.renewToken(token));
      if (renewed === null) throw error;
      return this.send(call, renewed, read);
    }
  }

  private async send<T>(call: Call, token: string | null, read: (response: Response) => Promise<T>): Promise<T> {
    const timeout = call.timeout ?? this.options.timeout;
    const deadline = new AbortController();
    const url = this.url(call.path, call.query);
    const init = requestOf(call, token);
    const timer = timeout > 0 ? setTimeout(() => deadline.abort(), timeout) : undefined;
    try {
      const signal = call.signal ? AbortSignal.any([call.signal, deadline.signal]) : deadline.signal;
      const response = await (call.fetch ?? this.options.fetch)(url, { ...init, signal });
      if (response.status >= 400 && !call.accepts?.includes(response.status)) throw await errorFromResponse(response);
      return await read(response);
    } catch (error) {
      call.signal?.throwIfAborted();
      if (deadline.signal.aborted) throw new TimeoutError(timeout);
      if (isNetworkFailure(error))
        // Without the query: signed links are secrets.
        throw new ConnectionError(`${call.method} ${new URL(url).pathname}: no answer`, error);
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  private requestPair(refreshToken: string): Promise<TokenPair> {
    return this.json({
      method: 'POST',
      path: '/api/v1/auth/refresh',
      json: { refresh_token: refreshToken },
      isAuthenticated: false,
      // The server's grace window (10 s) answers the same token again with the same pair; after it, with the end of the session.
      isRepeatable: true,
      timeout: Math.min(this.options.timeout || REFRESH_TIMEOUT_MS, REFRESH_TIMEOUT_MS),
    });
  }
}

/** Node.js keeps all of a body in memory that it might have to send again after a redirect. */
const NOT_KEPT: RequestInit = { redirect: 'error', window: null };

function requestOf(call: Call, token: string | null): RequestInit {
  const headers: Record<string, string> = { ...call.headers };
  // An API key, too, goes as a bearer token: fetch drops this header when a redirect leads to another host.
  if (token !== null) headers.Authorization = `Bearer ${token}`;
  if (call.json !== undefined) headers['Content-Type'] = 'application/json';
  assertHeaders(headers);
  const given = typeof call.body === 'function' ? call.body() : call.body;
  const body = call.json === undefined ? given : JSON.stringify(call.json);
  const isStream = body instanceof ReadableStream;
  return {
    method: call.method,
    headers,
    body,
    credentials: 'omit',
    cache: 'no-store',
    ...(isStream && ({ duplex: 'half' } as object)),
    ...(given !== undefined && NOT_KEPT),
  };
}

/** Before fetch says it: it would quote the token. */
function assertHeaders(headers: Record<string, string>): void {
  try {
    new Headers(headers);
  } catch {
    throw new TypeError('A header, or the token in it, has characters that no header may have');
  }
}

function parse<T>(status: number, text: string): T {
  try {
    return JSON.parse(text) as T;
  } catch {
    // A proxy's page, as of a captive portal. The parser's own message would quote it, and it may hold a token.
    throw new GatehouseError('The answer is not JSON', { status, code: 'unexpected_answer', body: text });
  }
}

/** Whether the server may have done what was asked, although nobody said so. A proxy answers 502 and 504 for a server that did not. */
function mayBeDone(error: unknown): boolean {
  if (error instanceof ConnectionError || error instanceof TimeoutError) return true;
  return error instanceof GatehouseError && (error.status === 502 || error.status === 504);
}

/** What the promise gives, unless the signal is aborted before. */
async function unlessAborted<T>(promise: Promise<T>, signal?: AbortSignal): Promise<T> {
  if (!signal) return promise;
  let abort = () => {};
  const aborted = new Promise<never>((_resolve, reject) => {
    abort = () => reject(signal.reason);
    signal.addEventListener('abort', abort, { once: true });
  });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener('abort', abort);
  }
}

/**
 * fetch rejects with a TypeError when there is no answer, and so does a body that breaks off. By name: an error of another realm
 * (a frame, a test) is of another class.
 */
function isNetworkFailure(error: unknown): boolean {
  const name = (error as { name?: unknown } | null)?.name;
  return name === 'TypeError' || name === 'NetworkError' || isSystemError(error);
}

/** Bun rejects with an error that has a code of the system or of its own. */
function isSystemError(error: unknown): boolean {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === 'string' && /^(ECONN|EPIPE|ETIMEDOUT|ENOTFOUND|EAI_|Connection|FailedToOpen)/.test(code);
}
