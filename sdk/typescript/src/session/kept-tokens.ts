import { type Tokens, type TokenStorage, usable } from './tokens.js';

/** The storage, and in memory what it did not take. Printed, it shows nothing. */
export class KeptTokens {
  readonly #storage: TokenStorage;
  /** By the refresh token that the storage has in its place. */
  #untaken: { tokens: Tokens | null; inPlaceOf: string | undefined } | null = null;
  #stored: string | undefined;

  constructor(storage: TokenStorage) {
    this.#storage = storage;
  }

  get lockName(): string | undefined {
    return this.#storage.lockName;
  }

  get(): Tokens | null | Promise<Tokens | null> {
    return then(this.#storage.get(), (found) => this.found(usable(found)));
  }

  set(tokens: Tokens | null): void | Promise<void> {
    return then(this.#storage.set(tokens), () => void (this.#untaken = null));
  }

  /**
   * As set(); what the storage does not take counts all the same, until it takes something or somebody else has changed it.
   *
   * @returns what the storage threw
   */
  keep(tokens: Tokens | null): unknown {
    const inPlaceOf = this.#stored;
    const failed = (error: unknown) => {
      this.#untaken = { tokens, inPlaceOf };
      return error ?? new Error('The storage of the tokens failed');
    };
    try {
      const done = this.set(tokens);
      return done instanceof Promise ? done.catch(failed) : undefined;
    } catch (error) {
      return failed(error);
    }
  }

  private found(tokens: Tokens | null): Tokens | null {
    this.#stored = tokens?.refresh_token;
    if (this.#untaken?.inPlaceOf !== this.#stored) this.#untaken = null;
    return this.#untaken ? this.#untaken.tokens : tokens;
  }
}

/** Goes on at once when the value is there at once, so that nothing comes between a look at the storage and the change of it. */
export function then<T, R>(value: T | Promise<T>, next: (value: T) => R | Promise<R>): R | Promise<R> {
  const isPromise = typeof (value as Promise<T> | null)?.then === 'function';
  return isPromise ? Promise.resolve(value).then(next) : next(value as T);
}
