interface Limits {
  readonly count: number;
  readonly bytes: number;
}

/** Texts that wait, as many as fit. */
export class BoundedQueue {
  private items: string[] = [];
  private bytes = 0;

  constructor(
    private readonly limits: Limits,
    private readonly batch: Limits,
  ) {}

  get isEmpty(): boolean {
    return this.items.length === 0;
  }

  /** False: there is no more room. */
  push(item: string): boolean {
    // UTF-16 units: what it takes in memory here, about.
    if (this.items.length >= this.limits.count || this.bytes + item.length > this.limits.bytes) return false;
    this.items.push(item);
    this.bytes += item.length;
    return true;
  }

  /** The first ones, at least one if there is any. */
  takeBatch(): string[] {
    let [count, bytes] = [0, 0];
    while (count < Math.min(this.items.length, this.batch.count) && (count === 0 || bytes < this.batch.bytes))
      bytes += this.items[count++].length;
    this.bytes -= bytes;
    return this.items.splice(0, count);
  }

  clear(): void {
    this.items = [];
    this.bytes = 0;
  }
}
