import { sleep } from '../http/retry.js';
import { pauseBefore } from './back-off.js';

/** Between two attempts at one item. */
const LONGEST_MS = 30_000;

export interface Handling<Item> {
  handle(item: Item): Promise<void>;
  /** The item was handled; the next one has not begun. */
  onHandled(item: Item): void;
  /** The item is handled again after a while, and nothing before that. */
  onFailure(error: unknown, item: Item): void;
}

/** Has items handled one after the other, each until it has been. */
export class HandlingQueue<Item> {
  private readonly items: Item[] = [];
  private readonly stopping = new AbortController();
  private working: Promise<void> = Promise.resolve();
  private isWorking = false;

  constructor(private readonly handling: Handling<Item>) {}

  /** The one that is being handled is counted. */
  get length(): number {
    return this.items.length;
  }

  /** Resolves when everything is handled, or, once it is stopped, when the present item is. */
  get idle(): Promise<void> {
    return this.working;
  }

  push(item: Item): void {
    if (this.stopping.signal.aborted) return;
    this.items.push(item);
    if (!this.isWorking) this.working = this.work();
  }

  /** Nothing more is begun. */
  stop(): void {
    this.stopping.abort();
  }

  private async work(): Promise<void> {
    this.isWorking = true;
    // `subscribe()` has returned before the first of them.
    await Promise.resolve();
    while (this.items.length > 0 && !this.stopping.signal.aborted) await this.workAt(this.items[0]);
    this.isWorking = false;
  }

  private async workAt(item: Item): Promise<void> {
    for (let attempt = 0; ; attempt++) {
      try {
        await this.handling.handle(item);
        break;
      } catch (error) {
        this.handling.onFailure(error, item);
        const isStopped = await sleep(pauseBefore(attempt, LONGEST_MS), this.stopping.signal).then(
          () => false,
          () => true,
        );
        if (isStopped) return;
      }
    }
    this.items.shift();
    this.handling.onHandled(item);
  }
}
