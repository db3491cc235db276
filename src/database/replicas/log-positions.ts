/** What a replica lacks is told in time only by when the primary has stood where the replica stands. */
interface Sample {
  /** Of the write-ahead log, in bytes. */
  readonly position: bigint;
  readonly takenAt: number;
}

/** At one a second, far more than any lag that is put up with. */
const SAMPLES_MAX = 30;

/** Where the primary's log was, and when; times are of this process's monotonic clock. */
export class LogPositions {
  private readonly samples: Sample[] = [];

  /** @param takenAt before the primary was asked */
  add(position: bigint, takenAt: number): void {
    this.samples.push({ position, takenAt });
    if (this.samples.length > SAMPLES_MAX) this.samples.shift();
  }

  /**
   * How long ago everything was there that is there at a position, at most. `null` while that is not known: the position was passed before
   * the first sample.
   */
  lagOf(position: bigint, now: number): number | null {
    const reached = this.samples.findLast((sample) => sample.position <= position);
    if (reached) return now - reached.takenAt;
    return this.samples.length < SAMPLES_MAX ? null : Infinity;
  }
}
