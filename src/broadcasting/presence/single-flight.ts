/** Runs one piece of work at a time. Whoever asks while it runs waits for the run after it, which sees what there was when asked. */
export class SingleFlight {
  private running: Promise<void> | null = null;
  private next: Promise<void> | null = null;

  constructor(private readonly work: () => Promise<void>) {}

  run(): Promise<void> {
    if (!this.running) return (this.running = this.work().finally(() => (this.running = null)));
    this.next ??= this.running
      .catch(() => undefined)
      .then(() => {
        this.next = null;
        return this.run();
      });
    return this.next;
  }

  /** Takes part in the run that is under way, if one is. */
  join(): Promise<void> {
    return this.running ?? this.run();
  }
}
