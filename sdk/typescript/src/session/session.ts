import { AuthenticationError } from '../errors.js';
import type { TokenPair } from '../types.js';
import type { Tokens, TokenStorage } from './tokens.js';

/** `signed_out` is told after a logout and when the server has ended the session. */
export type SessionEvent = 'signed_in' | 'refreshed' | 'signed_out';
export type SessionListener = (event: SessionEvent) => void;

/** The token is renewed so long before its end, so that no request meets the end on its way. */
const LEEWAY_MS = 30_000;
/** Of short-lived tokens only so much of their life is leeway. */
const LEEWAY_SHARE = 0.2;

/** Keeps the access token fresh. */
export class SessionTokens {
  private refreshing: Promise<Tokens> | null = null;
  private readonly listeners = new Set<SessionListener>();

  /** @param requestPair asks the server for a new pair; throws what the transport throws */
  constructor(
    private readonly storage: TokenStorage,
    private readonly requestPair: (refreshToken: string) => Promise<TokenPair>,
  ) {}

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
    this.refreshing ??= this.underLock(() => this.refresh(staleAccessToken)).finally(() => {
      this.refreshing = null;
    });
    return this.refreshing;
  }

  async signIn(pair: TokenPair): Promise<Tokens> {
    const tokens = await this.keep(pair);
    this.tell('signed_in');
    return tokens;
  }

  async signOut(): Promise<void> {
    await this.storage.set(null);
    this.tell('signed_out');
  }

  /** @returns a function that ends the listening */
  onChange(listener: SessionListener): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  private async refresh(staleAccessToken?: string): Promise<Tokens> {
    const tokens = await this.storage.get();
    if (!tokens) throw new AuthenticationError('Not signed in', { status: 401, code: 'not_authenticated' });
    // Another tab was faster.
    if (staleAccessToken !== undefined && tokens.access_token !== staleAccessToken && !isEnding(tokens)) return tokens;
    let pair: TokenPair;
    try {
      pair = await this.requestPair(tokens.refresh_token);
    } catch (error) {
      if (error instanceof AuthenticationError) await this.endUnlessReplaced(tokens);
      throw error;
    }
    const renewed = await this.keep(pair);
    this.tell('refreshed');
    return renewed;
  }

  /** A login that happened while the refresh was on its way is not undone by its refusal. */
  private async endUnlessReplaced(refused: Tokens): Promise<void> {
    const kept = await this.storage.get();
    if (kept && kept.refresh_token !== refused.refresh_token) return;
    await this.signOut();
  }

  private async keep({ access_token, refresh_token, expires_in }: TokenPair): Promise<Tokens> {
    const tokens = { access_token, refresh_token, expires_in, expires_at: Date.now() + expires_in * 1000 };
    await this.storage.set(tokens);
    return tokens;
  }

  private underLock<T>(work: () => Promise<T>): Promise<T> {
    const { lockName } = this.storage;
    const locks = typeof navigator === 'undefined' ? undefined : navigator.locks;
    return lockName && locks ? (locks.request(lockName, work) as Promise<T>) : work();
  }

  private tell(event: SessionEvent): void {
    for (const listener of this.listeners) listener(event);
  }
}

function isEnding({ expires_at, expires_in }: Tokens): boolean {
  return expires_at - Date.now() < Math.min(LEEWAY_MS, expires_in * 1000 * LEEWAY_SHARE);
}
