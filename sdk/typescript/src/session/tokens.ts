/** What a login gives, and a refresh renews. */
export interface Tokens {
  access_token: string;
  refresh_token: string;
  /** When the access token ends: milliseconds since 1970 by the clock of this machine. */
  expires_at: number;
  /** Seconds from the moment it was given. */
  expires_in: number;
}

/** Where the client keeps its tokens. The methods may be asynchronous. */
export interface TokenStorage {
  /** What was set last, `null` when nothing was. What are no tokens counts as nothing. */
  get(): Tokens | null | Promise<Tokens | null>;
  /** `null` forgets them. */
  set(tokens: Tokens | null): void | Promise<void>;
  /** A name that all tabs with this storage share; with it, only one of them refreshes at a time. */
  readonly lockName?: string;
}

/** Keeps the tokens as long as the program or page lives. */
export function memoryTokens(): TokenStorage {
  let kept: Tokens | null = null;
  return {
    get: () => kept,
    set: (tokens) => {
      kept = tokens;
    },
  };
}

/**
 * Keeps the tokens in the browser's localStorage, so that they outlive the page and all tabs share them. Every script of the
 * page can read them there. Where there is no localStorage, as on a server that renders pages, they are in memory.
 */
export function localStorageTokens(key = 'gatehouse.tokens'): TokenStorage {
  if (!hasLocalStorage()) return memoryTokens();
  return {
    lockName: key,
    get: () => {
      const text = localStorage.getItem(key);
      if (text === null) return null;
      try {
        return usable(JSON.parse(text));
      } catch {
        return null;
      }
    },
    set: (tokens) => {
      if (tokens) localStorage.setItem(key, JSON.stringify(tokens));
      else localStorage.removeItem(key);
    },
  };
}

/** What is found in a storage, if it is tokens. */
export function usable(found: unknown): Tokens | null {
  const { access_token, refresh_token } = (found ?? {}) as Partial<Tokens>;
  return typeof access_token === 'string' && typeof refresh_token === 'string' ? (found as Tokens) : null;
}

function hasLocalStorage(): boolean {
  try {
    return typeof localStorage?.getItem === 'function';
  } catch {
    // There is none, or the browser's settings forbid it.
    return false;
  }
}
