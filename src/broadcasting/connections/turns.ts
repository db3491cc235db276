/** What is done under one key is done one after the other, in the order in which it was asked for. */
export class Turns {
  private readonly last = new Map<string, Promise<void>>();

  /** Calls `begin` when what came before has ended; it is given what it has to call at its own end. */
  take(key: string, begin: (end: () => void) => void): void {
    const before = this.last.get(key);
    let end: () => void = () => undefined;
    const turn = new Promise<void>((resolve) => (end = resolve));
    this.last.set(key, turn);
    void turn.then(() => {
      if (this.last.get(key) === turn) this.last.delete(key);
    });
    if (before) void before.then(() => begin(end));
    else begin(end);
  }
}
