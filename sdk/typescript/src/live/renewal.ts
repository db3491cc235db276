import { AuthenticationError } from '../errors.js';
import type { Transport } from '../http/transport.js';
import type { Link } from './link.js';
import { isPassing } from './wire.js';

const LEEWAY_MS = 30_000;
const LEEWAY_SHARE = 0.2;
/** Expiry is counted in whole seconds, so that a token may hold for almost a second less than was said. */
const ROUNDING_MS = 1_000;
const RETRY_MS = 2_000;
/** What timers can wait. */
const TIMER_MAX_MS = 2 ** 31 - 1;

/** Keeps a link's token fresh, so that the link stays: it renews it in time, and shows the server what others have renewed. */
export class Renewal {
  private timer: ReturnType<typeof setTimeout> | undefined;
  private readonly stopListening: () => void;
  private isOver = false;

  constructor(
    private readonly transport: Transport,
    private readonly link: Link,
  ) {
    this.stopListening = transport.session.onChange((event) => {
      if (event === 'refreshed') this.attempt(() => this.follow());
    });
    this.attempt(() => this.follow());
  }

  stop(): void {
    this.isOver = true;
    clearTimeout(this.timer);
    this.stopListening();
  }

  /** Shows the tokens that are kept if they are others, and else waits until they are to be renewed. */
  private async follow(): Promise<void> {
    const tokens = await this.transport.session.current();
    if (this.isOver || !tokens) return;
    if (tokens.access_token !== this.link.token) return this.show(tokens.access_token);
    const left = tokens.expires_at - Date.now();
    const leeway = Math.min(LEEWAY_MS, tokens.expires_in * 1000 * LEEWAY_SHARE) + ROUNDING_MS;
    // Of what is all but over, a part is left for a second attempt.
    this.later(Math.max(left - leeway, left / 4, 0), () => this.renew());
  }

  private async renew(): Promise<void> {
    // Tells `refreshed`, which is followed; but not when another tab was faster.
    await this.transport.session.renew(this.link.token);
    await this.follow();
  }

  private show(token: string): void {
    const previous = this.link.token;
    this.link.token = token;
    clearTimeout(this.timer);
    this.link.ask('authenticate', { token }, ({ error }) => {
      if (this.isOver) return;
      if (!error) return this.attempt(() => this.follow());
      if (!isPassing(error)) return this.link.cut('authenticate');
      this.link.token = previous;
      this.later(RETRY_MS, () => this.follow());
    });
  }

  private later(milliseconds: number, work: () => Promise<void>): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.attempt(work), Math.min(milliseconds, TIMER_MAX_MS));
  }

  private attempt(work: () => Promise<void>): void {
    work().catch((error: unknown) => {
      // The end of the session is told to everybody who listens to the session.
      if (!this.isOver && !(error instanceof AuthenticationError)) this.later(RETRY_MS, () => this.renew());
    });
  }
}
