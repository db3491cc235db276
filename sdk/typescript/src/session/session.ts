import { AuthenticationError } from '../errors.js';
import { sleep } from '../http/retry.js';
import type { TokenPair } from '../types.js';
import type { Tokens, TokenStorage } from './tokens.js';

/** `signed_out` is told after a logout and when the server has ended the session. */
export type SessionEvent = 'signed_in' | 'refreshed' | 'signed_out';
/** Is told what has become of the session. */
export type SessionListener = (event: SessionEvent) => void;

/** The token is renewed so long before its end, so that no request meets the end on its way. */
const LEEWAY_MS = 30_000;
/** Of short-lived tokens only so much of their life is leeway. */
const LEEWAY_SHARE = 0.2;

/** After it a tab that sees no other tokens asks the server for them itself. */
const LONGEST_PROPAGATION_MS = 250;

/** Keeps the access token fresh. */
export class SessionTokens {
  private refreshing: Promise<Tokens> | null = null;
  private changing: Promise<unknown> = Promise.resolve();
  private readonly listeners = new Set<SessionListener>();
  private changes = 0;

  /** @param requestPair asks the server for a new pair; throws what the transport throws */
  constructor(
    private readonly storage: TokenStorage,
    private readonly requestPair: (refreshToken: string) => Promise<TokenPair>,
  ) {}

  /** Grows with each login and logout of this client. */
  get epoch(): number {
    return this.changes;
  }

  /** @throws AuthenticationError when there was a login or a logout since then */
  assertEpoch(epoch: number): void {
    if (this.changes !== epoch) throw signedOut('The session in which the call began is over');
  }

  /** The tokens as they are kept, fresh or not. */
  async current(): Promise<Tokens | null> {
    return this.storage.get();
  }

  /** An access token that holds for a while, or null when nobody is signed in. */
  async fresh(): Promise<Tokens | null> {
    const tokens = await this.storage.get();
    if (!tokens || !isEnding(tokens)) return tokens;
    try {
      return await this.renew(tokens.access_token);
    } catch (error) {
      // While the old one still holds, a server that cannot renew it now is no reason to fail.
      if (!(error instanceof AuthenticationError) && tokens.expires_at > Date.now()) return tokens;
      throw error;
    }
  }

  /**
   * Other tokens than the ones with this access token: what somebody else has fetched meanwhile, or new ones. However many ask at
   * once, the server is asked once.
   *
   * @throws AuthenticationError when the session is over; the storage is empty then
   */
  renew(staleAccessToken?: string): Promise<Tokens> {
    this.refreshing ??= this.underLock(staleAccessToken, () => this.refresh(staleAccessToken)).finally(() => {
      this.refreshing = null;
    });
    return this.refreshing;
  }

  async signIn(pair: TokenPair): Promise<Tokens> {
    const tokens = tokensOf(pair);
    this.changes++;
    await this.change(() => this.storage.set(tokens));
    this.tell('signed_in');
    return tokens;
  }

  /** Forgets the tokens; with `only`, unless other ones have taken their place. */
  async signOut(only?: Tokens): Promise<void> {
    if (!only) this.changes++;
    const wasSignedIn = await this.change(() =>
      then(this.storage.get(), (kept) => {
        if (only && kept?.refresh_token !== only.refresh_token) return false;
        return then(this.storage.set(null), () => kept !== null);
      }),
    );
    if (!wasSignedIn) return;
    if (only) this.changes++;
    this.tell('signed_out');
  }

  /** @returns a function that ends the listening */
  onChange(listener: SessionListener): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  private async refresh(staleAccessToken?: string): Promise<Tokens> {
    const tokens = await this.storage.get();
    if (!tokens) throw signedOut('Not signed in');
    // Another tab was faster.
    if (staleAccessToken !== undefined && tokens.access_token !== staleAccessToken && !isEnding(tokens)) return tokens;
    let pair: TokenPair;
    try {
      pair = await this.requestPair(tokens.refresh_token);
    } catch (error) {
      // A login that happened while the refresh was on its way is not undone by its refusal.
      if (error instanceof AuthenticationError) await this.signOut(tokens);
      throw error;
    }
    return this.replace(tokens, tokensOf(pair));
  }

  /** A logout or a login that happened while the refresh was on its way stands. */
  private async replace(old: Tokens, renewed: Tokens): Promise<Tokens> {
    const kept = await this.change(() =>
      then(this.storage.get(), (found) => {
        if (found?.refresh_token !== old.refresh_token) return found;
        return then(this.storage.set(renewed), () => renewed);
      }),
    );
    if (!kept) throw signedOut('Signed out meanwhile');
    if (kept === renewed) this.tell('refreshed');
    return kept;
  }

  /** Changes of the storage come one after the other. */
  private change<T>(work: () => T | Promise<T>): Promise<T> {
    const result = this.changing.then(work);
    this.changing = result.catch(() => undefined);
    return result;
  }

  private async underLock<T>(stale: string | undefined, work: () => Promise<T>): Promise<T> {
    const { lockName } = this.storage;
    const locks = typeof navigator === 'undefined' ? undefined : navigator.locks;
    if (!lockName || !locks) return work();
    const done = await locks.request(lockName, { ifAvailable: true }, async (lock) =>
      lock ? { result: await work() } : null,
    );
    if (done) return done.result;
    // Another tab renews them.
    return (await locks.request(lockName, async () => {
      await this.otherTokens(stale);
      return work();
    })) as T;
  }

  /** Browsers show a tab what another one has stored a moment after it was stored; so its lock may be free before. */
  private async otherTokens(stale: string | undefined): Promise<void> {
    const end = Date.now() + LONGEST_PROPAGATION_MS;
    while (Date.now() < end && (await this.storage.get())?.access_token === stale) await sleep(5);
  }

  /** A listener that throws hinders neither the call nor other listeners; its error counts as uncaught. */
  private tell(event: SessionEvent): void {
    for (const listener of this.listeners)
      try {
        listener(event);
      } catch (error) {
        queueMicrotask(() => {
          throw error;
        });
      }
  }
}

function signedOut(message: string): AuthenticationError {
  return new AuthenticationError(message, { status: 401, code: 'not_authenticated' });
}

function tokensOf({ access_token, refresh_token, expires_in }: TokenPair): Tokens {
  // Tokens have times in whole seconds, so that one may end up to a second sooner than it says.
  return { access_token, refresh_token, expires_in, expires_at: Date.now() + (expires_in - 1) * 1000 };
}

/** Goes on at once when the value is there at once, so that nothing comes between a look at the storage and the change of it. */
function then<T, R>(value: T | Promise<T>, next: (value: T) => R | Promise<R>): R | Promise<R> {
  const isPromise = typeof (value as Promise<T> | null)?.then === 'function';
  return isPromise ? (value as Promise<T>).then(next) : next(value as T);
}

function isEnding({ expires_at, expires_in }: Tokens): boolean {
  return expires_at - Date.now() < Math.min(LEEWAY_MS, expires_in * 1000 * LEEWAY_SHARE);
}
