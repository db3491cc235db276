import {
  AuthenticationError,
  ConnectionError,
  errorFromResponse,
  GatehouseError,
  NotFoundError,
  TimeoutError,
} from '../errors.js';
import { SessionTokens } from '../session/session.js';
import { memoryTokens, type Tokens, type TokenStorage } from '../session/tokens.js';
import type { TokenPair } from '../types.js';
import { Deadline } from './deadline.js';
import { failureOf } from './failure.js';
import { retryDelay, sleep } from './retry.js';

/** What every method takes as its last argument. */
export interface CallOptions {
  /** Stops the call, which then throws the signal's reason. */
  signal?: AbortSignal;
  /** Milliseconds for one attempt, in place of the client's. 0: no limit. */
  timeout?: number;
}

export type Method = 'GET' | 'HEAD' | 'OPTIONS' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

/** What fetch sends. Not by the name that only the types of browsers have. */
type Body = NonNullable<RequestInit['body']>;

/** A call of the API, as the resources describe it. */
export interface Call extends CallOptions {
  method: Method;
  /** From the root of the server on, with everything escaped; a whole URL for links that the server gave. */
  path: string;
  query?: object;
  /** Goes as JSON. */
  json?: unknown;
  /** Goes as it is; for what is not JSON. A function makes it anew for every attempt. */
  body?: Body | (() => Body);
  headers?: Record<string, string>;
  /** `false` for calls that need no credentials and are not to be told any. */
  isAuthenticated?: boolean;
  /** Whether it may be sent again when its answer is lost. By default all methods but POST: even PATCH changes to what is given. */
  isRepeatable?: boolean;
  /** In place of the client's. */
  fetch?: typeof fetch;
  /** Whether the body of an answer of 400 and above is what was asked for. */
  accepts?: (error: GatehouseError) => boolean;
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
    // Every path begins with /api/v1; who copies the address of the API has it twice.
    this.baseURL = new URL(options.baseURL).href.replace(/\/*(\/api\/v1\/*)?$/, '');
    this.session = new SessionTokens(options.tokens, (refreshToken) => this.requestPair(refreshToken));
  }

  get usesApiKey(): boolean {
    return this.options.apiKey !== undefined;
  }

  get maxRetries(): number {
    return this.options.maxRetries;
  }

  /** The same server for the owner of tokens that are not kept any more. */
  as(tokens: Tokens): Transport {
    const storage = memoryTokens();
    void storage.set(tokens);
    return new Transport({ ...this.options, tokens: storage });
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
      throw new TypeError('An id or a name in the path is no string, empty, or made of dots');
    const url = new URL(/^https?:/.test(path) ? path : this.baseURL + path);
    for (const [name, value] of Object.entries(query))
      if (value !== undefined && value !== null)
        url.searchParams.set(name, value instanceof Date ? value.toISOString() : String(value));
    return url.href;
  }

  private async perform<T>(given: Call, read: (response: Response) => Promise<T>): Promise<T> {
    // A signal of its own: many calls may share the given one, and Node.js warns of many listeners.
    const call = given.signal ? { ...given, signal: AbortSignal.any([given.signal]) } : given;
    const isRepeatable = call.isRepeatable ?? call.method !== 'POST';
    const { epoch } = this.session;
    let isAnswerLost = false;
    for (let attempt = 0; ; attempt++) {
      try {
        return await this.attempt(call, epoch, read);
      } catch (error) {
        // It has had attempts of its own.
        if (error instanceof NoToken) throw error.cause;
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
    const deadline = new Deadline(call.timeout ?? this.options.timeout, call.signal);
    // What one user began is not sent as another one, who has signed in meanwhile.
    const inSession = async (asked: Promise<string | null>) => {
      try {
        const token = await deadline.unlessOver(asked);
        this.session.assertEpoch(epoch);
        return token;
      } catch (error) {
        throw new NoToken(error);
      }
    };
    try {
      const token = call.isAuthenticated === false ? null : await inSession(this.token());
      try {
        return await this.send(call, token, deadline.signal, read);
      } catch (error) {
        // A stream has been read by now.
        const canResend = !(call.body instanceof ReadableStream);
        if (token === null || !canResend || !(error instanceof AuthenticationError)) throw error;
        const renewed = await inSession(this.renewToken(token));
        if (renewed === null) throw error;
        return await this.send(call, renewed, deadline.signal, read);
      }
    } finally {
      deadline.lift();
    }
  }

  private async send<T>(
    call: Call,
    token: string | null,
    signal: AbortSignal,
    read: (response: Response) => Promise<T>,
  ): Promise<T> {
    const url = this.url(call.path, call.query);
    const init = requestOf(call, token);
    try {
      const response = await (call.fetch ?? this.options.fetch)(url, { ...init, signal });
      if (response.status < 400) return await read(response);
      const error = await errorFromResponse(response);
      signal.throwIfAborted();
      if (call.accepts?.(error)) return error.body as T;
      throw error;
    } catch (error) {
      signal.throwIfAborted();
      throw failureOf(error, call.method, url);
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

/** There is no token for the attempt; `cause` says why. */
class NoToken extends Error {
  constructor(cause: unknown) {
    super('No token', { cause });
  }
}

/** With `redirect: 'error'`, Node.js keeps nothing of a body in memory for sending it again. */
const NOT_KEPT: RequestInit = { window: null };

function requestOf(call: Call, token: string | null): RequestInit {
  const headers: Record<string, string> = { ...call.headers };
  // An API key, too, goes as a bearer token: fetch drops this header when a redirect leads to another host.
  if (token !== null) headers.Authorization = `Bearer ${token}`;
  if (call.json !== undefined) headers['Content-Type'] = 'application/json';
  assertHeaders(headers);
  const given = typeof call.body === 'function' ? call.body() : call.body;
  const body = call.json === undefined ? given : JSON.stringify(call.json);
  const isStream = body instanceof ReadableStream;
  // A redirect would take passwords and tokens in the body to another host, or make a GET of a POST.
  const mayFollow = call.method === 'GET' || call.method === 'HEAD';
  return {
    method: call.method,
    headers,
    body,
    credentials: 'omit',
    cache: 'no-store',
    redirect: mayFollow ? 'follow' : 'error',
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
