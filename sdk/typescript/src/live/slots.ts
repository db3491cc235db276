/** So many at a time; the others wait in line. */
export class Slots {
  private readonly line: (() => void)[] = [];

  constructor(private free: number) {}

  /** Does the work when there is a place. Whoever is stopped leaves the line, with the signal's reason. */
  async use<T>(stop: AbortSignal, work: () => Promise<T>): Promise<T> {
    await this.take(stop);
    try {
      return await work();
    } finally {
      const next = this.line.shift();
      if (next) next();
      else this.free++;
    }
  }

  private take(stop: AbortSignal): Promise<void> {
    stop.throwIfAborted();
    if (this.free > 0) {
      this.free--;
      return Promise.resolve();
    }
    return new Promise((resolve, reject) => {
      const enter = () => {
        stop.removeEventListener('abort', leave);
        resolve();
      };
      const leave = () => {
        this.line.splice(this.line.indexOf(enter), 1);
        reject(stop.reason);
      };
      this.line.push(enter);
      stop.addEventListener('abort', leave, { once: true });
    });
  }
}
