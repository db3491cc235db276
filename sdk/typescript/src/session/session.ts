import { AuthenticationError } from '../errors.js';
import { sleep } from '../http/retry.js';
import type { TokenPair } from '../types.js';
import { KeptTokens, then } from './kept-tokens.js';
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
  /** Holds nothing: whoever prints a client does not print its tokens. */
  private changing: Promise<void> = Promise.resolve();
  private readonly storage: KeptTokens;
  private readonly listeners = new Set<SessionListener>();
  private changes = 0;

  /** @param requestPair asks the server for a new pair; throws what the transport throws */
  constructor(
    storage: TokenStorage,
    private readonly requestPair: (refreshToken: string) => Promise<TokenPair>,
  ) {
    this.storage = new KeptTokens(storage);
  }

  /** Grows with each login and logout of this client. */
  get epoch(): number {
    return this.changes;
  }

  /** @throws AuthenticationError when there was a login or a logout since then */
  assertEpoch(epoch: number): void {
    if (this.changes !== epoch) throw signedOut('The session in which the call began is over');
  }

  /** The tokens as they are kept, fresh or not. A login or logout that has begun counts. */
  async current(): Promise<Tokens | null> {
    await this.changing;
    return this.storage.get();
  }

  /** An access token that holds for a while, or null when nobody is signed in. */
  async fresh(): Promise<Tokens | null> {
    const tokens = await this.current();
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

  /**
   * Forgets the tokens; with `only`, unless other ones have taken their place.
   *
   * @returns what was forgotten, and what the storage threw at that
   */
  async signOut(only?: Tokens): Promise<{ tokens: Tokens | null; storageError?: unknown }> {
    if (!only) this.changes++;
    const out = await this.change(() =>
      then(this.storage.get(), (tokens) => {
        if (only && tokens?.refresh_token !== only.refresh_token) return { tokens: null };
        return then(this.storage.keep(null), (storageError) => ({ tokens, storageError }));
      }),
    );
    if (out.tokens && only) this.changes++;
    if (out.tokens) this.tell('signed_out');
    return out;
  }

  /** @returns a function that ends the listening */
  onChange(listener: SessionListener): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  private async refresh(staleAccessToken?: string): Promise<Tokens> {
    const tokens = await this.current();
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
        // The server knows the old ones no more: the call in hand and later ones need these, also when they cannot be stored.
        return then(this.storage.keep(renewed), () => renewed);
      }),
    );
    if (!kept) throw signedOut('Signed out meanwhile');
    if (kept === renewed) this.tell('refreshed');
    return kept;
  }

  /** Changes of the storage come one after the other. */
  private change<T>(work: () => T | Promise<T>): Promise<T> {
    const result = this.changing.then(work);
    const done = () => undefined;
    this.changing = result.then(done, done);
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

function isEnding({ expires_at, expires_in }: Tokens): boolean {
  return expires_at - Date.now() < Math.min(LEEWAY_MS, expires_in * 1000 * LEEWAY_SHARE);
}
